#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: report
short_description: Report on a run and close its record
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Brings the record of a run, the recovery points and proofs of its components, and what the playbook knows about
    them together into one report, with a verdict for each component and for the run.
  - Nothing is guessed. An objective that was not measured is V(null), and lost rows that nobody counted are V(null).
  - Writes C(report.json), C(report.md), C(report.html), C(report.junit.xml) and C(report.prom) below C(runs/) in the
    repository, once, and into a directory of the controller. When one of them cannot be written, the other is, and
    RV(problems) says so. When neither can, the module fails, and returns all the same what would have been in the report.
  - Runs on the controller.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.attributes.bookkeeping
  - sre.runbooks.repository
options:
  run_id:
    description:
      - The run, as returned by M(sre.runbooks.run). Empty where no record is kept; the report then only has what is
        given here.
    type: str
  runbook:
    description: Name of the runbook, for a run without a record.
    type: str
    default: runbook
  started:
    description: When the run started (ISO 8601), for a run without a record.
    type: str
  report_dir:
    description:
      - Directory of the controller that receives a directory for the run, and the link C(latest) to the newest.
      - Without it the report is only in the repository.
    type: path
  textfile_dir:
    description:
      - Directory of the controller that the textfile collector of a Prometheus C(node_exporter) reads. It receives one file
        for the environment and runbook, replaced whole by each run that is about all of O(environment_components); any other
        replaces the figures of its own components.
    type: path
  component_names:
    description:
      - Names of all components that the run is about, for a run without a record. Those that O(components) is silent
        about are reported as not reached.
    type: list
    elements: str
    default: []
  environment_components:
    description:
      - Names of all components that the environment has. Where the run is not about each of them (C(--limit)), the report says so,
        compares it with what is comparable, and keeps what O(textfile_dir) has on the others and on the last whole run. Empty where nobody knows; the run
        then counts as one of all.
    type: list
    elements: str
    default: []
  components:
    description:
      - What the playbook knows about each component at the end. Entries without a name are passed over.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the component.
        type: str
      engine:
        description: Its engine.
        type: str
        default: ""
      rpo:
        description: Recovery point objective, such as V(15m). Empty where it has none.
        type: str
        default: ""
      rto:
        description: Recovery time objective, such as V(10m). Empty where it has none.
        type: str
        default: ""
      interval:
        description: How often the runbook is due for the component. Gives the date of the next test.
        type: str
        default: ""
      outcome:
        description: How the runbook ended on it. Absent when it never got there.
        type: str
        choices: [ok, changed, skipped, failed]
      detail:
        description: What there is to say, such as the error.
        type: str
        default: ""
      recovery_point:
        description: Id of the recovery point that was taken or restored.
        type: str
        default: ""
      rpo_measured_s:
        description: Seconds of data that were observed to be lost. Absent when nobody observed it.
        type: float
      rto_measured_s:
        description: Seconds that the restore took.
        type: float
      rows_lost:
        description: Number of rows known to be lost. Absent when unknown.
        type: int
      lost_rows:
        description: Which rows, as keys or mappings.
        type: list
        elements: raw
        default: []
      probes:
        description: Results of M(sre.runbooks.probe).
        type: list
        elements: dict
        default: []
      probes_disabled:
        description: Names of the probes that were left out on purpose, each with the reason.
        type: dict
        default: {}
      hardware:
        description: What it was measured on, where that is not the controller.
        type: dict
        default: {}
      depends_on:
        description: Names of the components that it depends on.
        type: list
        elements: str
        default: []
      findings:
        description: What the runbook found about it, C(severity) (V(failure), V(warning), V(note)) and C(text) of each.
        type: list
        elements: dict
        default: []
  objectives:
    description:
      - The objectives of services as RV(sre.runbooks.objective_info#module:objectives) returns them. One that is missed makes
        the verdict V(missed) at best, one that could not be measured V(unknown).
    type: list
    elements: dict
    default: []
  checklist:
    description:
      - The checklist that a health check went through, with C(name), C(description), and C(review), a list of what people
        look at beside the probes. It is shown in the report.
    type: dict
    default: {}
  scenario:
    description: What is rehearsed or repaired, for the auditor, where M(sre.runbooks.run) was not told.
    type: str
    default: ""
  participants:
    description: Who took part beside the operator, for the auditor.
    type: list
    elements: str
    default: []
  sign_offs:
    description:
      - Who accepted the result.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The person.
        type: str
        required: true
      role:
        description: In which role.
        type: str
        default: ""
      date:
        description: When.
        type: str
        default: ""
  retest_date:
    description:
      - By when the test is due again. By default it follows from the shortest O(components[].interval).
    type: str
  invocation:
    description:
      - The command line of the run, with which commands to run next are completed. Filled in by the action plugin.
    type: dict
    default: {}
  close:
    description:
      - Whether to close the record of the run with the verdict.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Report on this run
  sre.runbooks.report:
    repository: "{{ repository }}"
    environment_name: local
    run_id: "{{ run_id | default(omit) }}"
    runbook: back_up_components
    report_dir: "{{ report_dir }}"
    components:
      - name: flights_db
        engine: postgresql
        rpo: 5m
        rto: 10m
        outcome: ok
  delegate_to: localhost
  run_once: true
  register: done

- name: Show where the environment stands
  ansible.builtin.debug:
    msg: "{{ done.summary_lines }}"
"""

RETURN = r"""
run_id:
  description: The run.
  returned: success
  type: str
verdict:
  description: The worst of the components' verdicts, one of V(met), V(missed), V(failed), V(unknown).
  returned: success
  type: str
verdict_word:
  description: RV(verdict) as it is shown, which is C(done) in place of V(met) where there was nothing to judge, and
    C(nothing to do) where every component was skipped.
  returned: success
  type: str
failure_message:
  description:
    - Why the verdict is V(missed) or V(failed), else empty. Of a health check, and where objectives of services are evaluated,
      also why it is V(unknown). Also that O(report_dir) could not be written.
  returned: success
  type: str
report:
  description: The content of C(report.json).
  returned: success
  type: dict
summary_lines:
  description: The report as an aligned table with verdict and paths, for the screen.
  returned: success
  type: list
  elements: str
announcement:
  description: The verdict, what changed and what is wrong, small enough to be sent; see M(sre.runbooks.notification).
  returned: success
  type: dict
html_path:
  description: The page on the controller, empty when it is not there.
  returned: success
  type: str
report_path:
  description: The directory of the report on the controller, empty when it is not there.
  returned: success
  type: str
repository_prefix:
  description: Where the report lies in the repository, empty when it is not there.
  returned: success
  type: str
problems:
  description: What could not be read or written.
  returned: success
  type: list
  elements: str
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils._errors import RepositoryError, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._module import REPOSITORY_OPTIONS, complete, run_module
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository, open_repository
from ansible_collections.sre.runbooks.plugins.module_utils._runs.announcement import announcement
from ansible_collections.sre.runbooks.plugins.module_utils._runs.commands import Invocation, completed
from ansible_collections.sre.runbooks.plugins.module_utils._runs.failure import failure_message
from ansible_collections.sre.runbooks.plugins.module_utils._runs.publish import Published, publish, stored_report
from ansible_collections.sre.runbooks.plugins.module_utils._runs.render_text import summary_lines
from ansible_collections.sre.runbooks.plugins.module_utils._runs.report import build_report
from ansible_collections.sre.runbooks.plugins.module_utils._runs.run import close_run
from ansible_collections.sre.runbooks.plugins.module_utils._runs.told import context_from, outcome_from
from ansible_collections.sre.runbooks.plugins.module_utils._runs.words import run_word

COMPONENT_OPTIONS: dict[str, t.Any] = {
    "name": {"type": "str"},
    "engine": {"type": "str", "default": ""},
    "rpo": {"type": "str", "default": ""},
    "rto": {"type": "str", "default": ""},
    "interval": {"type": "str", "default": ""},
    "outcome": {"type": "str", "choices": ["ok", "changed", "skipped", "failed"]},
    "detail": {"type": "str", "default": ""},
    "recovery_point": {"type": "str", "default": ""},
    "rpo_measured_s": {"type": "float"},
    "rto_measured_s": {"type": "float"},
    "rows_lost": {"type": "int"},
    "lost_rows": {"type": "list", "elements": "raw", "default": []},
    "probes": {"type": "list", "elements": "dict", "default": []},
    "probes_disabled": {"type": "dict", "default": {}},
    "hardware": {"type": "dict", "default": {}},
    "depends_on": {"type": "list", "elements": "str", "default": []},
    "findings": {"type": "list", "elements": "dict", "default": []},
}


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    problems: list[str] = []
    outcomes = [outcome_from(given, problems) for given in params["components"] if given["name"]]
    repository: Repository | None = None
    try:
        repository = open_repository(params["repository"], params["environment_name"], params["s3"])
    except RepositoryError as error:
        problems.append(f"the repository could not be used: {error}")
    context = context_from(params, repository, problems, module.check_mode, str(module.ansible_version))
    invocation = Invocation.from_data(params["invocation"])
    report: dict[str, t.Any] | None = None
    if context.recorded:
        # Killed or run again after it had reported: what is written stays, only the copies are made anew.
        report = stored_report(repository, context.record.run_id)
    if report is None:
        report = completed(build_report(repository, context, outcomes), invocation)
    done = Published()
    if not module.check_mode:
        done = publish(report, repository, params["report_dir"], params["textfile_dir"])
        if params["close"] and context.recorded and repository is not None:
            close(repository, report, done)
    unwritten = completed(done.problems, invocation)
    problems = [*completed(problems, invocation), *unwritten]
    html_path = os.path.join(done.local, "report.html") if done.local else ""
    where = html_path or (f"{params['repository']}/{done.stored}/report.html" if done.stored else "")
    lost = None
    if not module.check_mode and done.stored is None and done.local is None:
        lost = complete(RepositoryError("the report could be written nowhere", found="; ".join(problems)), None)
    facts = {
        "changed": False,
        "run_id": report["run_id"],
        "verdict": report["verdict"],
        "verdict_word": run_word(report),
        "failure_message": failure_message(report, where, lost.message if lost else done.missing),
        "report": report,
        "summary_lines": summary_lines(report, [where] if where else [], unwritten, done.kept),
        "announcement": announcement(report, where),
        "html_path": html_path,
        "report_path": done.local or "",
        "repository_prefix": done.stored or "",
        "problems": problems,
    }
    if lost is not None:
        # With all that would have been in it, so that the screen at least says what was found.
        module.fail_json(msg=str(lost), error=lost.facts(), **facts)
    return facts


def close(repository: Repository, report: dict[str, t.Any], done: Published) -> None:
    try:
        close_run(repository, report["run_id"], report["verdict"], report["verdict_reason"])
    except RunbookError as error:
        done.problems.append(f"the run's record could not be closed: {error}")


def main() -> None:
    signing: dict[str, t.Any] = {
        "name": {"type": "str", "required": True},
        "role": {"type": "str", "default": ""},
        "date": {"type": "str", "default": ""},
    }
    module = AnsibleModule(
        argument_spec={
            **REPOSITORY_OPTIONS,
            "run_id": {"type": "str"},
            "runbook": {"type": "str", "default": "runbook"},
            "started": {"type": "str"},
            "report_dir": {"type": "path"},
            "textfile_dir": {"type": "path"},
            "component_names": {"type": "list", "elements": "str", "default": []},
            "environment_components": {"type": "list", "elements": "str", "default": []},
            "components": {"type": "list", "elements": "dict", "default": [], "options": COMPONENT_OPTIONS},
            "objectives": {"type": "list", "elements": "dict", "default": []},
            "checklist": {"type": "dict", "default": {}},
            "scenario": {"type": "str", "default": ""},
            "participants": {"type": "list", "elements": "str", "default": []},
            "sign_offs": {"type": "list", "elements": "dict", "default": [], "options": signing},
            "retest_date": {"type": "str"},
            "invocation": {"type": "dict", "default": {}},
            "close": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
