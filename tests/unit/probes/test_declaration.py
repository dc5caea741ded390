# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Declarations: everything wrong in them is named before anything runs."""

from __future__ import annotations

import os
import pathlib
import subprocess
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import declare, secrets_of
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import KINDS, Session, declare_all
from ansible_collections.sre.runbooks.plugins.module_utils._runs.render_text import summary_lines
from tests.unit.runs.sample_report import health_report

GOOD: dict[str, dict[str, t.Any]] = {
    "http": {"url": "http://localhost/"},
    "websocket": {"url": "wss://localhost/socket", "validate_certs": False},
    "tcp": {"host": "localhost", "port": 80},
    "tls": {"host": "localhost"},
    "dns": {"record": "localhost"},
    "ping": {"host": "localhost", "port": 22},
    "smtp": {"host": "localhost"},
    "postgresql": {"host": "localhost"},
    "postgresql_archive": {"component": "db", "rpo": "5m"},
    **{
        kind: {"host": "localhost"} for kind in KINDS if kind.startswith("postgresql_") and kind != "postgresql_archive"
    },
    "mysql": {"host": "localhost"},
    "kafka": {"servers": "localhost:9092"},
    "elasticsearch": {"url": "http://localhost:9200"},
    "redis": {"host": "localhost"},
    "s3": {"url": "s3://bucket/prefix"},
    "prometheus": {"url": "http://localhost:9090"},
    "alertmanager": {"url": "http://localhost:9093"},
    "promql": {"url": "http://localhost:9090", "expression": "up", "minimum": 1},
    "pitr_passphrase": {"component": "db", "repository": "file:///r", "environment_name": "local"},
    "scheduled_run": {"runbook": "x", "within": "1d", "repository": "file:///x", "environment_name": "local"},
    "recovery_point": {"component": "db", "rpo": "1h", "repository": "file:///x", "environment_name": "local"},
    "encryption": {"component": "db", "identity_file": "/i", "repository": "file:///r", "environment_name": "local"},
    "blast_radius": {"repository": "file:///r", "environment_name": "local"},
    "disk": {"path": "/"},
    "process": {"pattern": "postgres"},
    "file_age": {"path": "/"},
    "systemd_unit": {"unit": "cron.service"},
    "credential_age": {"path": "/", "maximum_age": "90d"},
    "command": {"argv": ["true"]},
    **{kind: {"context": "staging"} for kind in KINDS if kind.startswith("kubernetes_")},
}


def declared(**raw: t.Any) -> t.Any:
    return declare(raw, 1, KINDS, Session())


def summary_lines_of(text: str) -> list[str]:
    """A finding as the screen shows it."""
    report = {**health_report(), "findings": [{"severity": "failure", "component": None, "text": text}]}
    lines = summary_lines(report)
    return lines[next(number for number, line in enumerate(lines) if line.startswith("failure: ")) :]


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


@pytest.mark.parametrize("kind", KINDS)
def test_a_misspelt_key_is_named_with_the_one_that_was_meant(kind: str) -> None:
    assert f"did you mean {kind!r}?" in refusal(kind=kind + "s")
    for key, option in KINDS[kind].options.items():
        wrong = key + "x"
        said = refusal(kind=kind, **{**GOOD[kind], wrong: 1})
        assert f"of kind {kind} has the unknown key {wrong!r}, did you mean {key!r}?" in said
        for inner in option.keys:
            said = refusal(kind=kind, **{**GOOD[kind], key: {inner + "s": "4711"}})
            assert f"has the unknown key '{key}.{inner}s', did you mean '{key}.{inner}'?" in said
            assert "4711" not in said


def test_a_misspelt_key_of_a_bucket_is_named() -> None:
    said = refusal(kind="s3", url="s3://bucket/prefix", s3={"acces_key": "hunter2"})
    assert "probe 1 of kind s3: s3 has an unknown option, did you mean 'access_key'?" in said and "hunter2" not in said


