# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every committed file: its licence, its words, its size."""

from __future__ import annotations

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LINES_AT_MOST = 400
# Written in two halves, so that this file does not find itself.
FORBIDDEN = {
    "an open end": re.compile(r"\bTO" + r"DO\b|\bFIX" + r"ME\b|\bX" + r"XX\b"),
    "a path of one machine": re.compile(r"/wo" + r"rk/(main|shared)|/ro" + r"ot/[.\w]|/home/[a-z]"),
    "a conflict": re.compile("^(<<<" + "<<<<|>>>" + ">>>>) ", re.M),
    "a private key": re.compile("BEGIN [A-Z ]*PRIVATE" + " KEY|AGE-SECRET" + "-KEY-1[A-Z0-9]{58}"),
}
DOCUMENTATION = re.compile(r'^(DOCUMENTATION|EXAMPLES|RETURN) = r?""".*?"""', re.M | re.S)
VAGUE = re.compile(r"(^|_)(utils?|helpers?|common|managers?|misc)(_|$)")


def text_of(path: pathlib.Path) -> str:
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_contains(files, what):
    found = [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {match.group()}"
        for path in files
        if path.name != "LICENSE"
        for text in [text_of(path)]
        for match in FORBIDDEN[what].finditer(text)
    ]
    assert found == []


def test_every_plugin_names_its_licence(files):
    header = "GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)"
    missing = [
        str(path)
        for path in files
        if path.suffix == ".py" and path.parts[0] == "plugins" and header not in text_of(path)[:500]
    ]
    assert missing == []


def test_every_other_python_file_names_its_licence(files):
    missing = [
        str(path)
        for path in files
        if (path.suffix == ".py" or text_of(path).startswith("#!/usr/bin/env python"))
        and "SPDX-License-Identifier: GPL-3.0-or-later" not in text_of(path)[:500]
    ]
    assert missing == []


def test_a_file_has_one_subject(files):
    long = {
        str(path): text.count("\n")
        for path in files
        if path.suffix == ".py" and path.parts[0] == "plugins"
        for text in [DOCUMENTATION.sub("", text_of(path))]
        if text.count("\n") > LINES_AT_MOST
    }
    assert long == {}


def test_no_name_is_vague(files):
    assert [str(path) for path in files if path.suffix == ".py" and VAGUE.search(path.stem)] == []


def test_programs_are_executable(files):
    wrong = [
        str(path)
        for path in files
        if text_of(path).startswith("#!")
        and path.parts[0] in ("tools", ".ci")
        and not (ROOT / path).stat().st_mode & 0o111
    ]
    assert wrong == []


def test_generated_pages_are_current(program):
    import subprocess
    import sys

    for tool in ("tools/plugin_list", "tools/role_readmes"):
        done = subprocess.run(
            [sys.executable, tool, "--check"], cwd=ROOT, env=program, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
