# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On the page: what changed since the run before, the objectives of services, and what a checklist leaves to people."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._runs.markup import Html, tag
from ansible_collections.sre.runbooks.plugins.module_utils._runs.words import (
    NOTHING,
    burn_text,
    changes_worst_first,
    duration_text,
    former_verdict_text,
    moment_text,
    share_text,
)

_CHANGES_LISTED = 100
_TONES = {
    "failed": "failed",
    "unknown": "unknown",
    "warning": "missed",
    "disabled": "unknown",
    "absent": "unknown",
    "": "plain",
}


def changes_card(previous: t.Mapping[str, t.Any] | None, problem: str) -> list[Html] | None:
    """The differences to the run before; nothing when the repository knows of none.

    :arg problem: why nobody knows whether there is one.
    """
    if previous is None and problem:
        return [tag("h2", "Changed since the run before"), tag("div", tag("p", problem), class_="card allclear")]
    if previous is None:
        return None
    items = [tag("li", text, class_=_TONES.get(now, "met")) for text, now in changes_worst_first(previous)]
    left = len(items) - _CHANGES_LISTED
    since = f"{former_verdict_text(previous)}, finished {moment_text(previous['finished'])}: "
    return [
        tag("h2", "Changed since the run before"),
        tag(
            "div",
            tag("ul", items[:_CHANGES_LISTED], class_="changes") if items else tag("p", "Nothing notable."),
            tag("p", f"{left} more are in report.json.") if left > 0 else None,
            tag("p", since, tag("code", previous["run_id"]), class_="since"),
            class_="card allclear",
        ),
    ]


def objective_cards(objectives: t.Sequence[t.Mapping[str, t.Any]]) -> list[Html] | None:
    if not objectives:
        return None
    return [
        tag("h2", "Service level objectives"),
        tag("div", [_objective_card(item) for item in objectives], class_="components"),
    ]


def checklist_card(checklist: t.Mapping[str, t.Any] | None) -> list[Html] | None:
    """What people look at beside the probes, with boxes for a pen."""
    if not checklist:
        return None
    boxes = [tag("li", item) for item in checklist["review"]]
    return [
        tag("h2", f"Checklist {checklist['name']}"),
        tag(
            "div",
            tag("p", checklist["description"]) if checklist["description"] else None,
            tag("ul", boxes, class_="boxes") if boxes else None,
            class_="card allclear",
        ),
    ]


def _objective_card(item: t.Mapping[str, t.Any]) -> Html:
    title = tag("div", tag("h3", item["name"]), tag("p", item["description"] or item["kind"], class_="soft"))
    rows = [
        ("Expected", item["expected"] or NOTHING),
        ("Window", duration_text(item["window_s"])),
        ("Covered", share_text(item["coverage"])),
        ("Trend", _trend_text(item["trend"])),
        ("Exhausted by", moment_text(item["exhausts_at"]) if item["exhausts_at"] else None),
        ("Service", " · ".join(part for part in (item["service"], item["component"]) if part) or None),
    ]
    rates = [tag("li", burn_text(rate), class_=_burn_tone(rate)) for rate in item["burn_rates"]]
    return tag(
        "article",
        tag("header", title, tag("span", item["outcome"], class_="badge")),
        tag("p", item["message"], class_="message") if item["outcome"] != "met" else None,
        tag("div", item["measured"] or "not measured", class_="gauge-value figure"),
        _budget(item["budget"]),
        tag("ul", rates, class_="probes", aria_label="burn rates") if rates else None,
        tag("dl", [(tag("dt", name), tag("dd", text)) for name, text in rows if text], class_="details"),
        class_=f"card component {item['outcome']}",
    )


def _burn_tone(rate: t.Mapping[str, t.Any]) -> str:
    if rate["firing"]:
        return "failed"
    return "unknown" if rate["long"] is None else "met"


def _budget(budget: t.Mapping[str, t.Any] | None) -> Html | None:
    if not budget or budget["left"] is None:
        return None
    left = budget["left"]
    share = f"width:{100 * min(1.0, max(0.0, left)):.2f}%"
    # Overspent is drawn as a whole bar of stripes: an empty one would look like little.
    fill = tag("i", class_="fill", style=share) if left > 0 else tag("i", class_="fill bound", style="width:100%")
    bar = [tag("i", class_="room", style="width:100%"), fill]
    text = share_text(left)
    return tag(
        "div",
        tag("div", tag("b", "ERROR BUDGET"), tag("span", f"{text} left"), class_="gauge-head"),
        tag("div", bar, class_="bar", role="img", aria_label=f"error budget: {text} left"),
        class_="budget",
    )


def _trend_text(trend: t.Mapping[str, t.Any] | None) -> str | None:
    if not trend or trend["change"] is None:
        return None
    direction = "no change" if trend["change"] == 0 else f"{100 * trend['change']:+.3g} points"
    return f"{direction} against the window before ({share_text(trend['former_sli'])})"
