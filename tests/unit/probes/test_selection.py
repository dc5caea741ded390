# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which probes a health check asks: each one that is declared is asked, or named with the reason why not."""

from __future__ import annotations

import pathlib
import typing as t

import hypothesis
import hypothesis.strategies as st
import pytest
import yaml

from ansible_collections.sre.runbooks.plugins.filter.health_checklist import health_checklist
from ansible_collections.sre.runbooks.plugins.filter.probe_selection import probe_selection
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._probes.selection import checked_checklist, select

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROBES = [
    {"name": "db answers", "kind": "postgresql"},
    {"name": "db has space", "kind": "disk"},
    {"kind": "tcp", "port": 1},
]
EVERYTHING = checked_checklist({}, "")


def chosen(**checklist: t.Any) -> list[str]:
    listed = checked_checklist({"x": checklist}, "x")
    asked, _ = select(PROBES, ["db", "postgresql", "production"], listed, {})
    return [str(probe.get("name", probe["kind"])) for probe in asked]


@pytest.mark.parametrize(
    ("checklist", "asked"),
    [
        ({}, ["db answers", "db has space", "tcp"]),
        ({"kinds": ["disk"]}, ["db has space"]),
        ({"kinds": ["post*", "tcp"]}, ["db answers", "tcp"]),
        ({"names": ["* answers"]}, ["db answers"]),
        ({"names": ["* answers"], "kinds": ["disk"]}, []),
        ({"components": ["api"]}, []),
        ({"components": ["api", "d*"]}, ["db answers", "db has space", "tcp"]),
        ({"components": ["production"]}, ["db answers", "db has space", "tcp"]),
        ({"kinds": ["none"], "probes": [{"name": "more", "kind": "tcp"}]}, ["more"]),
        ({"kinds": ["none"], "probes": [{"name": "more", "kind": "tcp", "component": "api"}]}, []),
        ({"kinds": ["none"], "probes": [{"name": "more", "kind": "tcp", "component": "db"}]}, ["more"]),
        ({"components": ["api"], "probes": [{"name": "more", "kind": "tcp", "component": "db"}]}, ["more"]),
        ({"components": ["api"], "probes": [{"name": "more", "kind": "tcp"}]}, []),
    ],
)
def test_a_checklist_selects(checklist: dict[str, t.Any], asked: list[str]) -> None:
    assert chosen(**checklist) == asked


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"components": ["db", "aip"]}, "names no component that there is, did you mean 'api'?"),
        ({"components": ["web*"]}, "found: 'web*'"),
        ({"kinds": ["htttp"]}, "names no kind of probe that there is, did you mean 'http'?"),
        ({"probes": [{"kind": "tcp", "component": "dbb"}]}, "names no component that there is, did you mean 'db'?"),
        ({"components": ["d*", "production"], "kinds": ["kubernetes_*"], "probes": [{"component": "api"}]}, ""),
    ],
)
def test_whom_a_checklist_is_about_is_there(given: dict[str, t.Any], says: str) -> None:
    problem = health_checklist({"x": given}, "x", ["db", "api", "production"])["problem"]
    assert says in problem and bool(problem) == bool(says)


@hypothesis.given(st.sets(st.sampled_from(["db answers", "db has space", "nobody"])))
def test_what_is_declared_is_asked_or_named(names: set[str]) -> None:
    asked, left_out = select(PROBES, ["db"], EVERYTHING, dict.fromkeys(names, " why "))
    assert len(asked) + len(left_out) == len(PROBES)
    assert set(left_out) == names & {"db answers", "db has space"}
    assert set(left_out.values()) <= {"why"}


@pytest.mark.parametrize("reason", ["", "  ", None])
def test_a_reason_is_wanted(reason: str | None) -> None:
    with pytest.raises(InvalidInput, match="without a reason"):
        select(PROBES, ["db"], EVERYTHING, {"db answers": reason})
    assert "without a reason" in probe_selection(PROBES, ["db"], EVERYTHING, {"db answers": reason})["problem"]


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("mornin", {"morning": {}}, "there is no checklist 'mornin', did you mean 'morning'"),
        ("a", {"a": {"kind": ["http"]}}, "unknown key 'kind', did you mean 'kinds'"),
        ("a", {"a": {"kinds": "http"}}, "bad kinds; expected: a list of texts"),
        ("a", {"a": {"probes": ["http"]}}, "bad probes; expected: a list of mappings"),
        ("a", {"a": {"objectives": "no"}}, "bad objectives; expected: true or false"),
        ("a", {"a": {"probes": [["hunter2"]]}}, "found: a list; next: correct health_checklists"),
        ("a", {"a": None}, "is no mapping; expected: keys among"),
        ("a", {"a": [{"password": "hunter2"}]}, "found: a list; next: correct health_checklists"),
        ("Of today", {"Of today": {}}, "not a checklist's name"),
    ],
)
def test_a_bad_checklist_is_refused(name: str, given: dict[str, t.Any], says: str) -> None:
    problem = health_checklist(given, name)["problem"]
    assert says in problem and "; next: " in problem and "the same command with" in problem


@pytest.mark.parametrize(("own", "found"), [(["morning"], "a list"), ("[...]", "a text"), (3, "another value")])
def test_checklists_that_are_no_mapping_are_refused_without_a_name_too(own: t.Any, found: str) -> None:
    for name in ("", "morning"):
        problem = health_checklist({"morning": {}}, name, [], own)["problem"]
        assert "health_checklists is no mapping of checklists by name; expected: " in problem
        assert f"found: {found}; next: correct health_checklists" in problem


def test_an_inventory_has_checklists_beside_and_instead_of_those_that_there_are() -> None:
    builtin = {"morning": {"review": ["a"]}, "weekly": {"review": ["b"]}}
    own = {"morning": {"review": ["c"]}, "night": {}}
    for name, review in (("morning", ["c"]), ("weekly", ["b"]), ("night", [])):
        found = health_checklist(builtin, name, own=own)
        assert (found["problem"], found["review"]) == ("", review)


def test_the_checklists_of_the_role_are_well_formed() -> None:
    variables = yaml.safe_load((ROOT / "roles/health/vars/main.yml").read_text(encoding="utf-8"))
    builtin = variables["__health_builtin_checklists"]
    assert set(builtin) == {"morning", "weekly", "monthly", "quarterly"}
    for name in builtin:
        found = health_checklist(builtin, name)
        assert (found["problem"], found["objectives"]) == ("", True)
        assert found["review"] and found["description"]
