# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Retention in pgBackRest's repository: what our own retention has decided, carried out there and nothing more.

A backup goes when its recovery point has a tombstone. The log goes up to the oldest full backup that stays, and an
earlier generation when nothing in it is needed any more.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest import catalogue
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.command import Pgbackrest
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.info import Backup, StanzaInfo

_REMOVED = re.compile(r"(\d+(?:\.\d+)?-\d+) remove archive, start = ([0-9A-F]{16,24}), stop = ([0-9A-F]{16,24})")


@dataclasses.dataclass
class GenerationExpiry:
    """What goes from one generation.

    :ivar labels: backups, those that need others first. :ivar kept_back: an expired backup → the label that needs it.
    :ivar archive: ranges of the log. :ivar whole: nothing is left in it.
    """

    generation: str
    labels: list[str] = dataclasses.field(default_factory=list)
    kept_back: dict[str, str] = dataclasses.field(default_factory=dict)
    archive: list[str] = dataclasses.field(default_factory=list)
    whole: bool = False

    @property
    def changed(self) -> bool:
        return bool(self.labels or self.archive or self.whole)

    def facts(self) -> dict[str, t.Any]:
        return {
            "generation": self.generation,
            "backups": self.labels,
            "kept_back": self.kept_back,
            "archive": self.archive,
            "removed": self.whole,
        }


def plan_expiry(generation: str, info: StanzaInfo, compared: catalogue.Comparison, newest: bool) -> GenerationExpiry:
    """Which backups go: those whose point was expired, unless one that stays needs them.

    :arg newest: whether the server archives to this generation; it is never removed as a whole.
    """
    plan = GenerationExpiry(generation)
    going = {backup.label for backup in compared.expired}
    staying = [backup for backup in info.backups if backup.label not in going]
    # What stays may keep others, and those others still.
    for backup in staying:
        for label in backup.references:
            if label in going:
                going.discard(label)
                plan.kept_back[label] = backup.label
    plan.labels = [backup.label for backup in sorted(info.backups, key=_newest_first) if backup.label in going]
    # A point whose backup is gone is a reason to look, not to remove what may be left of it.
    needed = compared.known or compared.gone
    plan.whole = not newest and not needed and len(plan.labels) == len(info.backups)
    return plan


def _newest_first(backup: Backup) -> float:
    return -backup.stopped.timestamp()


def expire_generation(
    tool: Pgbackrest, info: StanzaInfo, plan: GenerationExpiry, check: t.Callable[[], None], check_mode: bool
) -> GenerationExpiry:
    """Carry the plan out; in check mode only find out which part of the log would go too.

    :arg check: called before each removal; raises when the work must stop.
    """
    if plan.whole:
        # pgBackRest itself never removes the last full backup.
        for part in ("backup", "archive") if not check_mode else ():
            check()
            path = f"{part}/{tool.stanza}"
            tool.run("repo-rm", "--recurse", timeout=3600, what="removing a generation", operand=path)
        return plan
    if not check_mode:
        for label in plan.labels:
            check()
            tool.run("expire", f"--set={label}", timeout=3600, what=f"removing backup {label}")
    fulls = sum(backup.type == "full" and backup.label not in plan.labels for backup in info.backups)
    if fulls:
        plan.archive = _expire_archive(tool, fulls, check, check_mode)
    return plan


def _expire_archive(tool: Pgbackrest, fulls: int, check: t.Callable[[], None], check_mode: bool) -> list[str]:
    """Remove the log before the oldest full backup; returns the ranges. Every full backup stays."""
    keep = f"--repo1-retention-full={fulls}"
    what = "removing the log that no backup needs"
    output = tool.run("expire", keep, "--dry-run", "--log-level-console=info", timeout=600, what=what)
    ranges = [f"{archive_id}: {start} to {stop}" for archive_id, start, stop in _REMOVED.findall(output.decode())]
    if ranges and not check_mode:
        check()
        tool.run("expire", keep, timeout=3600, what=what)
    return ranges