def test_a_hint_of_postgresql_works_when_pasted(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "pass word"
    hint = declared(kind="postgresql", password_file=str(path), user="o'neil", ssl_mode="require").check.hint
    # What a shell makes of it, and libpq of that.
    path.write_text("hunter2\n")
    (tmp_path / "psql").write_text('#!/bin/sh\nprintf "%s\\n" "$PGPASSWORD" "$@"\n')
    (tmp_path / "psql").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", hint], env=environment, capture_output=True, text=True, check=True)
    password, conninfo, flag, _query = done.stdout.splitlines()
    assert (password, flag) == ("hunter2", "-c")
    assert conninfo == r"host=127.0.0.1 port=5432 user='o\'neil' dbname=postgres sslmode=require"
    assert "PGPASSWORD" not in declared(kind="postgresql", password="hunter2").check.hint


@pytest.mark.parametrize("kind", ["prometheus", "promql", "elasticsearch", "http", "websocket"])
def test_a_hint_of_curl_lets_in_who_pastes_it(kind: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "pass word"
    path.write_text("hunter2\n")
    # What curl gets as arguments, which everybody may see, and through the pipe.
    (tmp_path / "curl").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\necho --\ncat\n')
    (tmp_path / "curl").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def pasted(**options: t.Any) -> tuple[list[str], str]:
        hint = declared(kind=kind, **{**GOOD[kind], **options}).check.hint
        done = subprocess.run(
            ["sh", "-c", hint], env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=True
        )
        arguments, _, given = done.stdout.decode().partition("--\n")
        assert "hunter2" not in arguments
        return arguments.splitlines(), given

    arguments, given = pasted(user="me", password="hunter2", validate_certs=False)
    assert {"-u", "me", "-k"} < set(arguments) and given == ""
    if kind in ("prometheus", "promql"):
        assert pasted(user="me", password_file=str(path))[1] == 'user = "me:hunter2"\n'
        assert pasted(bearer_token_file=str(path))[1] == 'header = "Authorization: Bearer hunter2"\n'
    if kind == "http":
        assert {"-X", "POST"} < set(pasted(method="POST")[0]) and "-I" in pasted(method="HEAD")[0]


def test_empty_values_count_as_absent() -> None:
    assert declared(kind="postgresql", socket="", password=None, host="").check.hint.startswith("psql 'host=127.0.0.1")


@pytest.mark.parametrize(
    ("kind", "key", "empty"),
    [
        ("http", "status", []),
        ("http", "json", {}),
        ("dns", "answers", []),
        ("smtp", "mechanisms", []),
        ("smtp", "mechanisms", [""]),
        ("kafka", "groups", [None]),
        ("kafka", "groups", ","),
        ("prometheus", "jobs", []),
        ("postgresql_replication", "standbys", []),
        ("command", "exit_codes", []),
        ("kubernetes_certificates", "sources", []),
        ("tcp", "expect", []),
    ],
)
def test_an_expectation_without_an_entry_is_refused_by_name(kind: str, key: str, empty: t.Any) -> None:
    assert f"bad {key}; expected: " in refusal(kind=kind, **{**GOOD[kind], key: empty})


def test_no_row_may_be_expected() -> None:
    declaration = {"kind": "postgresql", "query": "SELECT 1 WHERE false", "expect": []}
    assert "the query gives []" in declared(**declaration).check.expected
    assert "the query gives a row" in declared(**{**declaration, "expect": ""}).check.expected


def test_all_mistakes_of_all_probes_are_named_at_once() -> None:
    mistakes = [
        {"kind": "http", "name": "a", "component": "api", "url": "http://x/", "stauts": 200, "timout": 1, "json": {}},
        {"kind": "tcp", "component": "api", "host": "x", "port": 1},
        {"kind": "htp", "component": "api"},
        {"kind": "tcp", "component": "api", "port": 99999},
        {"kind": "promql", "component": "api", "url": "http://x", "expression": "up"},
    ]
    with pytest.raises(InvalidInput) as refused:
        declare_all(mistakes, Session())
    assert refused.value.component == "api"
    lines = summary_lines_of(str(refused.value))
    assert lines[0] == "failure: api: 7 mistakes in the declarations of probes"
    assert [line.partition(",")[0] for line in lines[1:4]] == [
        "  probe 1 (a) of kind http has the unknown key 'stauts'",
        "  probe 1 (a) of kind http has the unknown key 'timout'",
        "  probe 1 (a): bad json [expected: at least one; without any",
    ]
    assert lines[1].endswith(", did you mean 'status'?") and lines[4].endswith(", did you mean 'http'?")
    assert "has no host" in lines[5] and "bad port [" in lines[6] and "'99999'" not in lines[6] and "99999" in lines[6]
    assert "probe 5 of kind promql" in lines[7] and lines[8].startswith("  next: correct them in the inventory")
    # Of another component, each says whose it is; one alone is as it was.
    with pytest.raises(InvalidInput, match=r"^2 mistakes .*; api: probe 1 has .*; db: probe 2 has "):
        declare_all([{"kind": "x1", "component": "api"}, {"kind": "x2", "component": "db"}], Session())
    with pytest.raises(
        InvalidInput, match=r"^api: probe 3 has the unknown kind 'htp', did you mean 'http'.; expected: "
    ):
        declare_all([mistakes[1], mistakes[1], mistakes[2]], Session())
    with pytest.raises(InvalidInput, match="; and 80 more; next: "):
        declare_all(["text"] * 100, Session())


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
    assert set(secrets_of([raw], KINDS)) == {"one", "two", "three"}
    assert list(secrets_of(["text"], KINDS)) == []


def test_the_path_of_a_secret_is_none() -> None:
    raw = {"kind": "postgresql", "password_file": "/run/secrets/db", "passwort_file": "/x/y", "old_password": "hunter2"}
    assert set(secrets_of([raw], KINDS)) == {"hunter2"}


def test_a_secret_that_every_word_holds_is_not_masked() -> None:
    assert list(secrets_of([{"kind": "redis", "password": "e"}, {"password": 12}, {"password": "e2e"}], KINDS)) == [
        "e2e"
    ]


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
