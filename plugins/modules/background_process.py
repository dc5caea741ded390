#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: background_process
short_description: A program that runs in the background, where there is no service manager
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Starts a program that outlives the task, or stops it, on hosts without systemd (containers, small machines, tests).
  - The program runs in a session of its own, without terminal and without any open file of Ansible's.
  - The pid file records the process (pid, start time, boot) and a digest of what was started. So the module knows its
    own process again, restarts it when its command, directory, user or environment changed, and never stops or
    signals anything that it did not start.
extends_documentation_fragment:
  - sre.runbooks.attributes
options:
  name:
    description:
      - What to call the program in messages. By default the name of the pid file.
    type: str
  state:
    description:
      - V(started) means that the program runs as given here and, with O(ready), that it answers.
      - V(stopped) means that it does not run, and that its pid file is gone.
    type: str
    choices: [started, stopped]
    default: started
  argv:
    description:
      - The program and its arguments; there is no shell. Required with O(state=started).
      - Never put a secret here, every user of the host can read it.
    type: list
    elements: str
  pid_file:
    description:
      - Where the process is recorded, as JSON. Its directory must exist.
      - A file with other content is refused.
    type: path
    required: true
  log_file:
    description:
      - Where the program's output is appended. Without it the output is thrown away.
    type: path
  environment:
    description:
      - Environment variables beside those of the task. Their values are shown nowhere; of their content only a keyed
        digest is kept.
    type: dict
    default: {}
  working_directory:
    description:
      - Where the program runs.
    type: path
    default: /
  user:
    description:
      - Whom the program runs as; another user than the task's needs root.
    type: str
  ready:
    description:
      - What must answer before the task ends.
    type: dict
    suboptions:
      url:
        description:
          - An address that must answer with status 200.
        type: str
      tcp:
        description:
          - A V(host:port) that must accept a connection.
        type: str
      timeout:
        description:
          - How long to wait for it, in seconds or such as V(1m).
        type: str
        default: "30"
  stop_timeout:
    description:
      - How long the program may take to end after SIGTERM, before SIGKILL, in seconds or such as V(1m).
    type: str
    default: "10"
"""

EXAMPLES = r"""
- name: Run a small web server
  sre.runbooks.background_process:
    state: started
    name: web server
    argv:
      - "{{ ansible_playbook_python }}"
      - -m
      - http.server
      - --bind=127.0.0.1
      - "{{ web_port }}"
    working_directory: "{{ directory }}"
    pid_file: "{{ directory }}/web.pid"
    log_file: "{{ directory }}/web.log"
    ready:
      url: http://127.0.0.1:{{ web_port }}/
      timeout: 30s

- name: Stop it
  sre.runbooks.background_process:
    state: stopped
    name: web server
    pid_file: "{{ directory }}/web.pid"
"""

RETURN = r"""
pid:
  description: The process; null when it does not run.
  returned: success
  type: int
  sample: 4711
started:
  description: Whether this task started the program (or, in check mode, would have).
  returned: success
  type: bool
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils._background.background import Background
from ansible_collections.sre.runbooks.plugins.module_utils._background.pid_file import Command, Record
from ansible_collections.sre.runbooks.plugins.module_utils._background.readiness import Readiness
from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._module import run_module

_NO_SALT = "0"


def _started(module: AnsibleModule, background: Background, environment: dict[str, str]) -> dict[str, t.Any]:
    params = module.params
    command = Command(params["argv"], environment, os.path.abspath(params["working_directory"]), params["user"])
    readiness = Readiness(background, params["ready"])
    record = background.record()
    running = record is not None and record.alive()
    salt = record.salt if record is not None else _NO_SALT
    changed = not running or t.cast(Record, record).digest != command.digest(salt)
    before = {"state": "started", **t.cast(Record, record).command} if running else {"state": "stopped"}
    if changed and not module.check_mode:
        with background.exclusively():
            record = background.record()  # somebody else may have been quicker
            if record is not None and (not record.alive() or record.digest != command.digest(record.salt)):
                background.stop(record, parse_duration(params["stop_timeout"]))
                record = None
            if record is None:
                readiness.refuse_another()
                record = background.start(command)
    if not module.check_mode:
        readiness.wait(t.cast(Record, record))
    elif changed:
        record = None
    return {
        "changed": changed,
        "pid": record.pid if record is not None else None,
        "started": changed,
        "diff": {"before": before, "after": {"state": "started", **command.shown(salt)}},
    }


def _stopped(module: AnsibleModule, background: Background) -> dict[str, t.Any]:
    record = background.record()
    running = record is not None and record.alive()
    if record is not None and not module.check_mode:
        with background.exclusively():
            record_now = background.record()
            if record_now is not None:
                background.stop(record_now, parse_duration(module.params["stop_timeout"]))
    before: dict[str, t.Any] = {"state": "started" if running else "stopped", "pid_file": record is not None}
    return {
        "changed": record is not None,
        "pid": None,
        "started": False,
        "diff": {"before": before, "after": {"state": "stopped", "pid_file": False}},
    }


def _work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    name = params["name"] or os.path.basename(params["pid_file"])
    background = Background(name, params["pid_file"], params["log_file"])
    environment = {str(key): str(value) for key, value in params["environment"].items()}
    # Ansible would black out every "1" of the output because some variable has that value: its values are shown by
    # nothing here, so the invocation gets the names only, and only what can be a secret is searched for.
    params["environment"] = dict.fromkeys(environment, "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER")
    module.no_log_values = {value for value in module.no_log_values if len(str(value)) >= 6}
    if params["state"] == "started":
        return _started(module, background, environment)
    return _stopped(module, background)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str"},
            "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
            "argv": {"type": "list", "elements": "str"},
            "pid_file": {"type": "path", "required": True},
            "log_file": {"type": "path"},
            "environment": {"type": "dict", "default": {}, "no_log": True},
            "working_directory": {"type": "path", "default": "/"},
            "user": {"type": "str"},
            "ready": {
                "type": "dict",
                "options": {
                    "url": {"type": "str"},
                    "tcp": {"type": "str"},
                    "timeout": {"type": "str", "default": "30"},
                },
                "mutually_exclusive": [("url", "tcp")],
                "required_one_of": [("url", "tcp")],
            },
            "stop_timeout": {"type": "str", "default": "10"},
        },
        required_if=[("state", "started", ["argv"])],
        supports_check_mode=True,
    )
    run_module(module, _work)


if __name__ == "__main__":
    main()
