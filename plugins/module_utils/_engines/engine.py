# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every engine can do. One engine is one file beside this one; the modules know nothing else of it.

How a point is taken around it is told in ``taking``, a drill in ``drilling``, a restore in ``restoring``.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding
    from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import PointWriter
    from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Recorder


class Plan(t.Protocol):
    """What a backup would take, found out by looking only."""

    @property
    def size(self) -> int:
        """Bytes at the source."""

    def lacking_in(self, point: RecoveryPoint) -> str | None:
        """What the point lacks of this plan, such as "does not hold every database"; None when it holds all of it."""

    def warnings(self) -> list[str]:
        """What is wrong and stops no backup, in sentences without the component's name."""

    def facts(self) -> dict[str, t.Any]:
        """For the module's result and the diff."""


class Engine(t.Protocol):
    """How one engine's content becomes a recovery point."""

    name: str

    def plan(self) -> Plan:
        """Look at the component, and refuse what could not be backed up. Changes nothing."""

    def take(
        self,
        plan: t.Any,
        writer: PointWriter,
        encoding: Encoding,
        progress: Progress,
        recorder: Recorder,
        check: t.Callable[[], None],
    ) -> RecoveryPoint:
        """Take one consistent copy. Whatever is raised, no recovery point exists then.

        :arg plan: what :meth:`plan` returned. :arg check: called often; raises when the work must stop (a lost lease).
        """

    def problems(self, point: RecoveryPoint) -> list[str]:
        """What went wrong while the point was taken and left it usable, in sentences without the component's name."""
