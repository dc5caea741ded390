# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The faces of a report for machines: JUnit and Prometheus agree with the verdict, and other programs read them."""

from __future__ import annotations

import collections
import copy
import pathlib
import re
import shutil
import subprocess
import sys
import typing as t
from xml.etree import ElementTree

import hypothesis
import hypothesis.strategies as st
import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._runs.render_junit import render_junit
from ansible_collections.sre.runbooks.plugins.module_utils._runs.render_prometheus import render_prometheus

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from sample_report import HOSTILE, health_report, rebuild_report, troubled_report

REPORTS = {"rebuild": rebuild_report(), "troubled": troubled_report(), "health": health_report()}
SAMPLE = re.compile(r'(sre_runbooks_[a-z_]+)\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\n"])*",?)*)\} (-?[0-9.e+-]+)')


def with_text(report: t.Any, text: str) -> t.Any:
    """The report with ``text`` for everything that an enemy wrote."""
    if isinstance(report, dict):
        return {text if key == HOSTILE else key: with_text(value, text) for key, value in report.items()}
    if isinstance(report, list):
        return [with_text(value, text) for value in report]
    return text if report == HOSTILE else report


def samples(report: dict[str, t.Any]) -> dict[tuple[str, str], float]:
    """Metric and labels → value; each line is one that Prometheus knows."""
    found: dict[tuple[str, str], float] = {}
    lines = render_prometheus(report).split("\n")
    assert lines[-2:] == ["# EOF", ""]
    for line in lines[:-2]:
        if line.startswith("# "):
            assert re.match(r"# (HELP|TYPE) sre_runbooks_[a-z_]+ \S", line)
            continue
        matched = SAMPLE.fullmatch(line)
        assert matched, line
        key = (matched[1], matched[2])
        assert key not in found, line
        found[key] = float(matched[3])
    return found


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_junit_counts_what_it_holds(name: str) -> None:
    root = ElementTree.fromstring(render_junit(REPORTS[name]))
    for suite in [root, *root.iter("testsuite")]:
        elements = collections.Counter(element.tag for case in suite.iter("testcase") for element in case)
        assert int(suite.attrib["tests"]) == len(list(suite.iter("testcase")))
        for attribute, element in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.attrib[attribute]) == elements[element]
    bad = int(root.attrib["failures"]) + int(root.attrib["errors"])
    assert bool(bad) == (REPORTS[name]["verdict"] != "met")


@pytest.mark.parametrize("verdict", ["failed", "missed", "unknown"])
def test_junit_is_never_green_where_the_report_is_not(verdict: str) -> None:
    report = {**rebuild_report(), "verdict": verdict, "components": []}
    root = ElementTree.fromstring(render_junit(report))
    assert int(root.attrib["failures"]) + int(root.attrib["errors"]) == 1


def test_junit_says_what_each_probe_said() -> None:
    root = ElementTree.fromstring(render_junit(health_report()))
    (suite,) = [suite for suite in root if suite.attrib["name"] == "flights_api"]
    elements = {case.attrib["name"]: [element.tag for element in case] for case in suite}
    assert elements["probe 0"] == ["failure"]
    assert elements["probe 1"] == elements["probe 2"] == ["system-out"]
    assert "connection refused" in suite[1][0].attrib["message"]
    assert "next: the same command" in (suite[1][0].text or "")
    (disabled,) = root.iter("skipped")
    assert "alert('x')" in disabled.attrib["message"]


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(st.text(min_size=1, max_size=40) | st.sampled_from(["]]>", "\x00", "\ud800", "&#0;", '"', "\ufffe"]))
def test_any_text_is_xml_and_figures(text: str) -> None:
    report = with_text(health_report(), text)
    root = ElementTree.fromstring(render_junit(report).encode("utf-8"))
    assert len(list(root.iter("testcase"))) == 1 + 2 + 2 + 1 + 4 + 3
    assert samples(report)
    render_prometheus(report).encode("utf-8")


def test_figures_are_those_of_the_report() -> None:
    found = samples(health_report())
    common = 'environment="local",runbook="check_health-morning"'
    assert found["sre_runbooks_run_verdict", f'{common},verdict="failed"'] == 1
    assert found["sre_runbooks_run_verdict", f'{common},verdict="met"'] == 0
    labels = f'{common},component="flights_api",probe="probe 0",kind="http",critical="true"'
    assert found["sre_runbooks_probe_success", labels] == 0
    assert found["sre_runbooks_probes", f'{common},component="flights_api",outcome="warning"'] == 1
    assert found["sre_runbooks_probes_disabled", f'{common},component="flights_db"'] == 1
    objective = f'{common},objective="latency",service="flights",component="flights_api"'
    assert found["sre_runbooks_objective_error_budget_left_ratio", objective] == -0.7
    assert found["sre_runbooks_objective_burn_rate", f'{objective},window_seconds="3600"'] == 0.4


def test_what_was_not_measured_has_no_figure() -> None:
    found = samples(health_report())
    assert not [key for key in found if key[0] == "sre_runbooks_objective_sli" and "alert" in key[1]]
    assert not [key for key in found if key[0].startswith("sre_runbooks_component_rpo") and "flights_api" in key[1]]


def test_two_probes_of_one_name_are_two_series() -> None:
    report = health_report()
    probes = report["components"][1]["probes"]
    probes.append(copy.deepcopy(probes[0]))
    assert len([key for key in samples(report) if 'probe="probe 0' in key[1]]) == 4


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_promtool_has_nothing_to_say(name: str, tmp_path: pathlib.Path) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is one of tools/system-packages"
    text = render_prometheus(REPORTS[name])
    done = subprocess.run([promtool, "check", "metrics"], input=text, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    # The same lines as OpenMetrics, whose reader in promtool wants a moment with each sample.
    dated = re.sub(r"(?m)^([^#\n].*)$", r"\1 1795237800", text)
    (tmp_path / "dated.om").write_text(dated, encoding="utf-8")
    subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", str(tmp_path / "dated.om"), str(tmp_path / "data")],
        check=True,
        capture_output=True,
    )
