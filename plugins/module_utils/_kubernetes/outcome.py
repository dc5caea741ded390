# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a restore did, would do, and found, as its result and its proof."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.plan import CHANGE, CONFLICT, CREATE
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.volume_planning import FILLED, LEFT, NEW, SAME

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.plan import Change, Extra, Plan
    from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.volume_planning import VolumeChange
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint

_SHOWN = 200


@dataclasses.dataclass
class Outcome:
    """``acting``: the changes that are made. ``spared``: extra objects that are not deleted since they hold data.

    ``volumes``: the claims whose content the point has. ``kept``: the point with what was overwritten. ``final``: the plan
    that was made at the end. ``filled``: what was done to claims that are kept by file, once it was.
    """

    point: RecoveryPoint
    plan: Plan
    acting: t.Sequence[Change]
    pruned: t.Sequence[Extra]
    spared: t.Sequence[Extra]
    volumes: t.Sequence[VolumeChange] = ()
    kept: RecoveryPoint | None = None
    final: Plan | None = None
    filled: list[dict[str, t.Any]] | None = None
    durations: dict[str, float] = dataclasses.field(default_factory=dict)
    rto_s: float | None = None

    def counts(self) -> dict[str, int]:
        """Objects by what happens to them; together all that were recorded, and those that were not."""
        by_action = {CREATE: "created", CHANGE: "changed", CONFLICT: "recreated"}
        found = dict.fromkeys((*by_action.values(), "unchanged", "skipped", "deleted", "extra"), 0)
        for change in self.acting:
            found[by_action[change.action]] += 1
        found["unchanged"] = self.plan.same
        found["skipped"] = len(self.plan.changes) - len(self.acting)
        found["deleted"] = len(self.pruned)
        found["extra"] = len(self.plan.extras) - len(self.pruned)
        return found

    def to_fill(self) -> list[VolumeChange]:
        """Claims that get the content that the point has."""
        return [change for change in self.volumes if change.action in (NEW, FILLED)]

    def left_volumes(self) -> list[VolumeChange]:
        """Claims that keep what they hold, whatever that is."""
        return [change for change in self.volumes if change.action == LEFT]

    def unread(self) -> list[VolumeChange]:
        """Claims whose archive was not read, as they hold the same files: that says nothing of the archive."""
        return [change for change in self.volumes if change.mode == "files" and not change.reads_archive]

    def made_before(self) -> list[VolumeChange]:
        """Claims that were made from the point's snapshots: nobody can tell what was written to them since."""
        return [change for change in self.volumes if change.action == SAME and change.mode == "snapshot"]

    def proof(self, different: t.Sequence[Change]) -> dict[str, t.Any]:
        """What was compared at the end."""
        final = self.final or self.plan
        return {
            "objects": self.counts(),
            "compared": final.same + len(final.changes),
            "fields_different": sum(max(1, len(change.differences)) for change in different),
            "differences": [change.facts() for change in different[:100]],
            "volumes": [change.facts() for change in self.volumes],
        }


def result_of(outcome: Outcome, changed: bool) -> dict[str, t.Any]:
    """The module's result, but for the choices."""
    plan = outcome.plan
    skipped = [change for change in plan.changes if change not in outcome.acting]
    facts: dict[str, t.Any] = {
        "changed": changed,
        "recovery_point": outcome.point.facts(),
        "objects": outcome.counts(),
        "changes": [change.facts() for change in outcome.acting[:_SHOWN]],
        "skipped": [change.facts() for change in skipped[:_SHOWN]],
        "deleted": [extra.label for extra in outcome.pruned[:_SHOWN]],
        "extra": [extra.label for extra in plan.extras if extra not in outcome.pruned][:_SHOWN],
        "unserved": plan.unserved,
        "mapped": plan.mapped,
        "volumes": [change.facts() for change in outcome.volumes],
        "dropped_owners": sorted(plan.dropped_owners)[:_SHOWN],
        "kept": None if outcome.kept is None else outcome.kept.point_id,
        "told": _told(outcome, changed),
    }
    if outcome.rto_s is not None:
        facts.update(rto_measured_s=round(outcome.rto_s, 3), durations=outcome.durations, proof=outcome.proof([]))
    return facts


def prediction(outcome: Outcome, keeps: bool) -> dict[str, t.Any]:
    """As :func:`result_of`, of what would be. ``keeps``: what is overwritten would be stored first."""
    facts = result_of(outcome, True)
    if keeps:
        facts["told"] += "; what is overwritten would be kept as a recovery point"
    return facts


def _told(outcome: Outcome, changed: bool) -> str:
    counts = outcome.counts()
    if not changed:
        told = f"all {counts['unchanged']} objects are as recorded"
    else:
        named = [f"{counts[name]} {name}" for name in ("created", "changed", "recreated", "deleted") if counts[name]]
        told = f"objects: {', '.join(named)}, {counts['unchanged']} unchanged"
    if counts["skipped"]:
        told += f", {counts['skipped']} skipped"
    if counts["extra"]:
        told += f"; {counts['extra']} live objects are not in the recovery point"
    if outcome.spared:
        told += f", of which {len(outcome.spared)} hold data and are never deleted"
    if outcome.to_fill():
        told += f"; the content of claims {', '.join(change.claim for change in outcome.to_fill())}"
    if outcome.left_volumes():
        told += f"; claims {', '.join(change.claim for change in outcome.left_volumes())} keep what they hold"
    if outcome.made_before():
        told += (
            f"; claims {', '.join(change.claim for change in outcome.made_before())} were made from it before, and keep"
        )
        told += " what was written to them since"
    if outcome.kept is not None:
        told += f"; what was live before is in {outcome.kept.point_id}"
    return told


def describe_difference(result: dict[str, t.Any]) -> dict[str, str]:
    """The diff: every field that changes, as it is and as it will be; or what is released."""
    before, after = [], []
    if "released" in result:
        return {
            "before": "".join(f"what restores kept in claim {claim}\n" for claim in result["released"]),
            "after": "",
        }
    for change in result["changes"]:
        if change["action"] == CREATE:
            after.append(change["object"])
        for field in change.get("fields", []):
            before.append(f"{change['object']} {field['path']}: {field['live']}")
            after.append(f"{change['object']} {field['path']}: {field['desired']}")
    for volume in result.get("volumes", ()):  # a rollback leaves claims alone
        if volume["action"] == FILLED:
            before.append(f"claim {volume['claim']}: {', '.join(volume['differences'])}")
        if volume["action"] in (NEW, FILLED):
            after.append(f"claim {volume['claim']}: the content of the recovery point")
    before += result["deleted"]
    return {"before": "".join(f"{line}\n" for line in before), "after": "".join(f"{line}\n" for line in after)}
