# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which probes are not what they were in the run before: the first thing that a health check shows."""

from __future__ import annotations

import re
import typing as t

#: What a probe can be, the worst first. "disabled" was left out with a reason, "absent" was not part of the run.
STATES = ("failed", "unknown", "warning", "disabled", "absent", "ok")
_FIRST_CLAUSE = re.compile(r"(?:(?!: |[;(]).)*")
_WORD = re.compile(r"[a-z]{4,},?")


def probe_changes(component: t.Mapping[str, t.Any], before: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """``{component, probe, was, now, message}`` of each probe of a component that changed its state.

    One that could not be asked then, and cannot now for another reason, is unknown in both.
    """
    was, is_now = _states(before), _states(component)
    messages = {name: probe["message"] for name, probe in _named(component)}
    former = {name: probe["message"] for name, probe in _named(before)}
    return [
        {
            "component": component["name"],
            "probe": name,
            "was": was.get(name, "absent"),
            "now": is_now.get(name, "absent"),
            "message": messages.get(name) or component.get("probes_disabled", {}).get(name, ""),
        }
        for name in dict.fromkeys([*is_now, *was])
        if was.get(name, "absent") != is_now.get(name, "absent")
        or (is_now.get(name) == "unknown" and _is_another_reason(former[name], messages[name]))
    ]


def by_weight(change: t.Mapping[str, t.Any]) -> tuple[int, int]:
    """Sorts what is bad now first, then what was bad and is well."""
    return STATES.index(change["now"]), STATES.index(change["was"])


def _is_another_reason(was: str, is_now: str) -> bool:
    """Whether they have no word in common: figures, names and plurals differ from run to run where the reason does not."""
    before, now = _words(was), _words(is_now)
    return bool(before and now) and not before & now


def _words(message: str) -> set[str]:
    """Of the first clause, without figures, names with figures and addresses."""
    first = _FIRST_CLAUSE.match(message.lower())
    return {word.rstrip(",") for word in (first[0] if first else "").split() if _WORD.fullmatch(word)}


def _states(component: t.Mapping[str, t.Any]) -> dict[str, str]:
    found = dict.fromkeys(component.get("probes_disabled", {}), "disabled")
    found.update((name, probe["outcome"]) for name, probe in _named(component))
    return found


def _named(component: t.Mapping[str, t.Any]) -> t.Iterator[tuple[str, t.Mapping[str, t.Any]]]:
    """Two probes of one name are told apart by their order."""
    seen: dict[str, int] = {}
    for probe in component["probes"]:
        seen[probe["name"]] = count = seen.get(probe["name"], 0) + 1
        yield (probe["name"] if count == 1 else f"{probe['name']} ({count})"), probe
