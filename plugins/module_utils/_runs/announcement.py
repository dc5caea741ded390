# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What somebody who was not there is told of a run: the verdict, what changed, what is wrong. Small, whatever the report is."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._runs.words import (
    changes_worst_first,
    printable,
    run_title,
    verdict_title,
)
from ansible_collections.sre.runbooks.plugins.module_utils._words import shortened

#: The version of what is sent.
FORMAT = 1
OCCASIONS = ("failure", "change", "always")
_LISTED = 50
_TEXT_LIMIT = 500


def announcement(report: t.Mapping[str, t.Any], where: str) -> dict[str, t.Any]:
    """The document for machines; ``text`` is one sentence for people. ``where`` is the page of the report."""
    previous = report["previous"]
    changes = _changes(previous)
    failures = [finding for finding in report["findings"] if finding["severity"] == "failure"]
    title = f"{verdict_title(report)}: {run_title(report)}"
    left_out = report["left_out"] or []
    # What was found of some components is no verdict to compare one of more with.
    comparable = previous is not None and set(previous.get("left_out", [])) <= set(left_out)
    before = previous["verdict"] if comparable else None
    return {
        "format": FORMAT,
        "text": _short(f"{title} ({report['verdict_reason']})" if report["verdict_reason"] else title),
        "environment": report["environment"],
        "runbook": report["runbook"],
        "left_out": [printable(name) for name in left_out[:_LISTED]],
        "run_id": report["run_id"],
        "verdict": report["verdict"],
        "reason": _short(report["verdict_reason"]),
        "previous_verdict": before,
        "changed": bool(changes) or (before is not None and before != report["verdict"]),
        "started": report["started"],
        "finished": report["finished"],
        "report": where,
        "changes": [_short(text) for text in changes[:_LISTED]],
        "changes_count": len(changes),
        "failures": [
            {"component": finding["component"], "text": _short(finding["text"])} for finding in failures[:_LISTED]
        ],
        "failures_count": len(failures),
    }


def is_due(told: t.Mapping[str, t.Any], occasion: str) -> bool:
    """Whether somebody wants to know: on "failure", on "change" (and of failures that no former run knew), or "always"."""
    met = told["verdict"] == "met"
    if occasion == "always":
        return True
    if occasion == "change":
        return bool(told["changed"]) or (told["previous_verdict"] is None and not met)
    return not met


def _changes(previous: t.Mapping[str, t.Any] | None) -> list[str]:
    if previous is None:
        return []
    return [text for text, _now in changes_worst_first(previous)]


def _short(text: str) -> str:
    return shortened(printable(text), _TEXT_LIMIT)
