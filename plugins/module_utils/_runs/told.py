# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a playbook tells of its run and of each component, as the report takes it."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import now, parse_duration, parse_time
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._runs.report import ComponentOutcome, ReportContext
from ansible_collections.sre.runbooks.plugins.module_utils._runs.run import RunRecord, load_run, new_run_id

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository


def outcome_from(given: t.Mapping[str, t.Any], problems: list[str]) -> ComponentOutcome:
    """An unreadable objective is one more finding: it takes the report from nobody."""
    name = given["name"]

    def seconds(component: str, option: str, text: str | None) -> float | None:
        try:
            return parse_duration(text) if text else None
        except InvalidInput as error:
            # Where the runbook failed on the component, its message says so already.
            if given["outcome"] != "failed":
                problems.append(str(InvalidInput(f"{option}: {error.message}", component, error.expected, error.found)))
            return None

    return ComponentOutcome(
        name=name,
        engine=given["engine"] or "",
        rpo_s=seconds(name, "rpo", given["rpo"]),
        rto_s=seconds(name, "rto", given["rto"]),
        interval_s=seconds(name, "interval", given["interval"]),
        outcome=given["outcome"],
        message=given["detail"] or "",
        rpo_measured_s=given["rpo_measured_s"],
        rto_measured_s=given["rto_measured_s"],
        rows_lost=given["rows_lost"],
        lost_rows=given["lost_rows"] or [],
        probes=given["probes"] or [],
        probes_disabled=given["probes_disabled"] or {},
        recovery_point=given["recovery_point"] or None,
        hardware=given["hardware"] or {},
        depends_on=given["depends_on"] or [],
        findings=given["findings"] or [],
    )


def context_from(
    params: t.Mapping[str, t.Any],
    repository: Repository | None,
    problems: list[str],
    check_mode: bool,
    ansible_version: str,
) -> ReportContext:
    """The run as recorded or, without a record, as the module's parameters tell."""
    record: RunRecord | None = None
    if repository is not None and params["run_id"] and not check_mode:
        try:
            record = load_run(repository, params["run_id"])
        except RunbookError as error:
            problems.append(f"the run's record could not be read: {error}")
    recorded = record is not None
    if record is None:
        started = parse_time(params["started"]) if params["started"] else now()
        record = RunRecord(
            run_id=params["run_id"] or new_run_id(params["runbook"], started),
            runbook=params["runbook"],
            environment=params["environment_name"],
            started=started,
            components=params["component_names"],
            controller={"host": os.uname().nodename},
            ansible_version=ansible_version,
            operator=os.environ.get("SRE_RUNBOOKS_OPERATOR", ""),
        )
    record.scenario = params["scenario"] or record.scenario
    record.participants = [*record.participants, *params["participants"]]
    return ReportContext(
        record=record,
        finished=max(now(), record.started),
        recorded=recorded,
        check_mode=check_mode,
        problems=problems,
        sign_offs=params["sign_offs"],
        objectives=params["objectives"],
        checklist=params["checklist"],
        retest_date=params["retest_date"],
        environment_components=params["environment_components"],
    )
