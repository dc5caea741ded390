# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the events of a run to its timeline: one entry a step, in the order of their starts."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_time
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Event

_FACTS_LIMIT = 50


def build_timeline(events: t.Iterable[Event]) -> list[dict[str, t.Any]]:
    """``{at, duration_s, component, step, outcome, facts}`` per step; a step without an end is "interrupted"."""
    steps: dict[str, Event] = {}
    for number, event in enumerate(events):
        key = event.step_id or f"without id {number}"
        if key not in steps or event.outcome != "started":
            steps[key] = event
    entries = [
        {
            "at": format_time(event.at),
            "duration_s": event.duration_s,
            "component": event.component,
            "step": event.step,
            "outcome": "interrupted" if event.outcome == "started" else event.outcome,
            "facts": dict(sorted(event.facts.items())[:_FACTS_LIMIT]),
        }
        for event in steps.values()
    ]
    return sorted(entries, key=lambda entry: (entry["at"], entry["step"]))


def unresolved_failures(timeline: t.Iterable[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """The steps whose last attempt failed or was cut off: a retry or a fallback that succeeded resolves a failure."""
    last: dict[tuple[str | None, str], dict[str, t.Any]] = {}
    for entry in timeline:
        last[entry["component"], entry["step"]] = entry
    return [entry for entry in last.values() if entry["outcome"] in ("failed", "interrupted")]


def failure_text(entry: t.Mapping[str, t.Any]) -> str:
    """What a failed step's record says about why, or the empty text."""
    error = entry.get("facts", {}).get("error")
    if isinstance(error, str):
        return error
    if not isinstance(error, dict):
        return ""
    parts = [str(error.get("message") or "")]
    parts += [f"{name.replace('_command', '')}: {error[name]}" for name in ("expected", "found") if error.get(name)]
    return "; ".join(part for part in parts if part)
