# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs tasks of the collection the way a user does: in a playbook, by ansible-playbook, on this machine."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import typing as t

ROOT = pathlib.Path(__file__).resolve().parents[2]


@dataclasses.dataclass
class Played:
    """The result of each task, failed ones included, and all that was on the screen."""

    results: list[dict[str, t.Any]]
    output: str


def play(tasks: list[dict[str, t.Any]], *arguments: str, variables: dict[str, t.Any] | None = None) -> Played:
    """Run the tasks one after the other (a failed one does not stop it); ``arguments`` such as ``--check``."""
    with tempfile.TemporaryDirectory() as directory:
        collected = os.path.join(directory, "results.json")
        steps: list[dict[str, t.Any]] = [
            {**task, "register": f"result_{number}", "ignore_errors": True} for number, task in enumerate(tasks)
        ]
        names = ", ".join(f"result_{number}" for number in range(len(tasks)))
        steps.append(
            {
                "ansible.builtin.copy": {
                    "dest": collected,
                    "content": "{{ [" + names + "] | to_json }}",
                    "mode": "0600",
                },
                "check_mode": False,
                "diff": False,
                "no_log": True,
            }
        )
        book = [{"hosts": "localhost", "gather_facts": False, "vars": variables or {}, "tasks": steps}]
        path = os.path.join(directory, "play.yml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(book, file)
        here = ("-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}")
        done = _ended(_start([*here, path, *arguments], directory, {}))
        if not os.path.exists(collected):
            raise AssertionError(done.stdout)
        with open(collected, encoding="utf-8") as file:
            return Played(json.load(file), done.stdout)


def run_playbook(
    inventory: pathlib.Path, name: str, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the collection's playbook of that name to its end, in the inventory's directory; ``stdout`` is the screen."""
    return _ended(start_playbook(inventory, name, *arguments, **environment))


def start_playbook(inventory: pathlib.Path, name: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """The same, not waited for, in a process group of its own."""
    return _start(["-i", str(inventory), f"sre.runbooks.{name}", *arguments], str(inventory.parent), environment)


def _start(arguments: list[str], directory: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [os.path.join(os.path.dirname(sys.executable), "ansible-playbook"), *arguments],
        cwd=directory,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".local" / "collections"),
            "ANSIBLE_NOCOLOR": "1",
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    try:
        output = process.communicate(timeout=900)[0]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return subprocess.CompletedProcess(process.args, process.returncode, output, "")
