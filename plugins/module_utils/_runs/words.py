# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the figures of a report are said, the same on the screen, in a ticket and on the page."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration, format_time, parse_time
from ansible_collections.sre.runbooks.plugins.module_utils._runs.objectives import was_judged

#: What is not there, or does not apply.
NOTHING = "–"
_ROWS_NAMED = 5
_NAMED = 8
_WORST = ("failed", "unknown", "warning", "ok")

VERDICT_TITLES = {
    "met": "Objectives met",
    "missed": "Objective missed",
    "failed": "Run failed",
    "unknown": "Not proven",
}
#: What is said of a run and of a component that ended well, where there was nothing to measure them against.
_DONE = "Done"
#: And of a run that passed over each of its components.
_IDLE = "Nothing to do"


def verdict_title(report: t.Mapping[str, t.Any]) -> str:
    """The headline. A run that judged nothing has met nothing."""
    word = run_word(report)
    return VERDICT_TITLES.get(word) or word.capitalize()


def run_title(report: t.Mapping[str, t.Any]) -> str:
    """``check_health of local``, and where that is not all of it, of which components."""
    part = part_text(report)
    return f"{report['runbook']} of {report['environment']}" + (f", {part}" if part else "")


def part_text(report: t.Mapping[str, t.Any]) -> str:
    """``only flights_db``; empty for a run of every component."""
    names = [item["name"] for item in report["components"]]
    if not report["left_out"]:
        return ""
    return f"only {_named(names)}" if names else without_text(report["left_out"])


def without_text(names: t.Sequence[str]) -> str:
    """``without flights_api``; empty for none."""
    return f"without {_named(names)}" if names else ""


def former_verdict_text(previous: t.Mapping[str, t.Any]) -> str:
    """``met``, and of which components it says nothing."""
    return ", ".join(part for part in (str(previous["verdict"]), without_text(previous.get("left_out", []))) if part)


def run_word(report: t.Mapping[str, t.Any]) -> str:
    """The run's verdict, in a word."""
    judged = report["service_objectives"] or any(was_judged(item, report["kind"]) for item in report["components"])
    if judged or report["verdict"] != "met":
        return str(report["verdict"])
    passed = [item["outcome"] == "skipped" for item in report["components"]]
    return (_IDLE if passed and all(passed) else _DONE).lower()


def verdict_word(component: t.Mapping[str, t.Any], kind: str) -> str:
    """A component's verdict, in a word."""
    if kind == "health" and component["outcome"] == "skipped":
        return "not asked"
    judged = component["verdict"] != "met" or was_judged(component, kind)
    if judged:
        return str(component["verdict"])
    return "skipped" if component["outcome"] == "skipped" else _DONE.lower()


def tone(word: str) -> str:
    """The colour of a word on the page: what was not judged is neither good nor bad."""
    return word if word in VERDICT_TITLES else "unknown"


def duration_text(seconds: float | None) -> str:
    """``4 h``, ``3 m 05 s``; a dash for None. Zero remainders are left out, as targets are mostly round."""
    if seconds is None:
        return NOTHING
    if 0 < seconds < 0.05:
        return f"{max(1, round(seconds * 1000))} ms"
    return re.sub(r" 00 [hms]$|(?<=\d)\.0(?= s$)", "", format_duration(seconds))


def measured_text(objective: t.Mapping[str, t.Any]) -> str:
    """``12 s``, ``≤ 5 m``, ``unknown`` where there is a target but no measurement, else a dash."""
    if objective["measured_s"] is not None:
        return duration_text(objective["measured_s"])
    if objective["at_most_s"] is not None:
        return f"≤ {duration_text(objective['at_most_s'])}"
    return NOTHING if objective["target_s"] is None else "unknown"


def rows_lost_text(component: t.Mapping[str, t.Any], kind: str) -> str:
    """``0``, ``3 (118, 119, 120)``, ``unknown`` where rows could have been lost, else a dash."""
    count, rows = component["rows_lost"], component["lost_rows"]
    if count is None:
        return "unknown" if could_lose_rows(component, kind) else NOTHING
    named = ", ".join(row_text(row) for row in rows[:_ROWS_NAMED])
    more = f", … {count - _ROWS_NAMED} more" if named and count > _ROWS_NAMED else ""
    return f"{count} ({named}{more})" if named and count else str(count)


def could_lose_rows(component: t.Mapping[str, t.Any], kind: str) -> bool:
    """Whether the number of lost rows is a question at all: only going back to a recovery point loses rows."""
    restored = kind in ("restore", "rebuild") or (kind == "other" and component["rto"]["measured_s"] is not None)
    return component["rpo"]["target_s"] is not None and restored


def row_text(row: t.Any) -> str:
    """One lost row in a line: its key, or ``name=value`` pairs."""
    if isinstance(row, dict):
        return " ".join(f"{name}={value}" for name, value in row.items())
    return str(row)


def moment_text(time: str | None) -> str:
    """``2026-11-21 05:10:00 UTC``."""
    return f"{time[:19].replace('T', ' ')} UTC" if time else NOTHING


def clock_text(time: str) -> str:
    return format_time(parse_time(time))[11:19]


def size_text(length: float | None) -> str:
    """``12.3 MiB``."""
    if length is None:
        return NOTHING
    for unit in ("B", "KiB", "MiB", "GiB"):
        if length < 1024:
            return f"{length:.0f} {unit}" if unit == "B" else f"{length:.1f} {unit}"
        length /= 1024
    return f"{length:.1f} TiB"


