#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: run
short_description: Open and close the record of a run
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - A run is one execution of a runbook. Its record in the repository takes the events that modules write as they act.
  - Starting a run also closes the records of earlier runs that were killed. Each gets the verdict C(failed) and a
    report of its own. A run counts as killed when its controller's process is gone, or, seen from another machine,
    when its record has not grown for an hour.
  - Runs on the controller.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.attributes.bookkeeping
  - sre.runbooks.repository
options:
  state:
    description:
      - V(started) opens a record, V(finished) closes it. The M(sre.runbooks.report) module closes it too.
    type: str
    choices: [started, finished]
    default: started
  runbook:
    description:
      - Name of the runbook, of C(a-z 0-9 _ -). Required for O(state=started).
    type: str
  components:
    description:
      - Names of the components that the run is about. Those that it never gets to will be reported so.
    type: list
    elements: str
    default: []
  operator:
    description:
      - Who runs it. Falls back to the environment variable E(SRE_RUNBOOKS_OPERATOR), then to the user of the controller.
    type: str
  participants:
    description:
      - Others who take part, for the auditor.
    type: list
    elements: str
    default: []
  scenario:
    description:
      - What is rehearsed or repaired, for the auditor.
    type: str
    default: ""
  require_record:
    description:
      - With V(false), a repository that cannot be used is a warning and RV(record) is V(false), so that the run goes on.
    type: bool
    default: true
  run_id:
    description:
      - The run to close. Required for O(state=finished).
    type: str
  verdict:
    description:
      - How the run ended. Required for O(state=finished).
    type: str
    choices: [met, missed, failed, unknown]
  reason:
    description:
      - Why, in words.
    type: str
    default: ""
  report_dir:
    description:
      - The directory of the controller that will receive the report; see O(sre.runbooks.report#module:report_dir). It is only told
        on, for whoever has to report on the run in place of the playbook.
    type: path
  invocation:
    description:
      - The command line of the run, with which commands to run next are completed. Filled in by the action plugin.
    type: dict
    default: {}
  controller:
    description:
      - The process that executes the run. Filled in by the action plugin.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Open the record of this run
  sre.runbooks.run:
    repository: "{{ repository }}"
    environment_name: local
    runbook: back_up_components
    components: [flights_db]
  delegate_to: localhost
  run_once: true
  register: started

- name: Close it
  sre.runbooks.run:
    state: finished
    repository: "{{ repository }}"
    environment_name: local
    run_id: "{{ started.run_id }}"
    verdict: met
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
run_id:
  description: The run. In check mode one that nothing is recorded for.
  returned: success
  type: str
record:
  description: Whether a record is kept. Where it is V(false), give the other modules no O(run_id).
  returned: success
  type: bool
interrupted:
  description: Ids of the killed runs whose records were closed.
  returned: O(state=started)
  type: list
  elements: str
report_dir:
  description: Where the report will be on the controller, empty when it will only be in the repository.
  returned: O(state=started)
  type: str
next_command:
  description: The command that does what is left to do, should the run be cut off.
  returned: O(state=started)
  type: str
verdict:
  description: The verdict as recorded; the first closing of a record counts.
  returned: O(state=finished)
  type: str
"""

import os
import pwd
import typing as t

from ansible.module_utils.basic import AnsibleModule, env_fallback

from ansible_collections.sre.runbooks.plugins.module_utils._clock import now
from ansible_collections.sre.runbooks.plugins.module_utils._errors import RepositoryError
from ansible_collections.sre.runbooks.plugins.module_utils._module import REPOSITORY_OPTIONS, run_module
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import open_repository
from ansible_collections.sre.runbooks.plugins.module_utils._runs.commands import Invocation, completed
from ansible_collections.sre.runbooks.plugins.module_utils._runs.interrupted import close_interrupted
from ansible_collections.sre.runbooks.plugins.module_utils._runs.run import close_run, new_run_id, start_run


def user_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def start(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    run_id = new_run_id(params["runbook"], now())
    invocation = Invocation.from_data(params["invocation"])
    if module.check_mode:
        return {"changed": False, "run_id": run_id, "record": False, "interrupted": []}
    try:
        repository = open_repository(params["repository"], params["environment_name"], params["s3"])
        interrupted, problems = close_interrupted(repository, invocation)
        run = start_run(
            repository,
            params["runbook"],
            params["components"],
            params["controller"],
            str(module.ansible_version),
            params["operator"] or user_name(),
            params["scenario"],
            params["participants"],
        )
    except RepositoryError as error:
        if params["require_record"]:
            raise
        # A warning is shown as it is; all else is completed where it is shown.
        module.warn(completed(f"this run is not recorded: {error}", invocation))
        return {"changed": False, "run_id": run_id, "record": False, "interrupted": []}
    for problem in completed(problems, invocation):
        module.warn(problem)
    return {"changed": False, "run_id": run.run_id, "record": True, "interrupted": interrupted}


def finish(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    if module.check_mode:
        return {"changed": False, "run_id": params["run_id"], "record": False, "verdict": params["verdict"]}
    repository = open_repository(params["repository"], params["environment_name"], params["s3"])
    closing = close_run(repository, params["run_id"], params["verdict"], params["reason"])
    return {"changed": False, "run_id": params["run_id"], "record": True, "verdict": closing["verdict"]}


def work(module: AnsibleModule) -> dict[str, t.Any]:
    return start(module) if module.params["state"] == "started" else finish(module)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **REPOSITORY_OPTIONS,
            "state": {"type": "str", "choices": ["started", "finished"], "default": "started"},
            "runbook": {"type": "str"},
            "components": {"type": "list", "elements": "str", "default": []},
            "operator": {"type": "str", "fallback": (env_fallback, ["SRE_RUNBOOKS_OPERATOR"])},
            "participants": {"type": "list", "elements": "str", "default": []},
            "scenario": {"type": "str", "default": ""},
            "require_record": {"type": "bool", "default": True},
            "run_id": {"type": "str"},
            "verdict": {"type": "str", "choices": ["met", "missed", "failed", "unknown"]},
            "reason": {"type": "str", "default": ""},
            "report_dir": {"type": "path"},
            "invocation": {"type": "dict", "default": {}},
            "controller": {"type": "dict", "default": {}},
        },
        required_if=[("state", "started", ["runbook"]), ("state", "finished", ["run_id", "verdict"])],
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
