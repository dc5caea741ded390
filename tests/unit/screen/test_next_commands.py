# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every command to run next, in every module and role: whole, without a hole to fill in, and the last thing that is said."""

from __future__ import annotations

import ast
import pathlib
import re
import typing as t

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
#: What stands in an f-string's braces.
VALUE = "value"
_ARGUMENT = r"(?: (?:--limit|-e) (?:'[^']*'|[^\s;,'<>]+)| --check)"
_COMMAND = re.compile(
    rf"(?:ansible-playbook sre\.runbooks\.(\w+)|the same command(?: without(?: -e \w+)+)?(?: with(?= ))?){_ARGUMENT}*"
)
#: What the operator typed is known (``_runs/commands.py``), so that nobody has to remember it.
_AGAIN = re.compile(r"\brun (?:(?:it|this|the \w+|the same \w+) )?again")


def texts(node: ast.expr) -> list[str]:
    """All that an expression can be, with :data:`VALUE` for what is only known when it runs."""
    if isinstance(node, ast.Constant):
        return [str(node.value)] if isinstance(node.value, str) else []
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else VALUE for part in node.values]
        return ["".join(str(part) for part in parts)]
    if isinstance(node, ast.BinOp):
        return [left + right for left in texts(node.left) for right in texts(node.right)]
    if isinstance(node, ast.BoolOp):
        return [text for value in node.values for text in texts(value)]
    if isinstance(node, ast.IfExp):
        return texts(node.body) + texts(node.orelse)
    if isinstance(node, ast.Dict):
        return [text for value in node.values for text in texts(value)]
    return [VALUE]


def said(path: pathlib.Path) -> t.Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg in ("next_command", "remedy"):
                    yield from texts(keyword.value)
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {
                target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "") for target in targets
            }
            if names & {"next_command", "hint", "remedy", "NEXT", "_NEXT", "_MEND", "_ADVICE", "advice"}:
                yield from texts(node.value)
        if isinstance(node, ast.FunctionDef) and re.search(r"(_command|advice|way_on)$", node.name):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return) and inner.value is not None:
                    yield from texts(inner.value)


PLUGINS = sorted((ROOT / "plugins").rglob("*.py"))
TEXTS = [pytest.param(text, id=f"{path.stem}-{number}") for path in PLUGINS for number, text in enumerate(said(path))]


def test_there_are_many() -> None:
    assert len(TEXTS) > 200


@pytest.mark.parametrize("text", TEXTS)
def test_a_command_to_run_next_can_be_pasted(text: str) -> None:
    assert not re.search(r"<[^>]*>|\.\.\.", text), "a hole to fill in"
    assert "ansible -m" not in text and "sre.runbooks.value" not in text
    assert not _AGAIN.search(text), "prose in place of: the same command"
    begin = re.search(r"ansible-playbook|the same command", text)
    if begin is None:
        return
    assert text[: begin.start()] == "" or text[: begin.start()].endswith(": "), "prose is glued to the command"
    command = _COMMAND.fullmatch(text[begin.start() :])
    assert command, "prose behind the command, or an argument that is none"
    assert command[1] is None or (ROOT / "playbooks" / f"{command[1]}.yml").is_file()


def test_so_it_is_in_roles() -> None:
    found = 0
    for path in sorted((ROOT / "roles").rglob("tasks/*.yml")):
        for text in re.findall(r"next: (.*)", path.read_text(encoding="utf-8")):
            found += 1
            assert not re.search(r"<[^>]*>|\.\.\.", text), (path, text)
            assert not _AGAIN.search(text), (path, text)
            begin = re.search(r"ansible-playbook|the same command", text)
            assert begin is None or text[: begin.start()] == "" or text[: begin.start()].endswith(": "), (path, text)
    assert found > 10
