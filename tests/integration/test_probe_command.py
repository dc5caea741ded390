# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command kind in the module as Ansible runs it: what is secret, and what is left when the module is stopped."""

from __future__ import annotations

import json
import pathlib
import signal

import pytest

from tests.servers.deadline import wait_for
from tests.servers.module_call import finish_module, start_module
from tests.servers.playbook import play
from tests.unit.probes.test_command import family, wait_until_gone

SECRET = "hunter2-of-the-command"


def test_secrets_are_in_no_output_of_a_play() -> None:
    command = {"kind": "command", "argv": ["/bin/sh", "-c", 'echo "$TOKEN"; exit 1'], "secrets": {"TOKEN": SECRET}}
    visible = {"kind": "command", "argv": ["echo", SECRET], "secrets": {"TOKEN": SECRET}}
    tasks = [{"sre.runbooks.probe": {"probes": [probe]}} for probe in (command, visible)]
    played = play(tasks, "-vvvv")
    assert [result["failed"] for result in played.results] == [True, True]
    assert played.results[0]["results"][0]["measured"] == "exit code 1: '********'"
    assert "which everybody on the host could see" in played.results[1]["msg"]
    assert SECRET not in json.dumps(played.results)
    assert SECRET not in played.output


@pytest.mark.parametrize("stopped", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_the_module_is_stopped(tmp_path: pathlib.Path, stopped: signal.Signals) -> None:
    noted = tmp_path / "pids"
    noted.touch()
    probe = {"kind": "command", "argv": family(noted, "wait"), "timeout": 300}
    process = start_module("probe", {"probes": [probe]})
    wait_for(lambda: len(noted.read_text().split()) == 3, "the command")
    process.send_signal(stopped)
    if stopped == signal.SIGKILL:
        process.communicate(timeout=60)
    else:
        result = finish_module(process)
        assert (result["interrupted"], result["results"][0]["outcome"]) == (True, "unknown")
    wait_until_gone([int(word) for word in noted.read_text().split()])
