# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The objectives of services (SLOs) in a report, as ``objective_info`` found them, and what they make of the run.

The recovery objectives of components (RPO and RTO) are judged in ``objectives.py``.
"""

from __future__ import annotations

import math
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._runs.words import told_beside

#: From the worst to the best; what was not measured never counts as met.
OUTCOMES = ("missed", "unknown", "met")
_TEXT_LIMIT = 4000
#: Of those of which the same is said.
_NAMED = 8
_TEXTS = ("name", "service", "component", "description", "kind", "message", "measured", "expected", "hint")
_BURN_NUMBERS = ("long_s", "short_s", "factor", "long", "short")


def reduced(given: t.Sequence[t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """What a report keeps of the results, each name once, the worst first; figures that are no numbers become None."""
    found: dict[str, dict[str, t.Any]] = {}
    for item in given:
        kept = _reduced(item)
        found.setdefault(kept["name"], kept)
    return sorted(found.values(), key=lambda item: OUTCOMES.index(item["outcome"]))


def judge(objectives: t.Sequence[t.Mapping[str, t.Any]]) -> tuple[str, str] | None:
    """The verdict on them and its reason; None where there is none."""
    if not objectives:
        return None
    for outcome, words in (("missed", "missed"), ("unknown", "not measured")):
        names = [item["name"] for item in objectives if item["outcome"] == outcome]
        if names:
            return outcome, f"{'objective' if len(names) == 1 else 'objectives'} {words}: {', '.join(names)}"
    return "met", "every objective was met" if len(objectives) > 1 else f"objective met: {objectives[0]['name']}"


def findings_of(objectives: t.Sequence[t.Mapping[str, t.Any]]) -> t.Iterator[tuple[str, str | None, str]]:
    """Severity, component and text of what is not met, or burns its budget too fast: what is said of several, once."""
    alike: dict[tuple[str, str | None, str], list[str]] = {}
    for item in objectives:
        parts = told_beside(item["message"], item)
        if item["outcome"] != "met":
            said = "failure", item["component"] or None, "; ".join([f": {item['message']}", *parts])
        elif any(rate["firing"] for rate in item["burn_rates"]):
            said = "warning", item["component"] or None, "; ".join([" burns its budget too fast", *parts])
        else:
            continue
        alike.setdefault(said, []).append(f"\u201c{item['name']}\u201d")
    for (severity, component, text), names in alike.items():
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        yield severity, component, f"objective{'s' if names[1:] else ''} {', '.join(names[:_NAMED])}{more}{text}"


def _reduced(item: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    outcome = item.get("outcome")
    outcome = outcome if outcome in OUTCOMES else "unknown"
    kept: dict[str, t.Any] = {name: str(item.get(name) or "")[:_TEXT_LIMIT] for name in _TEXTS}
    kept["name"] = kept["name"] or "unnamed"
    kept["message"] = kept["message"] or outcome
    budget, trend = item.get("budget"), item.get("trend")
    return {
        **kept,
        "outcome": outcome,
        "target": _number(item.get("target")),
        "window_s": _number(item.get("window_s")),
        "sli": _number(item.get("sli")),
        "coverage": _number(item.get("coverage")),
        "budget": {name: _number(budget.get(name)) for name in ("total", "used", "left")}
        if isinstance(budget, dict)
        else None,
        "burn_rates": [
            {**{name: _number(rate.get(name)) for name in _BURN_NUMBERS}, "firing": rate.get("firing") is True}
            for rate in item.get("burn_rates") or []
            if isinstance(rate, dict)
        ],
        "exhausts_at": str(item["exhausts_at"]) if item.get("exhausts_at") else None,
        "trend": {name: _number(trend.get(name)) for name in ("former_sli", "change")}
        if isinstance(trend, dict)
        else None,
    }


def _number(value: t.Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)
