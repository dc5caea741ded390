# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks whose question blocks (a file system, a directory of the kernel): asked in a thread of their own."""

from __future__ import annotations

import asyncio
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Check, Reading

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session


class BlockingCheck(Check):
    """A subclass says what it finds in :meth:`look`; a timeout leaves the thread to itself."""

    def __init__(self, session: Session) -> None:
        self._turnstile = session.turnstile(("blocking",), places=16)

    async def admit(self) -> None:
        await self._turnstile.enter()

    def dismiss(self) -> None:
        self._turnstile.leave()

    async def ask(self) -> Reading:
        return await asyncio.get_running_loop().run_in_executor(None, self.look)

    def look(self) -> Reading:
        raise NotImplementedError
