# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the screen says at the end of a run, and what all faces of a report say alike."""

from __future__ import annotations

import pathlib
import re
import sys
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._runs.announcement import announcement
from ansible_collections.sre.runbooks.plugins.module_utils._runs.findings import build_findings
from ansible_collections.sre.runbooks.plugins.module_utils._runs.render_html import render_html
from ansible_collections.sre.runbooks.plugins.module_utils._runs.render_markdown import render_markdown
from ansible_collections.sre.runbooks.plugins.module_utils._runs.render_text import summary_lines
from ansible_collections.sre.runbooks.plugins.module_utils._runs.words import could_lose_rows

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from page import Page
from sample_report import health_report, rebuild_report, troubled_report


def test_summary_is_aligned_and_names_lost_rows() -> None:
    lines = summary_lines(rebuild_report(), ["/srv/reports/report.html"])
    header, rule, *rows = lines[:4]
    for heading in ("RPO", "RTO", "rows lost", "proof", "verdict"):
        column = header.index(heading)
        assert rule[column] == "─" and rule[column - 1] == " "
        assert all(row[column - 1] == " " and row[column] != " " for row in rows)
    assert rows[0][header.index("rows lost") :].startswith("3 ")
    assert lines[-1] == "report: /srv/reports/report.html"
    assert "objectives met" in "\n".join(lines)


def test_a_run_that_judged_nothing_claims_nothing() -> None:
    report = rebuild_report()
    report.update(kind="other", runbook="collect_diagnostics", verdict_reason="no objective was judged")
    shown = [
        "\n".join(summary_lines(report)),
        Page(render_html(report)).text,
        render_markdown(report),
        announcement(report, "")["text"],
    ]
    for text in shown:
        assert not re.search(r"(?:objectives|components) met|\*\*met\*\*|\bmet$", text, re.I | re.M)
        assert re.search(r"\bdone\b", text, re.I)
    assert not re.search(r'class="card (hero|component) met"', render_html(report))


def skipped_report(*skipped: str) -> dict[str, t.Any]:
    """Of a runbook that judges nothing, which passed over those components."""
    report = rebuild_report()
    report.update(kind="other", runbook="prepare_archiving", verdict_reason="every component was skipped")
    for item in report["components"]:
        if item["name"] in skipped:
            item.update(outcome="skipped", reason="nothing to do", message="its engine keeps *no* archive")
    return report


def test_a_run_that_passed_over_every_component_says_so_and_why() -> None:
    report = skipped_report(*(item["name"] for item in rebuild_report()["components"]))
    lines = summary_lines(report)
    assert any(line.startswith("prepare_archiving of ") and ": nothing to do (" in line for line in lines)
    names = ", ".join(item["name"] for item in report["components"])
    assert f"skipped: {names}: its engine keeps *no* archive" in lines, "once, with the names of all"
    written = render_markdown(report)
    assert written.startswith("# Nothing to do: ") and "## Skipped" in written
    assert "its engine keeps \\*no\\* archive" in written
    page = Page(render_html(report)).text
    assert "Nothing to do" in page and "its engine keeps *no* archive" in page
    assert announcement(report, "")["text"].startswith("Nothing to do: ")
    for text in ("\n".join(lines), written, page):
        assert not re.search(r"\bdone\b", text, re.I)


def test_a_component_that_was_passed_over_beside_others_says_why() -> None:
    first, *others = rebuild_report()["components"]
    report = skipped_report(first["name"])
    lines = summary_lines(report)
    assert f"skipped: {first['name']}: its engine keeps *no* archive" in lines
    assert next(line for line in lines if line.startswith(first["name"])).endswith("   skipped")
    assert others and any(": done (" in line for line in lines)
    assert "- flights\\_db: its engine keeps \\*no\\* archive" in render_markdown(report)


def test_a_screen_with_many_reasons_says_how_many_are_left_out() -> None:
    report = skipped_report()
    like = report["components"][0]
    report["components"] = [
        {**like, "name": f"db{number}", "outcome": "skipped", "message": f"proven {number} hours ago"}
        for number in range(40)
    ]
    lines = summary_lines(report)
    assert len([line for line in lines if line.startswith("skipped: ")]) == 25
    assert "  and 15 more in the report" in lines


