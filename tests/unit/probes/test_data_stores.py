# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the kinds for data stores make of what servers say, where a real server would take long to say it."""

from __future__ import annotations

import dataclasses
import types
import typing as t

import kafka
import pymysql
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._probes import (
    kafka_judgement,
    mysql_judgement,
    redis_judgement,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Check, declare
from ansible_collections.sre.runbooks.plugins.module_utils._probes.elasticsearch import ElasticsearchCheck
from ansible_collections.sre.runbooks.plugins.module_utils._probes.findings import Finding, sum_up, with_hints
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import KINDS, Session
from ansible_collections.sre.runbooks.plugins.module_utils._probes.postgresql_connections import Group
from ansible_collections.sre.runbooks.plugins.module_utils._probes.postgresql_replication import (
    Found,
    Replay,
    Slot,
    Standby,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.postgresql_transactions import Found as Transactions
from ansible_collections.sre.runbooks.plugins.module_utils._probes.postgresql_transactions import Transaction
from ansible_collections.sre.runbooks.plugins.module_utils._probes.query import check_query
from tests.unit.probes.conftest import Ask

OUTCOMES = st.sampled_from(["warning", "failed", "unknown"])
RANK = {"ok": 0, "warning": 1, "unknown": 2, "failed": 3}
CALM = Replay(False, 0.0, 0.0, True, 5.0, "streaming", 1.0)
STANDBY = Standby("db2", "192.0.2.2", "streaming", "async", 0.0, 0.0)


def check(kind: str, **options: t.Any) -> t.Any:
    return declare({"kind": kind, **options}, 1, KINDS, Session()).check


def defaults(kind: str, **options: t.Any) -> dict[str, t.Any]:
    return {**{name: option.default for name, option in KINDS[kind].options.items()}, **options}


def command(*words: str) -> str:
    return " ".join(["command", *words])


@given(st.lists(st.builds(Finding, OUTCOMES, st.just("thing"), st.text(max_size=5)), max_size=12))
def test_a_reading_is_as_bad_as_the_worst_of_it(findings: list[Finding]) -> None:
    reading = sum_up(Check(), "measured", findings)
    assert RANK[reading.outcome] == max((RANK[finding.outcome] for finding in findings), default=0)
    assert [item["outcome"] for item in reading.values["findings"]] == sorted(
        (finding.outcome for finding in findings), key=lambda outcome: -RANK[outcome]
    )
    assert (reading.hint is None) == (not findings)


def test_the_next_command_is_that_of_the_worst() -> None:
    findings = [Finding("warning", "a", "b", "look at a"), Finding("failed", "c", "d", "look at c")]
    assert with_hints(sum_up(Check(), "", findings), findings, None).hint == "look at c"
    assert with_hints(sum_up(Check(), "", findings), findings, "my own").hint == ""  # what the check has, which is that


def replication(found: Found, **options: t.Any) -> tuple[str, str]:
    reading = check("postgresql_replication", **options).answer(found, 0.01)
    return reading.outcome, reading.message


@pytest.mark.parametrize(
    ("changes", "outcome", "words"),
    [
        ({}, "ok", "as expected"),
        ({"silent_s": 59.0}, "ok", "as expected"),  # a server with nothing to say is silent that long
        ({"silent_s": 61.0}, "warning", "the primary was not heard for 1 m 01 s"),
        ({"silent_s": 301.0}, "failed", "the primary was not heard for 5 m 01 s"),
        ({"lag_s": 61.0, "behind_bytes": 1024.0}, "warning", "1 m 01 s behind, 1.0 KiB received and not replayed"),
        ({"lag_s": None, "behind_bytes": 1024.0}, "warning", "nothing was replayed since the start"),
        ({"receiver": None, "silent_s": None}, "failed", "nothing is received from the primary"),
        ({"receiver": None, "silent_s": None, "streams": False}, "ok", "as expected"),
        ({"paused": True}, "warning", "it is paused"),
    ],
    ids=["well", "silent", "unheard", "lost", "late", "never", "unconnected", "archive", "paused"],
)
def test_a_standby(changes: dict[str, t.Any], outcome: str, words: str) -> None:
    found = replication(Found([], [], dataclasses.replace(CALM, **changes)), lag_warning="10s", lag_limit="5m")
    assert found[0] == outcome
    assert words in found[1]


@pytest.mark.parametrize(
    ("standby", "slot", "outcome", "words"),
    [
        ({"lag_s": None}, {}, "ok", "as expected"),  # while nothing is written
        ({"lag_s": 300.0}, {}, "warning", "standby db2: replays 5 m 00 s (0 B) behind"),
        ({"lag_s": 300.1}, {}, "failed", "standby db2: replays 5 m 00 s (0 B) behind"),
        ({"state": "catchup"}, {}, "warning", "standby db2: it is in state catchup"),
        ({"name": ""}, {}, "ok", "as expected"),
        ({"state": "hidden"}, {}, "unknown", "pg_monitor"),
        ({}, {"held_bytes": float(1 << 30)}, "ok", "as expected"),
        ({}, {"held_bytes": float((1 << 30) + 1)}, "warning", "slot one: holds 1.0 GiB of log"),
        ({}, {"held_bytes": float(11 << 30), "active": False}, "failed", "holds 11.0 GiB of log, and nobody uses it"),
        ({}, {"wal_status": "unreserved"}, "warning", "slot one: holds"),
        ({}, {"wal_status": "lost", "held_bytes": None}, "failed", "log that it needs was removed"),
    ],
    ids=["idle", "late", "too-late", "catchup", "nameless", "hidden", "held", "more", "much", "unreserved", "lost"],
)
def test_a_primary(standby: dict[str, t.Any], slot: dict[str, t.Any], outcome: str, words: str) -> None:
    slots = [dataclasses.replace(Slot("one", True, "reserved", 0.0), **slot)]
    found = replication(Found([dataclasses.replace(STANDBY, **standby)], slots, None))
    assert found[0] == outcome
    assert words in found[1]


@given(used=st.integers(1, 200), limit=st.integers(0, 200))
def test_connections_of_any_number(used: int, limit: int) -> None:
    groups = [Group("idle", "shop", "shop", "shop", used)]
    reading = check("postgresql_connections").answer((limit, groups), 0.01)
    percent = 100.0 * used / limit if limit else 100.0
    assert reading.outcome == ("failed" if percent >= 95 else "warning" if percent >= 80 else "ok")


def test_sessions_of_other_probes_are_nobodys_open_transactions() -> None:
    """They are asked at the same time: what one says of them must not contradict what another does."""
    state = "idle in transaction"
    groups = [Group("idle", "shop", "shop", "shop", 3), Group(state, "sre.runbooks-probe", "probe", "postgres", 2)]
    reading = check("postgresql_connections").answer((97, groups), 0.01)
    assert reading.measured == "5 of 97 connections (5.2 %): 3 idle, 2 of sre.runbooks"
    sessions = [
        Transaction(number, "shop", "shop", name, True, 1.0, 1.0)
        for number, name in enumerate(("sre.runbooks-probe", "pg_dump", "pg_dump"))
    ]
    reading = check("postgresql_transactions").answer(Transactions(sessions, [], {}, 0), 0.01)
    assert (reading.outcome, reading.measured) == ("ok", "0 open transactions, 0 idle; ignored: pg_dump")


@given(
    st.dictionaries(st.sampled_from(["used_memory", "maxmemory", "maxclients", "connected_clients"]), st.integers(0))
)
def test_redis_without_limits_divides_by_nothing(info: dict[str, int]) -> None:
    said = {"role": "master", **info}
    grown = {"evicted_keys": 0, "rejected_connections": 0}
    findings = redis_judgement.judge(said, grown, 0.0, defaults("redis"), "redis-cli")
    assert redis_judgement.measured(said)
    assert {finding.thing for finding in findings} <= {"memory", "connections"}
    if not info.get("maxmemory"):
        assert "memory" not in {finding.thing for finding in findings}


def test_redis_that_loads_or_never_heard_its_primary() -> None:
    said = {"role": "slave", "loading": 1, "master_link_status": "up", "master_last_io_seconds_ago": -1}
    said.update(master_host="192.0.2.1", master_port=6379)
    grown = {"evicted_keys": 0, "rejected_connections": 3}
    findings = redis_judgement.judge(said, grown, 1.0, defaults("redis"), "redis-cli")
    assert [(finding.thing, finding.words) for finding in findings] == [
        ("persistence", "it still loads its data"),
        ("connections", "3 connections were rejected while we looked"),
        ("replication", "192.0.2.1:6379 was never heard"),
    ]


def test_mysql_speaks_of_sources_or_of_masters() -> None:
    row = {"Master_Host": "db1", "Master_Port": 3306, "Slave_IO_Running": "Yes", "Slave_SQL_Running": "Yes"}
    running = mysql_judgement.channel({**row, "Seconds_Behind_Master": 61, "Channel_Name": "eu"})
    state = mysql_judgement.State("8.4.0", 1, 100, True, [running])
    (late,) = mysql_judgement.judge(state, defaults("mysql"), command)
    assert (late.outcome, late.thing, late.words) == ("warning", "replication eu from db1:3306", "1 m 01 s behind")
    state.channels = [mysql_judgement.channel({**row, "Seconds_Behind_Master": None})]
    (unsure,) = mysql_judgement.judge(state, defaults("mysql"), command)
    assert unsure.outcome == "unknown"


def test_a_prepared_transaction_of_mysql_belongs_to_no_user() -> None:
    one = mysql_judgement.Transaction.of((0, None, None, None, None, 7200, None))
    state = mysql_judgement.State("10.11", 1, 100, False, transactions=[one])
    (finding,) = mysql_judgement.judge(state, defaults("mysql"), command)
    assert (finding.outcome, finding.thing, finding.words) == ("warning", "connection 0", "open for 2 h 00 m")


def test_kafka_without_a_controller() -> None:
    topic = kafka_judgement.Topic("orders", 3, frozenset({0, 1}), 1)
    state = kafka_judgement.State(["kafka1:9092"], -1, [topic])
    findings = list(kafka_judgement.judge(state, defaults("kafka"), command))
    # The partition without a leader is out of sync as well, and told once.
    assert [(finding.outcome, finding.thing, finding.words) for finding in findings] == [
        ("failed", "controller", "there is none"),
        ("failed", "topic orders", "1 of 3 partitions without a leader"),
    ]


class FewCommits:
    """A client of a broker with a topic of three partitions, the last without records, of which groups commit little."""

    def __init__(self, committed: dict[int, int]) -> None:
        self._committed = {kafka.TopicPartition("orders", number): at for number, at in committed.items()}

    def list_groups(self) -> list[dict[str, str]]:
        return [{"group_id": "billing", "protocol_type": "consumer"}]

    def describe_groups(self, names: list[str]) -> dict[str, t.Any]:
        return {name: {"group_state": "Stable", "members": [1]} for name in names}

    def list_group_offsets(self, names: list[str]) -> dict[str, t.Any]:
        return {
            name: {place: types.SimpleNamespace(offset=at) for place, at in self._committed.items()} for name in names
        }

    def list_partition_offsets(self, wanted: t.Mapping[t.Any, t.Any]) -> dict[t.Any, t.Any]:
        ends = (100, 100, 0)
        return {place: types.SimpleNamespace(offset=ends[place.partition]) for place in wanted}


@pytest.mark.parametrize(
    ("committed", "words"),
    [
        ({0: 100, 1: 100}, None),
        ({0: 100, 1: 100, 2: -1}, None),
        ({0: 100, 1: -1}, "has committed nothing on 1 partition of topic orders: its lag is not known"),
        ({0: 100}, "has committed nothing on 1 partition of topic orders: its lag is not known"),
        ({0: -1, 1: -1}, "has committed nothing on 2 partitions of topic orders: its lag is not known"),
        ({}, "has committed nothing: its lag is not known"),
    ],
)
def test_a_group_of_kafka_that_commits_nothing_has_no_lag_that_is_known(
    committed: dict[int, int], words: str | None
) -> None:
    topic = kafka_judgement.Topic("orders", 3, frozenset({0, 1, 2}), 0)
    groups = check("kafka", servers="a:1", groups="billing")._groups(FewCommits(committed), [topic])
    state = kafka_judgement.State(["kafka1:9092"], 1, [topic], groups)
    for limits in ({"lag_warning": 50}, {"lag_limit": 50}):
        findings = list(kafka_judgement.judge(state, defaults("kafka", groups=("billing",), **limits), command))
        assert [finding.words for finding in findings if finding.outcome == "unknown"] == ([words] if words else [])
        assert {finding.outcome for finding in findings} <= {"unknown"}
    assert not list(kafka_judgement.judge(state, defaults("kafka", groups=("billing",)), command))
    # Of topics that are not looked at, nothing is wanted.
    state.groups = check("kafka", servers="a:1", groups="billing")._groups(FewCommits(committed), [])
    findings = list(kafka_judgement.judge(state, defaults("kafka", groups=("billing",), lag_limit=0), command))
    assert bool(findings) == (max(committed.values(), default=-1) < 0)


@pytest.mark.parametrize(
    ("version", "hint"), [("8.4.0", "SHOW REPLICA STATUS"), ("11.8.2-MariaDB", "SHOW ALL SLAVES STATUS")]
)
def test_the_next_command_is_one_that_the_server_knows(version: str, hint: str) -> None:
    row = {"Master_Host": "db1", "Slave_IO_Running": "No", "Slave_SQL_Running": "Yes"}
    state = mysql_judgement.State(version, 1, 100, True, [mysql_judgement.channel(row)])
    findings = list(mysql_judgement.judge(state, defaults("mysql", role="primary"), command))
    assert [finding.hint for finding in findings] == [f"command {hint}"] * 2


def test_mysql_is_asked_nothing_without_the_tls_that_was_wanted(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """As PyMySQL 1.1 connects to a server that offers none."""
    plain = types.SimpleNamespace(_secure=False, close=lambda: None)
    monkeypatch.setattr(pymysql, "connect", lambda **_settings: plain)
    reading = ask("mysql", tls=True).reading
    assert (reading.outcome, reading.message) == ("failed", "it does not offer TLS")


@pytest.mark.parametrize(
    ("rows", "data_nodes", "outcome"),
    [
        ([{"node": "n1", "disk.percent": None}, {"node": "UNASSIGNED", "disk.percent": None}], 1, "unknown"),
        ([], 3, "unknown"),
        ([{"node": "n1", "disk.percent": "12"}], 1, "ok"),
        ([], 0, "ok"),
    ],
)
def test_a_cluster_that_tells_nothing_of_its_disks(
    ask: Ask, rows: list[dict[str, t.Any]], data_nodes: int, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(_self: t.Any, path: str, _password: t.Any, kind: type) -> t.Any:
        return {"status": "green", "number_of_nodes": 3, "number_of_data_nodes": data_nodes} if kind is dict else rows

    monkeypatch.setattr(ElasticsearchCheck, "_get", answer)
    reading = ask("elasticsearch", url="http://127.0.0.1:9").reading
    assert reading.outcome == outcome, reading
    assert ("of no disk" in reading.message) == (outcome == "unknown")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1;",
        "SELECT ';', E'\\';' -- ;\n;",
        'SELECT 1 AS "a;b"',
        "SELECT $x$;$$;$x$ /* ; */",
        "SELECT `a;b` FROM c ; ",
    ],
    ids=["end", "texts", "name", "dollars", "backticks"],
)
def test_a_semicolon_within_ends_no_statement(query: str) -> None:
    check_query({"query": query, "expect": None, "minimum": None, "maximum": None})


@pytest.mark.parametrize(
    ("kind", "options", "problem"),
    [
        ("redis", {"sample": "5s"}, "sample must be shorter than timeout"),
        ("mysql", {"expect": 1}, "expect, minimum and maximum need a query"),
        ("mysql", {"query": "COMMIT; DELETE FROM orders"}, "query has to be one statement"),
        (
            "postgresql",
            {"query": "SELECT 'it''s', E'\\';'; COMMIT; DELETE FROM orders"},
            "query has to be one statement",
        ),
        ("postgresql", {"query": "SELECT $$;$$; -- ;\n DROP TABLE orders;"}, "query has to be one statement"),
        ("mysql", {"role": "primary", "replication": False}, "role needs replication: true"),
        ("kafka", {"servers": ","}, "servers must name at least one host:port"),
        ("kafka", {"servers": "a:1", "security_protocol": "SASL_SSL"}, "a security_protocol with SASL needs a user"),
        ("s3", {}, "url is needed"),
        ("s3", {"url": "s3://bucket", "minimum_lock": "1d"}, "minimum_lock needs a lock_mode"),
        ("elasticsearch", {"url": "https://u:p@search"}, "the url holds a credential"),
    ],
    ids=[
        "redis",
        "mysql",
        "mysql-two",
        "escaped",
        "quoted",
        "mysql-role",
        "kafka",
        "kafka-sasl",
        "s3",
        "s3-lock",
        "elasticsearch",
    ],
)
def test_combinations_that_mean_nothing(kind: str, options: dict[str, t.Any], problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        check(kind, **options)
