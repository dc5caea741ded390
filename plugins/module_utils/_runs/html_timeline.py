# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps of a run as bars along its time, one lane a step, grouped by component."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_time
from ansible_collections.sre.runbooks.plugins.module_utils._runs.markup import Html, tag
from ansible_collections.sre.runbooks.plugins.module_utils._runs.timeline import failure_text
from ansible_collections.sre.runbooks.plugins.module_utils._runs.words import duration_text, moment_text

_LANES_SHOWN = 300
_LEGEND = (
    ("ok", "ok"),
    ("changed", "changed"),
    ("skipped", "skipped"),
    ("failed", "failed"),
    ("interrupted", "interrupted"),
)


def timeline_card(report: t.Mapping[str, t.Any]) -> Html:
    entries = report["timeline"][:_LANES_SHOWN]
    if not entries:
        return tag("p", "No step was recorded.", class_="card allclear")
    start, end = _span(report, entries)
    groups: dict[str, list[Html]] = {}
    for entry in entries:
        groups.setdefault(entry["component"] or "the run as a whole", []).append(_lane(entry, start, end))
    left = len(report["timeline"]) - len(entries)
    shown = {entry["outcome"] for entry in entries}
    return tag(
        "div",
        _axis(start, end),
        [(tag("div", name, class_="group"), lanes) for name, lanes in groups.items()],
        tag("p", f"{left} more steps are in report.json.", class_="soft") if left else None,
        tag("ul", [tag("li", text, class_=name) for name, text in _LEGEND if name in shown], class_="legend"),
        class_="card timeline",
    )


def _span(
    report: t.Mapping[str, t.Any], entries: t.Sequence[t.Mapping[str, t.Any]]
) -> tuple[datetime.datetime, datetime.datetime]:
    """From the first start to the last end; clocks of hosts may disagree with the controller's."""
    starts = [parse_time(report["started"]), *(parse_time(entry["at"]) for entry in entries)]
    ends = [parse_time(report["finished"]), *(_end(entry) for entry in entries)]
    start, end = min(starts), max(ends)
    return start, max(end, start + datetime.timedelta(seconds=1))


def _end(entry: t.Mapping[str, t.Any]) -> datetime.datetime:
    return parse_time(entry["at"]) + datetime.timedelta(seconds=entry["duration_s"] or 0)


def _axis(start: datetime.datetime, end: datetime.datetime) -> Html:
    length = (end - start).total_seconds()
    ticks = [
        tag("span", duration_text(length * quarter / 4) if quarter else "0", style=f"left:{25 * quarter}%")
        for quarter in range(5)
    ]
    begun = start.strftime("from %H:%M:%S UTC")
    return tag("div", tag("span", begun), tag("div", ticks, class_="ticks"), tag("span"), class_="axis")


def _lane(entry: t.Mapping[str, t.Any], start: datetime.datetime, end: datetime.datetime) -> Html:
    length = (end - start).total_seconds()
    offset = (parse_time(entry["at"]) - start).total_seconds() / length
    interrupted = entry["outcome"] == "interrupted"
    share = 1.0 - offset if interrupted else (entry["duration_s"] or 0.0) / length
    # A bar at the very end still has its 4 pixels inside the rail.
    style = f"left:min({100 * offset:.3f}%, calc(100% - 4px));width:{100 * min(share, 1.0 - offset):.3f}%"
    hint = " · ".join(part for part in (moment_text(entry["at"]), entry["outcome"], failure_text(entry)) if part)
    took = "cut off" if interrupted else duration_text(entry["duration_s"])
    return tag(
        "div",
        tag("span", entry["step"], title=entry["step"]),
        tag("div", tag("i", style=style, class_=entry["outcome"], title=hint), class_="rail"),
        tag("span", took if entry["outcome"] in ("ok", "changed", "interrupted") else f"{entry['outcome']} {took}"),
        class_=f"lane {entry['outcome']}",
    )