def printable(text: str) -> str:
    """On one line and without control characters: a component's message must not steer a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)


def said_once(findings: t.Iterable[t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """What is found of several components in the same words, such as a store that is full, once and with their names."""
    names: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        concerned = names.setdefault((finding["severity"], finding["text"]), [])
        if finding["component"]:
            concerned.append(finding["component"])
    return [
        {"severity": severity, "component": _named(concerned), "text": text}
        for (severity, text), concerned in names.items()
    ]


def passed_over(report: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """Why the runbook did nothing to components, as findings are said; of a health check, its probes say what was asked."""
    if report["kind"] == "health":
        return []
    found = {finding["text"] for finding in report["findings"]}
    reasons = [
        {"severity": "skipped", "component": item["name"], "text": item["message"] or item["reason"]}
        for item in report["components"]
        if item["outcome"] == "skipped"
    ]
    return said_once(reason for reason in reasons if reason["text"] not in found)


def _named(components: t.Sequence[str]) -> str | None:
    more = f" and {len(components) - _NAMED} more" if len(components) > _NAMED else ""
    return ", ".join(components[:_NAMED]) + more or None


def told_beside(message: str, item: t.Mapping[str, t.Any]) -> list[str]:
    """``expected: …``, ``found: …`` and ``next: …`` of a probe or an objective, as far as it knows.

    Where it could not be asked, the message says what was expected and found of the asking, and the answer is none.
    """
    said = (("expected", item["expected"]), ("found", item["measured"]), ("next", item["hint"]))
    return [f"{name}: {text}" for name, text in said if text and f"; {name}: " not in message]


def worst_first(probes: t.Iterable[t.Mapping[str, t.Any]]) -> list[t.Mapping[str, t.Any]]:
    """Failed, unknown, warning, ok; of the same outcome the critical ones first, else as they were."""
    return sorted(probes, key=lambda probe: (_WORST.index(probe["outcome"]), not probe["critical"]))


def outcome_counts(probes: t.Iterable[t.Mapping[str, t.Any]]) -> str:
    """``1 failed, 12 ok``."""
    found = [probe["outcome"] for probe in probes]
    return ", ".join(f"{found.count(outcome)} {outcome}" for outcome in _WORST if outcome in found)


def change_text(change: t.Mapping[str, t.Any]) -> str:
    """One entry of ``previous.probes`` in a line."""
    where = f"{change['component']}: {change['probe']}"
    if change["was"] == "absent":
        text = f"{where}: new, {change['now']}"
    elif change["now"] == "absent":
        text = f"{where}: gone, was {change['was']}"
    elif change["now"] == change["was"]:
        text = f"{where}: still {change['now']}, for another reason"
    else:
        text = f"{where}: {change['was']} → {change['now']}"
    return text if change["now"] in ("ok", "absent") or not change["message"] else f"{text} ({change['message']})"


def changes_worst_first(previous: t.Mapping[str, t.Any]) -> list[tuple[str, str]]:
    """What is not as it was, each in words and what it is now: what went wrong, then verdicts, what is well again or gone last.

    What a probe is now is its outcome, or disabled or absent; of verdicts it is empty.
    """
    probes = [(change_text(change), str(change["now"])) for change in previous.get("probes", [])]
    wrong = [change for change in probes if change[1] in ("failed", "unknown", "warning")]
    others = [change for change in probes if change not in wrong]
    return [*wrong, *((text, "") for text in previous["changes"]), *others]


def share_text(value: float | None) -> str:
    """``99.95 %``, ``38.3 %``; figures that differ from 100 % or from 0 % by little keep what tells them from it."""
    if value is None:
        return NOTHING
    text = f"{100 * value:.{4 if value > 0.99 or abs(value) < 0.01 else 1}f}".rstrip("0").rstrip(".")
    return f"{text} %"


def objective_figures(item: t.Mapping[str, t.Any]) -> str:
    """What was measured of a service's objective, against what, what is left of its budget, and how well it is known."""
    # Where nothing is known of it, why that is so is what matters.
    parts = [item["message"] if item["outcome"] == "unknown" else item["measured"] or "not measured"]
    if item["expected"]:
        parts.append(f"expected {item['expected']}")
    if item["budget"] and item["budget"]["left"] is not None:
        parts.append(f"{share_text(item['budget']['left'])} of the error budget left")
    # What was measured says it itself, as a rule.
    if item["coverage"] is not None and "of the window" not in parts[0]:
        parts.append(f"{share_text(item['coverage'])} of the window covered")
    firing = sum(rate["firing"] for rate in item["burn_rates"])
    if firing:
        parts.append(f"burning too fast in {firing} of {len(item['burn_rates'])} pairs of windows")
    if item["exhausts_at"]:
        parts.append(f"exhausted by {moment_text(item['exhausts_at'])}")
    return ", ".join(parts)


def burn_text(rate: t.Mapping[str, t.Any]) -> str:
    """``1 h 2.1× (limit 14.4×)``, with a mark where both windows of the pair are beyond it."""
    if rate["long"] is None:
        return f"{duration_text(rate['long_s'])} unknown"
    limit = f" (limit {rate['factor']:g}×)" if rate["factor"] is not None else ""
    return f"{duration_text(rate['long_s'])} {rate['long']:.3g}×{limit}{' firing' if rate['firing'] else ''}"
