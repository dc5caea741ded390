# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When an objective is met, and what that makes of a component and of a run.

"Unknown" is an answer: nothing that was not measured counts as met.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted, shortened

#: From the worst to the best.
VERDICTS = ("failed", "missed", "unknown", "met")
#: How a probe of a report can have ended.
PROBE_OUTCOMES = ("ok", "warning", "failed", "unknown")
#: Engines that hold no data of their own: no RPO applies to them, and only a rebuild has to bring them back.
STATELESS_ENGINES = ("service",)
#: Engines that archive all the time: their recovery points only say where a restore begins, and nothing of what it loses.
ARCHIVING_ENGINES = ("postgresql_pitr",)

_WHY_LIMIT = 200

#: Per kind of runbook, the objectives that a run of it must have measured, and those that it looks at if measured.
_REQUIRED = {
    "backup": ("rpo",),
    "drill": ("rto",),
    "restore": ("rto",),
    "rebuild": ("rpo", "rto"),
    "health": (),
    "verify": (),
    "objectives": (),
    "other": (),
}
_JUDGED = {**_REQUIRED, "restore": ("rpo", "rto"), "health": ("rpo",), "verify": (), "objectives": (), "other": ()}


@dataclasses.dataclass
class Objective:
    """A target in seconds against what was measured.

    :ivar measured_s: seconds, or None when it was not measured; never an estimate.
    :ivar at_most_s: a proven upper bound in seconds where the value itself could not be observed.
    :ivar basis: in words, how it was measured.
    """

    target_s: float | None = None
    measured_s: float | None = None
    at_most_s: float | None = None
    basis: str = ""

    @property
    def verdict(self) -> str | None:
        """met, missed or unknown; None without a target."""
        if self.target_s is None:
            return None
        if self.measured_s is not None:
            return "met" if self.measured_s <= self.target_s else "missed"
        if self.at_most_s is not None and self.at_most_s <= self.target_s:
            return "met"
        return "unknown"

    def facts(self) -> dict[str, t.Any]:
        return {**dataclasses.asdict(self), "verdict": self.verdict}

    def text(self) -> str:
        """What was measured, for people: ``3 m 05 s``, ``at most 5 m 00 s``, ``unknown``."""
        if self.measured_s is not None:
            return format_duration(self.measured_s)
        if self.at_most_s is not None:
            return f"at most {format_duration(self.at_most_s)}"
        return "unknown"


def runbook_kind(runbook: str) -> str:
    """backup, drill, restore, rebuild, health, objectives, verify or other, from the runbook's name."""
    words = (
        ("objectives", "objectives"),
        ("verify", "verify"),
        ("expire", "other"),
        ("drill", "drill"),
        ("rebuild", "rebuild"),
        ("back_up", "backup"),
        ("backup", "backup"),
    )
    for word, kind in (*words, ("restore", "restore"), ("health", "health")):
        if word in runbook:
            return kind
    return "other"


def judge_component(
    kind: str,
    engine: str,
    outcome: str | None,
    rpo: Objective,
    rto: Objective,
    probes: t.Sequence[t.Mapping[str, t.Any]],
    message: str = "",
) -> tuple[str, str]:
    """The verdict on a component and the reason in words.

    :arg outcome: what the playbook says: ok, changed, skipped, failed; None when the run never got to it.
    :arg message: what it says beside that; of a failure, why.
    """
    if outcome == "failed":
        probed = _judge_probes(probes) if kind == "health" else None
        return "failed", probed[1] if probed else _why(message)
    if outcome is None:
        return "unknown", "the run did not get to this component"
    if kind == "health" and outcome == "skipped":
        return "met", message or "the checklist asks nothing of it"
    if kind == "health" and not probes:
        return "failed", "no probe ran"
    probed = _judge_probes(probes)
    if probed is not None and kind == "health":
        # The runbook is that every probe ran: one that could not be asked is its failure.
        return "failed", probed[1]
    if probed is not None:
        return probed
    judged: dict[str, Objective] = {}
    if engine not in STATELESS_ENGINES:
        judged = {name: objective for name, objective in (("rpo", rpo), ("rto", rto)) if name in _JUDGED[kind]}
    elif kind == "rebuild":
        judged = {"rto": rto}
    missed = [name for name, objective in judged.items() if objective.verdict == "missed"]
    if missed:
        return "missed", " and ".join(f"{name.upper()} missed" for name in missed)
    # Where nothing had to be restored there was nothing to time either.
    idle = kind in ("restore", "rebuild") and outcome in ("ok", "skipped")
    required = [name for name in _REQUIRED[kind] if not (idle and (name == "rto" or outcome == "skipped"))]
    unknown = [name for name, objective in judged.items() if objective.verdict == "unknown" and name in required]
    if unknown:
        return "unknown", " and ".join(f"{name.upper()} not measured" for name in unknown)
    met = [name for name, objective in judged.items() if objective.verdict == "met"]
    if met:
        return "met", " and ".join(f"{name.upper()} met" for name in met)
    if kind == "health":
        passed = sum(probe["outcome"] == "ok" for probe in probes)
        return "met", f"{passed} of {counted(len(probes), 'probe')} ok"
    return "met", "nothing to do" if outcome == "skipped" else "done; no objective applies"


def was_judged(component: t.Mapping[str, t.Any], kind: str) -> bool:
    """Whether a component of a report that is "met" was measured against anything."""
    asked = kind == "health" and component["outcome"] != "skipped"
    return asked or any(component[name]["verdict"] == "met" for name in _JUDGED[kind])


def _why(message: str) -> str:
    """What went wrong, without what was expected, found, and is to be done; that is a finding of its own."""
    first = message.split("; expected: ")[0].split("; found: ")[0].split("; next: ")[0]
    first = " ".join(first.split())
    return shortened(first, _WHY_LIMIT) or "it ended without saying why"


def judge_cut_off(
    kind: str, outcome: str | None, probes: t.Sequence[t.Mapping[str, t.Any]], message: str
) -> tuple[str, str]:
    """The verdict on a component of a run that was cut off, and the reason: what is known by then is at best not enough.

    :arg message: how far the run got with it.
    """
    probed = _judge_probes(probes) if kind == "health" else None
    if probed is not None and probed[0] == "failed":
        return "failed", f"{probed[1]}; {message}"
    return "failed" if outcome == "failed" else "unknown", message


def _judge_probes(probes: t.Sequence[t.Mapping[str, t.Any]]) -> tuple[str, str] | None:
    """What critical probes that did not pass make of the component; None when there is none of them."""
    for outcome, verdict in (("failed", "failed"), ("unknown", "unknown")):
        names = [probe["name"] for probe in probes if probe["critical"] and probe["outcome"] == outcome]
        if names:
            return verdict, f"{'probe' if len(names) == 1 else 'probes'} {outcome}: {', '.join(names)}"
    return None


def worst_verdict(verdicts: t.Iterable[str]) -> str:
    """The worst of them; "unknown" when there is none, for zero checks prove nothing."""
    ranked = sorted(verdicts, key=VERDICTS.index)
    return ranked[0] if ranked else "unknown"
