# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whoever waits for a lease shows for whom: every call that may wait is given the means to."""

from __future__ import annotations

import ast
import pathlib

PLUGINS = pathlib.Path(__file__).resolve().parents[2] / "plugins"
#: Function → the place and the name of its argument that shows.
WAITING = {"holding": (6, "on_wait"), "acquire": (6, "on_wait"), "exclusive": (5, "progress")}


def waiting_calls(source: str) -> list[tuple[int, bool]]:
    """Line of each call that may wait, and whether it shows for whom."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in WAITING and len(node.args) > 1:
                place, keyword = WAITING[name]
                shows = len(node.args) > place or any(given.arg == keyword for given in node.keywords)
                found.append((node.lineno, shows))
    return found


def test_every_call_that_may_wait_shows_for_whom() -> None:
    calls = {
        f"{path.relative_to(PLUGINS)}:{line}": shows
        for path in sorted(PLUGINS.rglob("*.py"))
        for line, shows in waiting_calls(path.read_text(encoding="utf-8"))
    }
    assert len(calls) >= 8, calls
    assert [place for place, shows in calls.items() if not shows] == []


def test_one_that_does_not_is_found() -> None:
    assert waiting_calls("with holding(repository, component, run_id, holder, ttl, wait) as lease: pass") == [
        (1, False)
    ]
    assert waiting_calls("exclusive(repository, component, run_id, ttl, wait, progress=progress)") == [(1, True)]


def test_what_a_module_shows_reaches_the_screen() -> None:
    waiting = {path.stem for path in (PLUGINS / "modules").glob("*.py") if "- sre.runbooks.lease\n" in path.read_text()}
    assert len(waiting) >= 8
    assert waiting - {path.stem for path in (PLUGINS / "action").glob("*.py")} == set()
