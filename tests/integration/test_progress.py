# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The progress of a long module on the screen of a real play: over a local connection and over another one."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

MODULE = """
import time
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
module = AnsibleModule({"progress_path": {"type": "path"}, "seconds": {"type": "int"}}, supports_check_mode=True)
with Progress(module.params["progress_path"], 70 << 20, "moving bytes") as progress:
    for _ in range(module.params["seconds"] * 10):
        time.sleep(0.1)
        progress.add(1 << 20)
module.exit_json(changed=False, watched=module.params["progress_path"] is not None)
"""

ACTION = """
from ansible_collections.sre.runbooks.plugins.plugin_utils.progress import ProgressAction
class ActionModule(ProgressAction):
    pass
"""

# Another transport than "local", so that the status is fetched with a command as over ssh.
CONNECTION = '''
DOCUMENTATION = """
name: elsewhere
short_description: this machine, as if it were another
description: [for this test]
author: the test
"""
from ansible.plugins.connection.local import Connection as Local
class Connection(Local):
    transport = "elsewhere"
'''

PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Work
      slow: {seconds: 7}
      register: worked
    - ansible.builtin.assert: {that: worked.watched}
- hosts: here
  gather_facts: false
  tasks:
    - name: Work detached
      slow: {seconds: 1}
      async: 300
      poll: 1
      register: detached
      when: not ansible_check_mode
    - ansible.builtin.assert: {that: not detached.watched}
      when: not ansible_check_mode
"""


@pytest.fixture
def play(tmp_path):
    for name, text in {"library": MODULE, "action_plugins": ACTION}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "slow.py").write_text(text)
    (tmp_path / "connection_plugins").mkdir()
    (tmp_path / "connection_plugins" / "elsewhere.py").write_text(CONNECTION)
    (tmp_path / "play.yml").write_text(PLAY)
    hosts = {"here": {"ansible_connection": "local"}, "there": {"ansible_connection": "elsewhere"}}
    shared = {"ansible_python_interpreter": sys.executable}
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts, "vars": shared}}))

    def run(*arguments):
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".local" / "collections"),
            "ANSIBLE_ASYNC_DIR": str(tmp_path / "async"),
            "ANSIBLE_NOCOLOR": "1",
        }
        command = [
            str(pathlib.Path(sys.executable).parent / "ansible-playbook"),
            "-i",
            "hosts.json",
            "play.yml",
            *arguments,
        ]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
        )

    return run


def left_over():
    return set(pathlib.Path("/tmp").glob(".sre-runbooks-*.progress*"))


def test_bytes_rate_and_time_left_are_shown_over_every_connection(play):
    before = left_over()
    done = play()
    assert done.returncode == 0, done.stdout + done.stderr
    for host in ("here", "there"):
        lines = [line for line in done.stderr.splitlines() if f"… {host}:" in line]
        assert lines, done.stderr
        parts = ("moving bytes", "MiB of 70.0 MiB", "MiB/s", "left")
        assert any(all(part in line for part in parts) for line in lines), lines
    assert "moving bytes" not in done.stdout, "standard output belongs to the stdout callback"
    # Another play's file goes when that play ends.
    deadline, left = time.monotonic() + 180, left_over() - before
    while left and time.monotonic() < deadline:
        time.sleep(0.5)
        left &= left_over()
    assert not left


def test_check_mode_is_not_watched(play):
    done = play("--check", "--limit", "here", "-e", "seconds=0")
    assert "moving bytes" not in done.stderr
    assert "worked.watched" in done.stdout, "the module got no progress path, so the play's own assertion fails"
