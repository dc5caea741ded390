# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A report as JUnit XML, which build servers and test dashboards read: a suite for each component, a case for each probe.

A case fails where the verdict suffers from it. A warning passes and says so in its output; a disabled probe is skipped.
A report that is not *met* has at least one failure or error.
"""

from __future__ import annotations

import re
import typing as t
from xml.sax.saxutils import escape, quoteattr

from ansible_collections.sre.runbooks.plugins.module_utils._runs.words import part_text, told_beside

#: What XML 1.0 has no place for, escaped or not.
_NO_CHARACTER = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ELEMENTS = {"failed": "failure", "missed": "failure", "unknown": "error"}


class _Suite:
    """One ``testsuite`` in the making."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cases: list[str] = []
        self.counts = {"failure": 0, "error": 0, "skipped": 0}

    def case(
        self, name: str, kind: str, message: str = "", details: str = "", element: str = "", seconds: float = 0.0
    ) -> None:
        """``element``: failure, error, skipped, system-out; nothing for a case that passed."""
        start = f"<testcase classname={_attribute(kind)} name={_attribute(name)} time={_attribute(f'{seconds:.6f}')}"
        if not element:
            self.cases.append(f"{start}/>")
            return
        if element in self.counts:
            self.counts[element] += 1
        head = f"<{element}>" if element == "system-out" else f"<{element} message={_attribute(message)}>"
        text = message if element == "system-out" else details
        self.cases.append(f"{start}>{head}{escape(_clean(text))}</{element}></testcase>")

    def written(self, seconds: float, moment: str) -> str:
        counts = self.counts
        return (
            f'<testsuite name={_attribute(self.name)} tests="{len(self.cases)}" failures="{counts["failure"]}"'
            f' errors="{counts["error"]}" skipped="{counts["skipped"]}" time="{seconds:.6f}"'
            f" timestamp={_attribute(moment)}>\n" + "\n".join(self.cases) + "\n</testsuite>"
        )


def render_junit(report: t.Mapping[str, t.Any]) -> str:
    suites = [_run(report), *(_component(component) for component in report["components"])]
    if report["service_objectives"]:
        suites.append(_objectives(report["service_objectives"]))
    totals = {name: sum(suite.counts[name] for suite in suites) for name in ("failure", "error", "skipped")}
    tests = sum(len(suite.cases) for suite in suites)
    moment = report["started"][:19]
    body = "\n".join(
        suite.written(report["duration_s"] if not number else 0.0, moment) for number, suite in enumerate(suites)
    )
    name = f"{report['runbook']} of {report['environment']}"
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuites name={_attribute(name)} tests="{tests}" failures="{totals["failure"]}" errors="{totals["error"]}"'
        f' skipped="{totals["skipped"]}" time="{report["duration_s"]:.6f}">\n{body}\n</testsuites>\n'
    )


def _run(report: t.Mapping[str, t.Any]) -> _Suite:
    suite = _Suite(f"{report['runbook']} of {report['environment']}")
    problems = "\n".join(finding["text"] for finding in report["findings"] if finding["component"] is None)
    suite.case(
        "verdict",
        report["runbook"],
        ", ".join(part for part in (f"{report['verdict']}: {report['verdict_reason']}", part_text(report)) if part),
        problems,
        _ELEMENTS.get(report["verdict"], ""),
        report["duration_s"],
    )
    return suite


def _component(component: t.Mapping[str, t.Any]) -> _Suite:
    suite = _Suite(component["name"])
    message = f"{component['verdict']}: {component['reason']}"
    suite.case("verdict", component["name"], message, component["message"], _ELEMENTS.get(component["verdict"], ""))
    for probe in component["probes"]:
        element = ""
        if probe["outcome"] != "ok":
            element = _ELEMENTS.get(probe["outcome"], "") if probe["critical"] else ""
            element = element or "system-out"
        weight = "" if probe["critical"] else " (not critical)"
        message = f"{probe['outcome']}{weight}: {probe['message']}"
        details = "\n".join(told_beside(message, probe))
        kind = f"{component['name']}.{probe['kind']}"
        suite.case(probe["name"], kind, message, details, element, probe["duration_s"] or 0.0)
    for name, reason in component.get("probes_disabled", {}).items():
        suite.case(name, f"{component['name']}.disabled", reason, "", "skipped")
    return suite


def _objectives(objectives: t.Sequence[t.Mapping[str, t.Any]]) -> _Suite:
    suite = _Suite("objectives")
    for item in objectives:
        message = f"{item['outcome']}: {item['message']}"
        details = "\n".join(told_beside(message, item))
        suite.case(item["name"], f"objectives.{item['kind']}", message, details, _ELEMENTS.get(item["outcome"], ""))
    return suite


def _clean(text: str) -> str:
    return _NO_CHARACTER.sub("\ufffd", text)


def _attribute(text: str) -> str:
    return quoteattr(_clean(text), {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
