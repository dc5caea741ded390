# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with a database, in words and as data."""

from __future__ import annotations

import dataclasses
import typing as t

#: What gets a database over a finding, the mildest first: rebuild an index from its table, drop what a killed rebuild
#: left, or go back to a recovery point.
REPAIRS = ("reindex", "drop", "restore")


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is damaged.

    :arg database: empty for the server itself.
    :arg object: qualified name of the relation, or the catalogue's row.
    :arg check: ``checksums``, ``catalogue``, ``file``, ``index``, ``heap`` or ``read``: what found it.
    :arg repair: one of :data:`REPAIRS`.
    :arg blocks: numbers of the damaged blocks, where they are known.
    """

    database: str
    object: str
    check: str
    detail: str
    repair: str
    blocks: tuple[int, ...] = ()

    def facts(self) -> dict[str, t.Any]:
        return {**dataclasses.asdict(self), "blocks": list(self.blocks)}

    def __str__(self) -> str:
        blocks = f" (blocks {', '.join(map(str, self.blocks))})" if self.blocks else ""
        return f"{self.database or 'server'}: {self.object}: {self.detail}{blocks}"


def verdict(findings: t.Iterable[Finding]) -> str:
    """``sound``, ``rebuildable`` when indexes alone are damaged, else ``damaged``."""
    repairs = {finding.repair for finding in findings}
    if not repairs:
        return "sound"
    return "damaged" if "restore" in repairs else "rebuildable"


def one_line(text: object) -> str:
    """A server's complaint without its line breaks, of at most 500 characters."""
    return " ".join(str(text).split())[:500]
