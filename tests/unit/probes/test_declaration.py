# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Declarations: everything wrong in them is named before anything runs."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import declare, secrets_of
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import KINDS, Session, declare_all

GOOD: dict[str, dict[str, t.Any]] = {
    "http": {"url": "http://localhost/"},
    "tcp": {"host": "localhost", "port": 80},
    "postgresql": {"host": "localhost"},
    "postgresql_archive": {"component": "db", "rpo": "5m"},
    "pitr_passphrase": {"component": "db", "repository": "file:///r", "environment_name": "local"},
    "recovery_point": {"component": "db", "rpo": "1h", "repository": "file:///x", "environment_name": "local"},
    "encryption": {"component": "db", "identity_file": "/i", "repository": "file:///r", "environment_name": "local"},
    "blast_radius": {"repository": "file:///r", "environment_name": "local"},
    "disk": {"path": "/"},
    "process": {"pattern": "postgres"},
    **{kind: {"context": "staging"} for kind in KINDS if kind.startswith("kubernetes_")},
}


def declared(**raw: t.Any) -> t.Any:
    return declare(raw, 1, KINDS, Session())


def refusal(**raw: t.Any) -> str:
    with pytest.raises(InvalidInput) as refused:
        declared(**raw)
    return str(refused.value)


def test_every_kind_has_a_good_example_here() -> None:
    assert GOOD.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", GOOD)
def test_defaults_and_a_name_of_its_own(kind: str) -> None:
    probe = declared(kind=kind, **GOOD[kind])
    assert (probe.critical, probe.timeout, probe.attempts) == (True, 5.0, 1)
    assert probe.name.startswith(kind)
    assert probe.check.expected
    assert probe.check.hint


def test_an_unknown_kind_is_named_with_the_nearest() -> None:
    assert "unknown kind 'htp', did you mean 'http'?" in refusal(kind="htp")
    assert "recovery_point" in refusal(kind="zzz")


@pytest.mark.parametrize(
    ("kind", "key", "nearest"),
    [
        ("http", "stauts", "status"),
        ("tcp", "prot", "port"),
        ("disk", "free_precent", "free_percent"),
        ("http", "timout", "timeout"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest(kind: str, key: str, nearest: str) -> None:
    assert f"unknown key {key!r}, did you mean {nearest!r}?" in refusal(kind=kind, **GOOD[kind], **{key: 1})


def test_the_refusal_names_the_probe_and_its_component() -> None:
    assert refusal(kind="tcp", name="the door", component="api", host="x").startswith(
        "api: probe 1 (the door) of kind tcp has no port"
    )


@pytest.mark.parametrize(
    "raw",
    [
        {"kind": "http", "url": "ftp://x/"},
        {"kind": "http", "url": "http://user:secret@x/"},
        {"kind": "http", "url": "http://x/", "status": "20x"},
        {"kind": "http", "url": "http://x/", "status": []},
        {"kind": "http", "url": "http://x/", "body_matches": "("},
        {"kind": "http", "url": "http://x/", "json": {"a..b[": 1}},
        {"kind": "http", "url": "http://x/", "headers": {"A": "1\r\nB: 2"}},
        {"kind": "http", "url": "http://x/", "headers": "A: 1"},
        {"kind": "http", "url": "http://x/", "method": "GET / HTTP/1.1\r\n"},
        {"kind": "http", "url": "https://x/", "ca_cert": "/nonexistent/ca.pem"},
        {"kind": "http", "url": "http://x/", "timeout": 0},
        {"kind": "http", "url": "http://x/", "attempts": 0},
        {"kind": "http", "url": "http://x/", "critical": "perhaps"},
        {"kind": "tcp", "host": "x", "port": 70000},
        {"kind": "tcp", "host": "x", "port": 1.5},
        {"kind": "postgresql", "role": "leader"},
        {"kind": "postgresql", "expect": 1},
        {"kind": "recovery_point", "component": "db", "rpo": "1h"},
        {"kind": "recovery_point", "rpo": "1h", "repository": "file:///x", "environment_name": "local"},
        {"kind": "recovery_point", "component": "db", "rpo": "soon"},
        {"kind": "disk", "path": "/", "free_bytes": "lots"},
        {"kind": "disk", "path": "/", "free_percent": 101},
        {"kind": "process"},
        {"kind": "process", "pattern": "a", "pid_file": "/b"},
    ],
)
def test_bad_values_are_refused(raw: dict[str, t.Any]) -> None:
    refusal(**raw)


def test_empty_values_count_as_absent() -> None:
    assert declared(kind="postgresql", socket="", password=None, host="").check.hint.startswith("psql 'host=127.0.0.1")


def test_what_is_no_mapping_is_refused() -> None:
    with pytest.raises(InvalidInput, match="probe 2 is not a mapping"):
        declare_all([{"kind": "disk", "path": "/"}, "disk"], Session())


def test_a_bad_secret_is_not_quoted() -> None:
    assert "hunter2" not in refusal(kind="postgresql", password={"a": "hunter2"})
    assert "hunter2" not in refusal(kind="http", url="http://someone:hunter2@x/")


def test_secrets_are_found_even_in_bad_declarations() -> None:
    raw = {
        "kind": "nonsense",
        "password": "one",
        "login_password": "two",
        "headers": {"Authorization": "three", "Accept": "x"},
    }
    assert set(secrets_of(raw, KINDS)) == {"one", "two", "three"}
    assert list(secrets_of("text", KINDS)) == []


@given(
    st.dictionaries(
        st.text(max_size=12), st.one_of(st.none(), st.text(), st.integers(), st.lists(st.integers())), max_size=6
    ),
    st.sampled_from(sorted(KINDS)),
)
def test_any_declaration_is_accepted_or_refused_in_words(raw: dict[str, t.Any], kind: str) -> None:
    try:
        declare({"kind": kind, **raw}, 1, KINDS, Session())
    except InvalidInput as error:
        assert "probe 1" in str(error)
