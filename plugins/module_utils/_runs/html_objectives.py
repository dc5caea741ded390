# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A component on the page: its two gauges, how far its recovery point is proven, what was lost, its probes."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._runs.markup import Html, tag
from ansible_collections.sre.runbooks.plugins.module_utils._runs.words import (
    NOTHING,
    duration_text,
    measured_text,
    moment_text,
    rows_lost_text,
    size_text,
    tone,
    verdict_word,
    worst_first,
)

_PROBES_SHOWN = 200
_LEVELS = ("taken", "verified", "restored", "asserted")
_PROBE_TONES = {"ok": "met", "warning": "missed", "unknown": "unknown"}
_GAUGE_TITLES = {"rpo": "data loss allowed and measured", "rto": "recovery time allowed and measured"}


def component_card(component: t.Mapping[str, t.Any], kind: str) -> Html:
    engine = f"{component['engine']} {component['engine_version'] or ''}".strip()
    gauges = [_gauge(name, component[name]) for name in ("rpo", "rto") if _applies(component[name])]
    title = tag("div", tag("h3", component["name"]), tag("p", engine, class_="soft") if engine else None)
    return tag(
        "article",
        tag("header", title, tag("span", verdict_word(component, kind), class_="badge", title=component["reason"])),
        # Of a health check, the probes and the findings say it.
        tag("p", component["message"], class_="message")
        if component["message"] and not _is_probed(component, kind)
        else None,
        tag("div", gauges, class_="gauges") if gauges else None,
        _ladder(component["proof"]),
        _details(component, kind),
        _probes(component["probes"], component["name"]),
        _disabled(component.get("probes_disabled", {})),
        class_=f"card component {tone(verdict_word(component, kind))}",
    )


def _is_probed(component: t.Mapping[str, t.Any], kind: str) -> bool:
    return kind == "health" and bool(component["probes"])


def _applies(objective: t.Mapping[str, t.Any]) -> bool:
    return any(objective[name] is not None for name in ("target_s", "measured_s", "at_most_s"))


def _gauge(name: str, objective: t.Mapping[str, t.Any]) -> Html:
    target, measured = objective["target_s"], objective["measured_s"]
    value = measured if measured is not None else objective["at_most_s"]
    scale = max(target or 0.0, value or 0.0) * (1.12 if (value or 0) > (target or 0) else 1.0) or 1.0
    parts = [tag("i", class_="room", style=_width(1.0 if not target else max(target, value or 0) / scale))]
    if value is not None and target is not None:
        bound = " bound" if measured is None else ""
        parts.append(tag("i", class_=f"fill{bound}", style=_width(value / scale)))
    elif value is None:
        parts = [tag("i", class_="none", style=_width(1.0))]
    if target is not None and value is not None and value > target:
        parts.append(tag("i", class_="target", style=f"left:{100 * target / scale:.2f}%"))
    text = measured_text(objective)
    small = "" if value is not None else " small"
    allowed = f"target {duration_text(target)}" if target is not None else "no target"
    return tag(
        "div",
        tag("div", tag("b", name.upper()), tag("span", allowed), class_="gauge-head"),
        tag("div", "not measured" if text == "unknown" else text, class_=f"gauge-value{small}"),
        tag("div", parts, class_="bar", role="img", aria_label=f"{_GAUGE_TITLES[name]}: {allowed}, {text}"),
        tag("div", objective["basis"], class_="basis") if objective["basis"] else None,
        # Without a target there is nothing to meet: no colour.
        class_=objective["verdict"] or "unknown",
    )


def _width(share: float) -> str:
    return f"width:{100 * min(1.0, max(0.0, share)):.2f}%"


def _ladder(level: str | None) -> Html | None:
    if level not in _LEVELS:
        return None
    reached = _LEVELS.index(level)
    steps = [
        tag("li", name, class_=" ".join(["reached"] * (index <= reached) + ["here"] * (index == reached)) or None)
        for index, name in enumerate(_LEVELS)
    ]
    return tag("ol", steps, class_="ladder", aria_label=f"proof: {level}")


def _details(component: t.Mapping[str, t.Any], kind: str) -> Html:
    rows: list[tuple[str, t.Any]] = []
    if component["recovery_point"]:
        rows.append(("Recovery point", tag("code", component["recovery_point"])))
    if component["consistency_time"]:
        size = f", {size_text(component['size_bytes'])}" if component["size_bytes"] is not None else ""
        rows.append(("Shows", f"{moment_text(component['consistency_time'])}{size}"))
    if component["proof"] == "damaged":
        rows.append(("Proof", tag("b", "damaged", class_="failed", style="color:var(--tone)")))
    if component["proof_at"]:
        rows.append(("Proven", moment_text(component["proof_at"])))
    lost = rows_lost_text(component, kind)
    if lost != NOTHING:
        rows.append(("Rows lost", lost))
    if component["depends_on"]:
        rows.append(("Depends on", ", ".join(component["depends_on"])))
    rows.append(("Result", component["reason"]))
    return tag("dl", [(tag("dt", name), tag("dd", value)) for name, value in rows], class_="details")


def _probes(probes: t.Sequence[t.Mapping[str, t.Any]], component: str) -> Html | None:
    """One chip a probe, the worst first; what stands above all of them is not said in each again."""
    if not probes:
        return None
    items = [
        tag(
            "li",
            probe["name"].removeprefix(f"{component} "),
            tag("span", f" {duration_text(probe['duration_s'])}", class_="faint") if probe["duration_s"] else None,
            class_=_PROBE_TONES.get(probe["outcome"], "failed"),
            title=" · ".join(part for part in (probe["outcome"], probe["measured"], probe["message"]) if part),
        )
        for probe in worst_first(probes)[:_PROBES_SHOWN]
    ]
    if len(probes) > _PROBES_SHOWN:
        items.append(tag("li", f"{len(probes) - _PROBES_SHOWN} more in report.json", class_="plain"))
    return tag("ul", items, class_="probes")


def _disabled(probes: t.Mapping[str, str]) -> Html | None:
    """Probes that are left out: on paper, too, with the reason."""
    if not probes:
        return None
    return tag("ul", [tag("li", f"{name}: {reason}") for name, reason in probes.items()], class_="disabled")
