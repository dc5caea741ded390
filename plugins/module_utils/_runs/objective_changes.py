# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which objectives of services are not what they were when they were last judged."""

from __future__ import annotations

import typing as t


def was_evaluated(item: t.Mapping[str, t.Any]) -> bool:
    """Whether there is such an objective, met or not, as opposed to a name under which a mistake in the input was reported."""
    return bool(item.get("kind"))


def is_of_another_window(item: t.Mapping[str, t.Any], now: t.Sequence[t.Mapping[str, t.Any]]) -> bool:
    """Whether it was judged over another window than the one of its name now."""
    windows = {one["name"]: one.get("window_s") for one in now if was_evaluated(one)}
    return was_evaluated(item) and item["name"] in windows and windows[item["name"]] != item.get("window_s")


def objective_changes(
    now: t.Sequence[t.Mapping[str, t.Any]], before: t.Sequence[t.Sequence[t.Mapping[str, t.Any]]]
) -> list[str]:
    """What changed, in words. An objective over another window is another question, and nothing to compare with.

    :arg before: the objectives of each run before, the newest first.
    """
    known = {item["name"] for items in before for item in items if was_evaluated(item)}
    before = [[item for item in items if not is_of_another_window(item, now)] for items in before]
    last = {item["name"]: item["outcome"] for items in reversed(before) for item in items}
    judged = {item["name"]: item["outcome"] for items in reversed(before) for item in items if was_evaluated(item)}
    changes = []
    for item in now:
        name, outcome = item["name"], item["outcome"]
        if name not in judged:
            # A name that is only a mistake has no history.
            changes += [f"objective {name}: new, {outcome}"] if was_evaluated(item) and name not in known else []
            continue
        former = [last[name]] + ([judged[name]] if was_evaluated(item) else [])
        other = next((one for one in former if one != outcome), None)
        if other is not None:
            changes.append(f"objective {name}: {other} → {outcome}")
    names = {item["name"] for item in now}
    return changes + [
        # Taken out, or not asked for this time.
        f"objective {name}: not judged, was {judged[name]}"
        for name in sorted(_judged_then(before))
        if name not in names
    ]


def _judged_then(before: t.Sequence[t.Sequence[t.Mapping[str, t.Any]]]) -> set[str]:
    """The objectives of the run before, or of the one before that where it reported nothing but a mistake."""
    for items in before:
        judged = {str(item["name"]) for item in items if was_evaluated(item)}
        if judged or not items:
            return judged
    return set()