def test_summary_says_what_was_done_and_cuts_no_command() -> None:
    report = rebuild_report()
    command = "ansible-playbook sre.runbooks.drill_restores --limit db " + "-e some_variable=value " * 40
    report["components"][0]["message"] = f"restored; the same again: {command}"
    report["findings"].append({"severity": "failure", "component": "db", "text": f"broken; next: {command}"})
    lines = summary_lines(report)
    assert f"flights_db: restored; the same again: {command}" in lines
    assert f"  next: {command}" in lines


def test_changes_for_the_worse_come_first_and_what_is_gone_last() -> None:
    report = health_report()
    gone = {"component": "flights_api", "was": "ok", "now": "absent", "message": ""}
    report["previous"]["probes"] = [
        *({**gone, "probe": f"page {number}"} for number in range(30)),
        {"component": "flights_api", "probe": "door", "was": "ok", "now": "failed", "message": "refused"},
    ]
    report["previous"]["changes"] = ["flights_api: met \u2192 failed"]
    first = [
        "flights_api: door: ok \u2192 failed (refused)",
        "flights_api: met \u2192 failed",
        "flights_api: page 0: gone, was ok",
    ]
    lines = [line.strip() for line in summary_lines(report)]
    start = lines.index(first[0])
    assert lines[start : start + 3] == first
    assert announcement(report, "")["changes"][:3] == first
    page = Page(render_html(report)).text
    assert page.index(first[0]) < page.index(first[1]) < page.index(first[2])


def test_nothing_is_judged_of_what_was_not_asked() -> None:
    report = health_report()
    component = report["components"][0]
    component["rpo"].update(verdict="missed", measured_s=9999.0)
    told = [finding["text"] for finding in build_findings(report, [])]
    assert any(text.startswith("RPO missed") for text in told), told
    component.update(outcome="skipped", probes=[])
    assert not any(text.startswith("RPO missed") for text in [one["text"] for one in build_findings(report, [])])


def test_summary_has_no_table_of_nothing() -> None:
    report = health_report()
    names = [component["name"] for component in report["components"]]
    assert len(names) > 1 and any(line.startswith("component ") for line in summary_lines(report))
    report["components"][0].update(outcome="skipped", probes=[])
    lines = summary_lines(report)
    assert f"nothing was asked of {names[0]}" in lines and not any(line.startswith(f"{names[0]} ") for line in lines)
    assert "**not asked**" in render_markdown(report)
    for nothing in (report["components"][:1], []):
        lines = summary_lines({**report, "components": nothing})
        assert not any(line.startswith(("component ", "─")) for line in lines)


def test_summary_cannot_steer_the_terminal() -> None:
    assert all(line.isprintable() for line in summary_lines(troubled_report()))


def test_lost_rows_beyond_five_are_counted() -> None:
    report = rebuild_report()
    report["components"][0].update(rows_lost=12, lost_rows=[{"id": number} for number in range(12)])
    assert "… 7 more" in render_markdown(report)


@pytest.mark.parametrize(
    ("kind", "restored_in_s", "asked"),
    [
        ("restore", None, True),
        ("rebuild", None, True),
        ("other", 3.0, True),
        ("other", None, False),
        ("backup", 3.0, False),
    ],
)
def test_lost_rows_are_asked_for_where_something_went_back(kind: str, restored_in_s: float | None, asked: bool) -> None:
    component = {"rpo": {"target_s": 60.0}, "rto": {"measured_s": restored_in_s}}
    assert could_lose_rows(component, kind) is asked


def test_what_several_components_say_is_said_once_with_their_names() -> None:
    """A directory that cannot be written to would fill the screen, component by component."""
    report = troubled_report()
    names = [f"db{number}" for number in range(10)]
    text = "the archive could be written nowhere; expected: a directory; found: none; next: mkdir /srv"
    same = [{"severity": "failure", "component": name, "text": text} for name in names]
    other = {"severity": "failure", "component": "app", "text": "no connection"}
    report["findings"] = [same[0], other, *same[1:], {"severity": "warning", "component": "db0", "text": text}]
    named = "db0, db1, db2, db3, db4, db5, db6, db7 and 2 more"
    lines = summary_lines(report)
    assert [line for line in lines if line.startswith(("failure: ", "warning: "))] == [
        f"failure: {named}: the archive could be written nowhere",
        "failure: app: no connection",
        "warning: db0: the archive could be written nowhere",
    ]
    for told in (render_markdown(report), render_html(report)):
        assert told.count("the archive could be written nowhere") == 2 and named in told
        assert "no connection" in told
