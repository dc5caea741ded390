# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kafka kind: brokers, the controller, partitions out of sync or offline, and how far consumer groups lag."""

from __future__ import annotations

import contextlib
import fnmatch
import shlex
import socket
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import missing_library
from ansible_collections.sre.runbooks.plugins.module_utils._probes.blocking import BlockingCheck
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Kind,
    Option,
    Reading,
    choice,
    integer,
    names,
    text,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.findings import Finding, sum_up, with_hints
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kafka_judgement import (
    Group,
    State,
    Topic,
    judge,
    measured,
    values_of,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.password import PASSWORD, password_of
from ansible_collections.sre.runbooks.plugins.module_utils._probes.tls_options import TLS_OPTIONS
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted, said

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

_MOST = 2**53
#: Of a server that names none.
_PORT = 9092


class KafkaCheck(BlockingCheck):
    libraries = ("kafka", "kafka.admin", "kafka.errors")

    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(session)
        self._options = options
        if not options["servers"]:
            raise ValueError("servers must name at least one host:port")
        self._context = session.tls_context(options) if options["security_protocol"].endswith("SSL") else None
        if options["security_protocol"].startswith("SASL") and not options["user"]:
            raise ValueError("a security_protocol with SASL needs a user")
        self.expected = _in_words(options)
        self.hint = self._command("topics", "--describe --under-replicated-partitions")

    def look(self) -> Reading:
        try:
            import kafka
            import kafka.errors

            if not hasattr(kafka.KafkaAdminClient, "list_group_offsets"):
                raise ImportError(f"kafka-python {kafka.__version__}")
        except ImportError as error:
            raise missing_library("kafka-python", "kafka-python 3.0 or newer", error) from None
        password = password_of(self._options)
        closed = self._closed()
        if closed:
            return self.reading("failed", "no connection", closed)
        started = time.perf_counter()
        try:
            with contextlib.closing(_connected(kafka.KafkaAdminClient, self._settings(password))) as client:
                return self._ask(client, started)
        except kafka.errors.AuthorizationError as error:
            return self.reading("unknown", "nothing", f"no right to look: {said(error)}")
        except (kafka.errors.KafkaError, OSError) as error:
            return self.reading("failed", "no answer of use", said(error))

    def _closed(self) -> str:
        """Why no server can be connected to, nothing where one can. The library would try until its time is over, and not say."""
        reasons = []
        end = time.monotonic() + self._options["timeout"] / 2
        for left, server in zip(range(len(self._options["servers"]), 0, -1), self._options["servers"]):
            try:
                share = max(0.05, (end - time.monotonic()) / left)
                socket.create_connection(_address(server), timeout=share).close()
            except (OSError, UnicodeError) as error:
                reasons.append(f"{server}: {getattr(error, 'strerror', None) or str(error) or 'no connection'}")
            else:
                return ""
        return "; ".join(reasons)[:300]

    def _settings(self, password: str | None) -> dict[str, t.Any]:
        options = self._options
        limit_ms = max(1, int(options["timeout"] * 1000))
        settings: dict[str, t.Any] = {
            "bootstrap_servers": list(options["servers"]),
            "client_id": "sre.runbooks-probe",
            "bootstrap_timeout_ms": limit_ms,
            "request_timeout_ms": limit_ms,
            "security_protocol": options["security_protocol"],
        }
        if self._context is not None:
            settings["ssl_context"] = self._context
        if options["security_protocol"].startswith("SASL"):
            settings.update(
                sasl_mechanism=options["sasl_mechanism"],
                sasl_plain_username=options["user"],
                sasl_plain_password=password or "",
            )
        return settings

    def _ask(self, client: t.Any, started: float) -> Reading:
        import kafka.errors

        cluster = client.describe_cluster()
        topics = [_topic(item) for item in client.describe_topics() if not self._ignored(item["name"])]
        brokers = [f"{item['host']}:{item['port']}" for item in cluster["brokers"] if not item.get("is_fenced")]
        state = State(brokers, int(cluster["controller_id"]), topics)
        findings: list[Finding] = []
        if self._options["groups"]:
            try:
                state.groups = self._groups(client, topics)
            except kafka.errors.AuthorizationError as error:
                findings.append(Finding("unknown", "right to look", f"consumer groups cannot be seen: {said(error)}"))
        findings += judge(state, self._options, self._command)
        values = {**values_of(state), "latency_s": round(time.perf_counter() - started, 6)}
        return with_hints(sum_up(self, measured(state), findings, **values), findings, self._options["hint"])

    def _ignored(self, topic: str) -> bool:
        return any(fnmatch.fnmatchcase(topic, pattern) for pattern in self._options["ignore"])

    def _groups(self, client: t.Any, topics: t.Sequence[Topic]) -> list[Group]:
        """The groups that are asked for, with the lag of each topic in records."""
        import kafka
        from kafka.admin import OffsetSpec

        found = sorted(
            item["group_id"]
            for item in client.list_groups()
            # Others (share groups, Connect's own) commit no offsets.
            if item["protocol_type"] in ("", "consumer")
            and any(fnmatch.fnmatchcase(item["group_id"], pattern) for pattern in self._options["groups"])
        )
        if not found:
            return []
        described = client.describe_groups(found)
        committed = client.list_group_offsets(found)
        # A partition without a leader has no end that could be asked for; it is a finding of its own.
        led = {(topic.name, partition) for topic in topics for partition in topic.led}
        wanted = {place for offsets in committed.values() for place in offsets if tuple(place) in led}
        consumed = {place.topic for place in wanted}
        wanted |= {kafka.TopicPartition(*place) for place in led if place[0] in consumed}
        ends = client.list_partition_offsets(dict.fromkeys(wanted, OffsetSpec.LATEST)) if wanted else {}
        groups = []
        for name in found:
            offsets = committed.get(name, {})
            commits = any(offset.offset >= 0 for offset in offsets.values())
            about = described.get(name) or {}
            members = len(about.get("members") or [])
            groups.append(Group(name, str(about.get("group_state")), members, *_lags(offsets, ends), commits))
        return groups

    def _command(self, program: str, words: str) -> str:
        """A command of Kafka's own; what it needs to log in is in a file of whoever runs it."""
        secured = "" if self._options["security_protocol"] == "PLAINTEXT" else " --command-config client.properties"
        servers = shlex.quote(",".join(self._options["servers"]))
        return f"kafka-{program}.sh --bootstrap-server {servers}{secured} {words}"


def _address(server: str) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``[address]:port``."""
    host, _, port = server.rpartition(":") if not server.endswith("]") else (server, "", "")
    if not host or not port.isdigit():
        host, port = server, str(_PORT)
    return host.strip("[]"), int(port)


def _connected(kind: t.Any, settings: dict[str, t.Any]) -> t.Any:
    """A client. One that cannot start keeps its thread and its connections, and has no door to close: we make it one."""
    client = kind.__new__(kind)
    try:
        client.__init__(**settings)
    except BaseException:
        client._closed = False
        with contextlib.suppress(AttributeError):  # it had not come far enough to have any
            client.close()
        raise
    return client


def _lags(committed: t.Mapping[t.Any, t.Any], ends: t.Mapping[t.Any, t.Any]) -> tuple[dict[str, int], dict[str, int]]:
    """Records behind for each topic that a group consumes, and how many partitions with records it committed nothing on."""
    lags: dict[str, int] = {}
    without: dict[str, int] = {}
    consumed = {place.topic for place in committed}
    for place, end in ends.items():
        offset = committed[place].offset if place in committed else -1
        if offset >= 0:
            lags[place.topic] = lags.get(place.topic, 0) + max(0, end.offset - offset)
        elif place.topic in consumed and end.offset > 0:
            without[place.topic] = without.get(place.topic, 0) + 1
    return lags, without


def _topic(item: t.Mapping[str, t.Any]) -> Topic:
    partitions = item["partitions"]
    return Topic(
        name=item["name"],
        partitions=len(partitions),
        led=frozenset(one["partition_index"] for one in partitions if one["leader_id"] >= 0),
        out_of_sync=sum(len(one["isr_nodes"]) < len(one["replica_nodes"]) for one in partitions),
    )


def _in_words(options: dict[str, t.Any]) -> str:
    parts = [f"at least {counted(options['minimum'], 'broker')}, a controller"]
    parts.append("every partition with a leader and all its replicas in sync")
    if options["groups"]:
        limit = options["lag_limit"] if options["lag_limit"] is not None else options["lag_warning"]
        lag = "" if limit is None else f" that lag at most {limit} records behind"
        parts.append(f"consumer groups {', '.join(options['groups'])}{lag}")
    return ", ".join(parts)


KAFKA = Kind(
    name="kafka",
    options={
        "servers": Option(names, required=True),
        "security_protocol": Option(choice("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"), default="PLAINTEXT"),
        "sasl_mechanism": Option(choice("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"), default="SCRAM-SHA-512"),
        "user": Option(text),
        **PASSWORD,
        **TLS_OPTIONS,
        "minimum": Option(integer(1, 10000), default=1),
        "under_replicated_limit": Option(integer(0, _MOST)),
        "ignore": Option(names, default=()),
        "groups": Option(names, default=(), filled=True),
        "members": Option(integer(0, 10000), default=0),
        "lag_warning": Option(integer(0, _MOST)),
        "lag_limit": Option(integer(0, _MOST)),
    },
    prepare=KafkaCheck,
    target=lambda options: ",".join(options["servers"]),
)
