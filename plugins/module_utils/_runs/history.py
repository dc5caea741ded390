# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run beside the run of the same runbook before it."""

from __future__ import annotations

import itertools
import json
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration
from ansible_collections.sre.runbooks.plugins.module_utils._errors import ObjectMissing, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._runs.run import RunRecord, earlier_runs

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

_REPORT_LIMIT = 16 * 1024 * 1024
#: How many runs back a report is looked for.
_LOOK_BACK = 10
#: A duration that differs by less says nothing.
_NOTABLE = 0.1


def compare_with_previous(
    repository: Repository | None, record: RunRecord, components: t.Sequence[t.Mapping[str, t.Any]]
) -> dict[str, t.Any] | None:
    """``{run_id, finished, verdict, components, changes}`` of the previous report, or None when there is none."""
    previous = _previous_report(repository, record) if repository is not None else None
    if previous is None:
        return None
    before = {item["name"]: item for item in previous["components"]}
    return {
        "run_id": previous["run_id"],
        "finished": previous["finished"],
        "verdict": previous["verdict"],
        "components": {
            name: {
                "verdict": item["verdict"],
                "rpo_measured_s": item["rpo"]["measured_s"],
                "rto_measured_s": item["rto"]["measured_s"],
            }
            for name, item in before.items()
        },
        "changes": [change for item in components for change in _changes(item, before.get(item["name"]))],
    }


def _changes(item: t.Mapping[str, t.Any], before: t.Mapping[str, t.Any] | None) -> list[str]:
    if before is None:
        return [f"{item['name']}: new in this runbook"]
    changes = []
    if item["verdict"] != before["verdict"]:
        changes.append(f"{item['name']}: {before['verdict']} → {item['verdict']}")
    was, is_now = before["rto"]["measured_s"], item["rto"]["measured_s"]
    if was and is_now is not None and abs(is_now - was) > _NOTABLE * was:
        changes.append(
            f"{item['name']}: restore {format_duration(was)} → {format_duration(is_now)} ({(is_now - was) / was:+.0%})"
        )
    return changes


def _previous_report(repository: Repository, record: RunRecord) -> dict[str, t.Any] | None:
    try:
        for run_id in itertools.islice(earlier_runs(repository, record.runbook, record.run_id), _LOOK_BACK):
            try:
                content = repository.store.read(f"runs/{run_id}/report.json", limit=_REPORT_LIMIT)
            except ObjectMissing:
                continue
            report = json.loads(content)
            if _comparable(report):
                return t.cast("dict[str, t.Any]", report)
    except (RunbookError, ValueError, RecursionError):
        return None
    return None


def _comparable(report: t.Any) -> bool:
    """Whether what is compared is there and of the right type."""
    try:
        numbers = [item[name]["measured_s"] for item in report["components"] for name in ("rpo", "rto")]
        texts = [report["run_id"], report["finished"], report["verdict"]]
        texts += [item[name] for item in report["components"] for name in ("name", "verdict")]
    except (KeyError, TypeError):
        return False
    return all(isinstance(text, str) for text in texts) and all(
        number is None or (isinstance(number, (int, float)) and 0 <= number < 1e12) for number in numbers
    )
