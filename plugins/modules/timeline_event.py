#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: timeline_event
short_description: Add a step to the timeline of a run
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - For steps that modules of this collection do not record themselves, such as hooks of the inventory, or services
    that are started by other collections.
  - Recording never fails a run. What could not be recorded is a warning.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.attributes.bookkeeping
  - sre.runbooks.repository
options:
  run_id:
    description:
      - The run. Without it nothing is recorded, and RV(at) is still returned.
    type: str
  component:
    description:
      - The component that the step was about. Without it the step belongs to the run as a whole, which then fails
        with the step unless a later step of the same name succeeds.
    type: str
  step:
    description:
      - What was done, in a few words. Not needed when only RV(at) is wanted.
    type: str
  outcome:
    description:
      - How the step ended.
    type: str
    choices: [ok, changed, skipped, failed]
    default: ok
  started:
    description:
      - When the step started (ISO 8601), such as RV(at) of an earlier use of this module. The duration is counted from it.
    type: str
  duration:
    description:
      - How long the step took, such as V(12) or V(1m30s), where O(started) is not known.
    type: str
  detail:
    description:
      - What there is to say about it. Never a secret.
    type: str
"""

EXAMPLES = r"""
- name: Note the time
  sre.runbooks.timeline_event:
    repository: "{{ repository }}"
    environment_name: local
  delegate_to: localhost
  register: began

- name: Do something that the collection does not know
  ansible.builtin.command: "true"
  changed_when: true

- name: Put it on the timeline
  sre.runbooks.timeline_event:
    repository: "{{ repository }}"
    environment_name: local
    run_id: "{{ run_id | default(omit) }}"
    component: flights_db
    step: stop the consumers
    started: "{{ began.at }}"
    outcome: changed
  delegate_to: localhost
"""

RETURN = r"""
at:
  description: The time now, for O(started) of a later event.
  returned: success
  type: str
duration_s:
  description: Seconds that the step took, V(null) when it is not known.
  returned: success
  type: float
recorded:
  description: Whether the event was written.
  returned: success
  type: bool
"""

import datetime
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_time, now, parse_duration, parse_time
from ansible_collections.sre.runbooks.plugins.module_utils._errors import RepositoryError
from ansible_collections.sre.runbooks.plugins.module_utils._module import REPOSITORY_OPTIONS, run_module
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import open_repository
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Recorder


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    moment = now()
    started: datetime.datetime | None = None
    duration_s: float | None = None
    if params["started"]:
        started = parse_time(params["started"])
        duration_s = max(0.0, (moment - started).total_seconds())
    elif params["duration"]:
        duration_s = parse_duration(params["duration"])
    recorded = False
    if params["step"] and params["run_id"] and not module.check_mode:
        recorded = record(module, started, duration_s)
    return {"changed": False, "at": format_time(moment), "duration_s": duration_s, "recorded": recorded}


def record(module: AnsibleModule, started: datetime.datetime | None, duration_s: float | None) -> bool:
    """Write the event; a repository that cannot take it becomes a warning."""
    params = module.params
    facts = {"message": params["detail"]} if params["detail"] else {}
    try:
        repository = open_repository(params["repository"], params["environment_name"], params["s3"])
    except RepositoryError as error:
        module.warn(f"not on the timeline: {error}")
        return False
    recorder = Recorder(repository, params["run_id"], params["component"])
    recorder.event(params["step"], outcome=params["outcome"], duration_s=duration_s, at=started, **facts)
    if recorder.problem:
        module.warn(f"not on the timeline: {recorder.problem}")
    return recorder.lost == 0


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **REPOSITORY_OPTIONS,
            "run_id": {"type": "str"},
            "component": {"type": "str"},
            "step": {"type": "str"},
            "outcome": {"type": "str", "choices": ["ok", "changed", "skipped", "failed"], "default": "ok"},
            "started": {"type": "str"},
            "duration": {"type": "str"},
            "detail": {"type": "str"},
        },
        mutually_exclusive=[("started", "duration")],
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
