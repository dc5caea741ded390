# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whoever names a command to run next says it whole: tasks by the filter, modules by an action plugin."""

from __future__ import annotations

import pathlib
import re
import typing as t

import pytest
from ansible.parsing.dataloader import DataLoader

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMAND = re.compile(r"\bthe same command\b|\bansible-playbook sre\.runbooks\.")
#: What is wrong in the words of one of our filters, which say what to do as well.
PROBLEM = re.compile(r"\.problem\b")
WHOLE = "sre.runbooks.whole_commands"
SPEAKING = ("ansible.builtin.fail", "ansible.builtin.debug", "ansible.builtin.assert")


def said(node: t.Any) -> t.Iterator[str]:
    """What tasks say, those in blocks too."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name in SPEAKING and isinstance(value, dict):
                yield from (str(text) for key, text in value.items() if key.endswith("msg"))
            else:
                yield from said(value)
    elif isinstance(node, list):
        for item in node:
            yield from said(item)


def incomplete(node: t.Any) -> list[str]:
    return [text for text in said(node) if (COMMAND.search(text) or PROBLEM.search(text)) and WHOLE not in text]


def test_tasks_say_whole_commands() -> None:
    paths = [*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("playbooks/*.yml")]
    found = {str(path.relative_to(ROOT)): incomplete(DataLoader().load_from_file(str(path))) for path in sorted(paths)}
    assert len(found) > 50
    assert {path: texts for path, texts in found.items() if texts} == {}


@pytest.mark.parametrize("key", ["msg", "fail_msg"])
def test_one_that_does_not_is_found(key: str) -> None:
    task = {"block": [{"ansible.builtin.fail": {key: "x; next: the same command"}}]}
    assert incomplete([task]) == ["x; next: the same command"]
    task = {"block": [{"ansible.builtin.fail": {key: "{{ __health_choice.problem }}"}}]}
    assert incomplete([task]) == ["{{ __health_choice.problem }}"]
    task = {"block": [{"ansible.builtin.fail": {key: "{{ 'the same command' | sre.runbooks.whole_commands }}"}}]}
    assert incomplete([task]) == []


def test_modules_say_whole_commands() -> None:
    modules = [path for path in ROOT.glob("plugins/modules/*.py") if COMMAND.search(path.read_text(encoding="utf-8"))]
    assert len(modules) > 5
    actions = {path.name for path in ROOT.glob("plugins/action/*.py")}
    assert {path.name for path in modules} - actions == set()
