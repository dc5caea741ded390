# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real Kafka cluster for tests: two brokers, one of them the controller; unprivileged, loopback only, gone afterwards."""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import os
import pathlib
import secrets
import subprocess
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import _process
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import place
from tests.servers.daemon import server_directory, serving
from tests.servers.deadline import wait_for
from tests.servers.s3 import program
from tools.local_environment import free_port

_CLUSTER = "c3JlLXJ1bmJvb2tzLXRlcw"


@dataclasses.dataclass
class KafkaCluster:
    """``servers`` are the brokers' addresses; at ``secured`` the user ``probe`` logs in with ``password`` (PLAIN)."""

    servers: list[str]
    secured: list[str]
    password: str
    processes: list[subprocess.Popen[bytes]]

    def admin(self) -> t.Any:
        import kafka

        return kafka.KafkaAdminClient(bootstrap_servers=self.servers)

    def create_topic(self, name: str, partitions: int, replicas: int) -> None:
        with contextlib.closing(self.admin()) as admin:
            admin.create_topics({name: {"num_partitions": partitions, "replication_factor": replicas}})

    def produce(self, topic: str, count: int) -> None:
        import kafka

        with contextlib.closing(kafka.KafkaProducer(bootstrap_servers=self.servers)) as producer:
            for number in range(count):
                producer.send(topic, str(number).encode())
            producer.flush()

    def consumer(self, group: str, topic: str) -> t.Any:
        """One that commits only when told to."""
        import kafka

        return kafka.KafkaConsumer(
            topic,
            bootstrap_servers=self.servers,
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            # It stays a member however long this machine stalls.
            session_timeout_ms=60_000,
            request_timeout_ms=90_000,
        )


@contextlib.contextmanager
def running_kafka() -> collections.abc.Iterator[KafkaCluster]:
    """A new cluster in which both brokers are registered; stopped and deleted at the end."""
    launcher = program("kafka")
    controller, first, second, *secured = (free_port() for _ in range(5))
    password = secrets.token_hex(12)
    with server_directory("srk-") as (directory, user), contextlib.ExitStack() as brokers:
        files = [os.path.join(directory, f"{number}.properties") for number in (1, 2)]
        for number, port in ((1, first), (2, second)):
            settings = _settings(
                directory, number, {"PLAINTEXT": port, "SECURED": secured[number - 1]}, controller, password
            )
            path = pathlib.Path(files[number - 1])
            path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()), encoding="utf-8")
            place.give(str(path), user)
        _process.run(
            [
                launcher,
                "kafka.tools.StorageTool",
                "format",
                "-t",
                _CLUSTER,
                "-c",
                files[0],
            ],
            "formatting the controller's directory",
            user=user,
            cwd="/",
        )
        _format(os.path.join(directory, "data-2"), 2, user)
        processes = [
            brokers.enter_context(serving([launcher, "kafka.Kafka", settings_file], directory, user, f"log-{number}"))
            for number, settings_file in enumerate(files, start=1)
        ]
        servers = [f"127.0.0.1:{port}" for port in (first, second)]
        cluster = KafkaCluster(servers, [f"127.0.0.1:{port}" for port in secured], password, processes)
        _wait(cluster, directory)
        yield cluster


def _format(data: str, number: int, user: str | None) -> None:
    """What the tool writes for a broker that is no controller, without the seconds that it takes to start."""
    os.mkdir(data)
    path = os.path.join(data, "meta.properties")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"version=1\ncluster.id={_CLUSTER}\nnode.id={number}\n")
    place.give(path, user)
    place.give(data, user)


def _settings(
    directory: str, number: int, listeners: dict[str, int], controller: int, password: str
) -> dict[str, t.Any]:
    controls = number == 1
    if controls:
        listeners = {**listeners, "CONTROLLER": controller}
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    return {
        "process.roles": "broker,controller" if controls else "broker",
        "node.id": number,
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in listeners.items()),
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURED:SASL_PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.secured.plain.sasl.jaas.config": f'{module} required user_probe="{password}";',
        "log.dirs": os.path.join(directory, f"data-{number}"),
        "offsets.topic.num.partitions": 1,
        "offsets.topic.replication.factor": 1,
        "group.initial.rebalance.delay.ms": 0,
        # A broker that is killed is missed soon, and not at once one on a machine that stalls.
        "broker.session.timeout.ms": 15000,
        "broker.heartbeat.interval.ms": 500,
    }


def _wait(cluster: KafkaCluster, directory: str) -> None:
    import kafka
    import kafka.errors

    def complete() -> bool:
        ended = [process for process in cluster.processes if process.poll() is not None]
        if ended:
            logs = [
                path.read_text(encoding="utf-8", errors="replace") for path in pathlib.Path(directory).glob("log-*")
            ]
            raise RuntimeError("a Kafka broker ended: " + "\n".join(log[-2000:] for log in logs))
        try:
            settings = {"bootstrap_timeout_ms": 2000, "request_timeout_ms": 2000}
            with contextlib.closing(kafka.KafkaAdminClient(bootstrap_servers=cluster.servers, **settings)) as admin:
                return len(admin.describe_cluster()["brokers"]) == len(cluster.processes)
        except (kafka.errors.KafkaError, OSError):
            return False

    wait_for(complete, "the Kafka brokers", 180)


@pytest.fixture(scope="module")
def kafka_cluster() -> collections.abc.Iterator[KafkaCluster]:
    with running_kafka() as cluster:
        yield cluster
