# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a health check says on the screen: what changed, the probes by component with failures first, the objectives."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._runs.words import (
    changes_worst_first,
    former_verdict_text,
    moment_text,
    objective_figures,
    outcome_counts,
    printable,
    worst_first,
)
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted, shortened

_CHANGES_SHOWN = 20
#: Of each component; a check that is well needs no page of "ok".
_PROBES_SHOWN = 12
_TEXT_LIMIT = 160
#: What was measured, and what was expected.
_FIGURE_LIMIT = 100


def change_lines(report: t.Mapping[str, t.Any]) -> list[str]:
    """What is not as it was in the run before; only of runbooks that are there to ask."""
    if report["kind"] not in ("health", "objectives"):
        return []
    previous = report["previous"]
    if previous is None and report["previous_problem"]:
        return [report["previous_problem"], ""]
    if previous is None:
        return ["first run of its kind that the repository knows of: nothing to compare with", ""]
    since = f"since {moment_text(previous['finished'])} ({former_verdict_text(previous)})"
    texts = [text for text, _now in changes_worst_first(previous)]
    if not texts:
        return [f"nothing changed {since}", ""]
    lines = [f"changed {since}:", *(f"  {_short(text)}" for text in texts[:_CHANGES_SHOWN])]
    if len(texts) > _CHANGES_SHOWN:
        lines.append(f"  and {len(texts) - _CHANGES_SHOWN} more in the report")
    return [*lines, ""]


def probe_lines(report: t.Mapping[str, t.Any]) -> list[str]:
    """The probes by component, failures first, those that are left out last and with the reason; then the objectives."""
    lines: list[str] = []
    if report["kind"] not in ("health", "objectives"):
        return lines
    for component in report["components"]:
        disabled = component.get("probes_disabled", {})
        if not component["probes"] and not disabled:
            continue
        counts = outcome_counts(component["probes"])
        if disabled:
            counts += f"{', ' if counts else ''}{len(disabled)} disabled"
        lines.append(f"{printable(component['name'])}: {counts}")
        for probe in worst_first(component["probes"])[:_PROBES_SHOWN]:
            weight = "" if probe["critical"] or probe["outcome"] == "ok" else ", not critical"
            lines.append(f"  {probe['outcome']:8} {_short(probe['name'] + weight)}{_found(probe)}")
        if len(component["probes"]) > _PROBES_SHOWN:
            lines.append(f"  and {counted(len(component['probes']) - _PROBES_SHOWN, 'more probe')} in the report")
        lines += [f"  disabled {_short(f'{name}: {reason}')}" for name, reason in disabled.items()]
    for item in report["service_objectives"]:
        lines.append(f"objective {item['outcome']:8} {_short(item['name'])}: {_short(objective_figures(item))}")
    return ["", *lines] if lines else []


def checklist_lines(report: t.Mapping[str, t.Any]) -> list[str]:
    checklist = report["checklist"]
    if not checklist:
        return []
    about = f" ({_short(checklist['description'])})" if checklist["description"] else ""
    return [
        f"checklist {printable(checklist['name'])}{about}",
        *(f"  to look at: {_short(item)}" for item in checklist["review"]),
    ]


def _found(probe: t.Mapping[str, t.Any]) -> str:
    """What was measured; of what is not ok first what is wrong, as what was measured reads like success by itself."""
    measured = _short(probe["measured"], _FIGURE_LIMIT)
    if probe["outcome"] == "ok" or not probe["message"]:
        return f": {measured}" if measured else ""
    wrong = _short(probe["message"])
    parts = [f"found {measured}"] if measured and measured not in wrong else []
    parts += [f"expected {_short(probe['expected'], _FIGURE_LIMIT)}"] if probe["expected"] else []
    return f": {wrong}" + (f" ({'; '.join(parts)})" if parts else "")


def _short(text: str, limit: int = _TEXT_LIMIT) -> str:
    return shortened(printable(text), limit)
