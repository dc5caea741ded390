# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kafka kind on a real cluster of two brokers: consumer lag, a login, and a broker that dies."""

from __future__ import annotations

import contextlib
import os
import pathlib
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Reading
from tests.servers.deadline import wait_for
from tests.servers.http import HttpServer, closed_port, silent_listener
from tests.servers.kafka import KafkaCluster, kafka_cluster
from tests.unit.probes.conftest import ask_all

__all__ = ["kafka_cluster"]


def ask(cluster: KafkaCluster, **options: t.Any) -> Reading:
    reading = ask_all([{"kind": "kafka", "servers": cluster.servers, **options}])[0].reading
    assert cluster.password not in repr(reading)
    return reading


def outcome(cluster: KafkaCluster, **options: t.Any) -> tuple[str, str]:
    reading = ask(cluster, **options)
    return reading.outcome, reading.message


def wait_for_both(cluster: KafkaCluster) -> None:
    """A broker whose heartbeat comes late, on a machine that has much else to do, is put aside for a moment."""
    wait_for(lambda: ask(cluster, minimum=2).outcome == "ok", "both brokers")


def test_a_cluster_that_is_well(kafka_cluster: KafkaCluster) -> None:
    wait_for_both(kafka_cluster)
    reading = ask(kafka_cluster)
    assert (reading.outcome, reading.message) == ("ok", "as expected")
    assert sorted(reading.values["brokers"]) == sorted(kafka_cluster.servers)
    assert reading.values["controller"] in (1, 2)
    few = ask(kafka_cluster, minimum=3)
    assert (few.outcome, few.message) == ("failed", "brokers: 2 are there, not 3")
    assert (
        few.hint == f"kafka-metadata-quorum.sh --bootstrap-server {','.join(kafka_cluster.servers)} describe --status"
    )


def test_consumer_lag(kafka_cluster: KafkaCluster) -> None:
    cluster = kafka_cluster
    wait_for_both(cluster)
    cluster.create_topic("orders", 1, 1)
    cluster.produce("orders", 10)
    with contextlib.closing(cluster.consumer("shop", "orders")) as consumer:
        taken: list[t.Any] = []

        def take() -> bool:
            for records in consumer.poll(timeout_ms=500, max_records=4 - len(taken)).values():
                taken.extend(records)
            return len(taken) == 4

        wait_for(take, "four records")
        consumer.commit()
        bounds: dict[str, t.Any] = {"groups": "shop", "lag_warning": 5, "lag_limit": 6, "members": 1}
        behind = ("warning", "group shop: 6 records behind on topic orders")
        wait_for(lambda: outcome(cluster, **bounds) == behind, "what was committed to be known")
        reading = ask(cluster, **bounds)
        assert (reading.outcome, reading.message) == behind
        (group,) = reading.values["groups"]
        assert (group["lag"], group["topics"], group["members"]) == (6, {"orders": 6}, 1)
        assert outcome(cluster, groups="sh*", lag_limit=5)[0] == "failed"
        assert outcome(cluster, groups="shop", lag_limit=6) == ("ok", "as expected")
        # Of a topic that is none of ours.
        assert outcome(cluster, groups="shop", lag_limit=5, ignore="ord*") == ("ok", "as expected")
    late = ("failed", "group shop: 6 records behind on topic orders, and nobody consumes")
    wait_for(lambda: outcome(cluster, groups="*", lag_limit=5) == late, "the consumer to have left")
    alone = outcome(cluster, groups="shop", members=1)
    assert alone == ("failed", "group shop: 0 members, not 1 (state Empty)")
    nobody = ask(cluster, groups=["shop", "nobody"])
    assert (nobody.outcome, nobody.message) == ("failed", "group nobody: there is no such consumer group")
    assert outcome(cluster, groups="nobody*") == ("ok", "as expected")


def test_a_login(kafka_cluster: KafkaCluster, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "password"
    path.write_text(kafka_cluster.password + "\n")
    login: dict[str, t.Any] = {
        "servers": kafka_cluster.secured,
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "user": "probe",
    }
    wait_for_both(kafka_cluster)
    assert outcome(kafka_cluster, **login, password_file=str(path), minimum=2) == ("ok", "as expected")
    wrong = ask(kafka_cluster, **login, password="a-wrong-password", timeout=5)
    assert (wrong.outcome, "a-wrong-password" in repr(wrong)) == ("failed", False)
    assert outcome(kafka_cluster, servers=kafka_cluster.secured, timeout=3)[0] == "failed"
    assert outcome(kafka_cluster, **login, password_file=str(tmp_path / "none"))[0] == "unknown"


def test_what_is_no_broker() -> None:
    def asked(port: int, timeout: float) -> Reading:
        return ask_all([{"kind": "kafka", "servers": f"127.0.0.1:{port}", "timeout": timeout}])[0].reading

    port = closed_port()
    closed = asked(port, 60)
    assert (closed.outcome, closed.message) == ("failed", f"127.0.0.1:{port}: Connection refused")
    several = ask_all([{"kind": "kafka", "servers": [f"127.0.0.1:{port}", f"[::1]:{port}", "nowhere.invalid:1"]}])[0]
    assert several.reading.message.startswith(f"127.0.0.1:{port}: Connection refused; [::1]:{port}: ")
    assert "; nowhere.invalid:1: " in several.reading.message
    with HttpServer() as http:
        assert asked(http.port, 2).outcome == "failed"
    with silent_listener() as port:
        descriptors = len(os.listdir("/proc/self/fd"))
        assert asked(port, 1).outcome == "failed"
        wait_for(lambda: len(os.listdir("/proc/self/fd")) <= descriptors, "the connection to be closed")


def test_a_broker_dies(kafka_cluster: KafkaCluster) -> None:
    """The last test of this cluster."""
    cluster = kafka_cluster
    wait_for_both(cluster)
    cluster.create_topic("copied", 2, 2)
    cluster.create_topic("spread", 6, 1)
    wait_for(lambda: outcome(cluster, minimum=2) == ("ok", "as expected"), "every replica to be in sync")
    cluster.processes[1].kill()
    cluster.processes[1].wait()
    wait_for(
        lambda: ask(cluster, minimum=2).message.startswith("brokers: 1 is there, not 2"), "the broker to be missed"
    )
    lost = "topic spread: 3 of 6 partitions without a leader"
    behind = "topic copied: 2 of 2 partitions with replicas out of sync"
    wait_for(lambda: lost in (said := outcome(cluster)[1]) and behind in said, "replicas to be out of sync")
    reading = ask(cluster)
    assert reading.outcome == "failed"
    assert reading.values["offline_partitions"] >= 3 and reading.values["under_replicated_partitions"] >= 5
    # The other broker leads what is copied, once that is settled. What has one replica may have been on either.
    once = "spread, orders, __consumer_offsets"
    wait_for(lambda: outcome(cluster, ignore=once)[0] == "warning", "other leaders")
    assert outcome(cluster, ignore=once, under_replicated_limit=1)[0] == "failed"
