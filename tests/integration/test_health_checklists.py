# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checklists select, remind and are refused when they are not what they seem."""

from __future__ import annotations

import html
import pathlib
import typing as t

import pytest
import yaml

from tests.servers.health_environment import HealthEnvironment

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_a_checklist_selects_and_reminds(health: HealthEnvironment) -> None:
    pages = {
        "kinds": ["http"],
        "components": ["fr*"],
        "review": ["Look at the pages"],
        "probes": [{"name": "a port", "kind": "tcp", "host": "127.0.0.1", "port": 1, "critical": False}],
    }
    health.write(health_checklists={"pages": pages, "nothing": {"kinds": ["kafka"]}, "bad": {"kind": ["http"]}})
    code, screen = health.check("-e", "checklist=pages")
    report = health.report()
    assert code == 0 and "to look at: Look at the pages" in screen, screen
    assert (report["runbook"], report["kind"], report["checklist"]["name"]) == ("check_health-pages", "health", "pages")
    assert [(probe["component"], probe["name"]) for probe in report["probes"]] == [
        ("front", "front answers"),
        ("front", "a port"),
    ]
    code, screen = health.check("-e", "checklist=nothing")
    assert code != 0 and "no probe ran" in screen
    # A probe that names its component is asked of that, whatever else the checklist is about.
    pages["probes"][0].update(component="back", critical=True)
    far = {"components": ["front", "bakc"]}
    health.write(health_checklists={"pages": pages, "far": far, "bad": {"kind": ["http"]}})
    code, screen = health.check("-e", "checklist=pages")
    assert code != 0 and "back: probe \u201ca port\u201d: connection refused" in screen, screen
    code, screen = health.check("-e", "checklist=far")
    assert code != 0 and "names no component that there is, did you mean 'back'?" in screen, screen
    two = {"names": ["front answers", "bakc answers"]}
    health.write(health_checklists={"two": two, "bad": {"kind": ["http"]}})
    code, screen = health.check("-e", "checklist=two")
    assert code != 0 and "found: bakc answers (did you mean back answers?)" in screen, screen
    for wrong, says in (("mornin", "did you mean 'morning'?"), ("bad", "did you mean 'kinds'?")):
        code, screen = health.check("-e", f"checklist={wrong}")
        assert code != 0 and says in screen and "check_health-" not in screen, screen


BUILTIN: dict[str, dict[str, t.Any]] = yaml.safe_load((ROOT / "roles/health/vars/main.yml").read_text("utf-8"))[
    "__health_builtin_checklists"
]


@pytest.mark.parametrize("name", ["morning", "weekly", "monthly", "quarterly"])
def test_each_checklist_that_comes_along_asks_everything(health: HealthEnvironment, name: str) -> None:
    assert sorted(BUILTIN) == ["monthly", "morning", "quarterly", "weekly"]
    code, screen = health.check("-e", f"checklist={name}")
    report = health.report()
    assert code == 0 and report["verdict"] == "met", screen
    assert report["checklist"] == {"name": name, **BUILTIN[name]} and report["runbook"] == f"check_health-{name}"
    assert len(report["probes"]) == sum(len(probes) for probes in health.probes.values())
    page = (health.reports / "latest" / "report.html").read_text("utf-8")
    for item in BUILTIN[name]["review"]:
        assert f"to look at: {item}" in screen and html.escape(item, quote=False).split("'")[0] in page


def test_what_a_checklist_asks_and_nobody_wants_to_hear_is_said(health: HealthEnvironment) -> None:
    health.write(
        health_checklists={"pages": {"kinds": ["http"]}}, health_probes_disabled={"back answers": "being rebuilt"}
    )
    code, screen = health.check("-e", "checklist=pages")
    said = "every probe that the checklist pages asks of it is left out"
    assert code == 0 and f"warning: back: {said}" in screen and "back answers: being rebuilt" in screen, screen
    assert {"severity": "warning", "component": "back", "text": said} in health.report()["findings"]
    # Nobody was asked anything.
    code, screen = health.check("-e", "checklist=pages", "--limit", "back")
    assert code != 0 and "no probe ran" in screen and said in screen, screen
