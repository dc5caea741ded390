# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The elasticsearch kind: health, nodes, shards and disks of an Elasticsearch or OpenSearch cluster, over its HTTP API."""

from __future__ import annotations

import asyncio
import json
import shlex
import ssl
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._curl import curl, patience
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Check,
    Kind,
    Option,
    Reading,
    choice,
    integer,
    mapping,
    text,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.disk import percentage
from ansible_collections.sre.runbooks.plugins.module_utils._probes.expectation import as_number, shown
from ansible_collections.sre.runbooks.plugins.module_utils._probes.findings import Finding, sum_up, with_hints
from ansible_collections.sre.runbooks.plugins.module_utils._probes.http_connection import NotHttp, why
from ansible_collections.sre.runbooks.plugins.module_utils._probes.http_request import request_of
from ansible_collections.sre.runbooks.plugins.module_utils._probes.password import PASSWORD, password_of
from ansible_collections.sre.runbooks.plugins.module_utils._probes.tls_options import TLS_OPTIONS
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

_BODY_LIMIT = 4 * 1024 * 1024
_HEALTH = "/_cluster/health"
_INDICES = "/_cat/indices?format=json&h=index,health"
_DISKS = "/_cat/allocation?format=json&bytes=b&h=node,disk.percent"
_COLOURS = ("green", "yellow", "red")
_SHOWN = 5


class _NoAnswer(Exception):
    """What the cluster says instead of what it was asked for; ``denied`` where this identity may not ask."""

    def __init__(self, words: str, denied: bool = False) -> None:
        super().__init__(words)
        self.denied = denied


class ElasticsearchCheck(Check):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        self._session = session
        self._options = options
        self._url: str = options["url"].rstrip("/")
        place = self._request(_HEALTH, None).place
        self._context = session.tls_context(options) if place.secure else None
        self._origin = (place.host, place.port, id(self._context) if self._context else None, options["server_name"])
        self._turnstile = session.turnstile(("http", place.host, place.port))
        worst = "green" if options["status"] == "green" else "green or yellow"
        parts = [f"a cluster that is {worst}", f"at least {counted(options['minimum'], 'node')}"]
        if options["unassigned_limit"] is not None:
            parts.append(f"at most {counted(options['unassigned_limit'], 'unassigned shard')}")
        parts.append(f"disks less than {options['disk_percent']:g} % full")
        self.expected = ", ".join(parts)
        self.hint = self._curl("/_cluster/health?pretty")

    async def admit(self) -> None:
        await self._turnstile.enter()

    def dismiss(self) -> None:
        self._turnstile.leave()

    async def ask(self) -> Reading:
        started = time.perf_counter()
        # What cannot be read makes the engine say "unknown".
        password = await asyncio.get_running_loop().run_in_executor(None, password_of, self._options)
        try:
            health = await self._get(_HEALTH, password, dict)
            latency = time.perf_counter() - started
            if health.get("status") not in _COLOURS:
                raise _NoAnswer(f"its health says {shown(health.get('status'))}")
            findings = self._of_health(health)
            findings += await self._part(self._of_indices, health, password)
            disks: dict[str, float] = {}
            findings += await self._part(self._of_disks, (disks, _count(health, "number_of_data_nodes")), password)
        except _NoAnswer as error:
            return self.reading("unknown" if error.denied else "failed", "no answer of use", str(error))
        except ssl.SSLCertVerificationError as error:
            return self.reading("failed", "a certificate that does not verify", f"TLS: {error.verify_message}")
        except ssl.SSLError as error:
            return self.reading("failed", "no TLS connection", f"TLS: {error.reason or error}")
        except NotHttp as error:
            return self.reading("failed", "no HTTP response", str(error))
        except OSError as error:
            return self.reading("failed", "no response", why(error))
        measured = f"{health['status']}, {counted(_count(health, 'number_of_nodes'), 'node')}"
        measured += f", {counted(_count(health, 'unassigned_shards'), 'unassigned shard')}"
        if disks:
            measured += f", the fullest disk {max(disks.values()):g} %"
        values = {
            "status": health["status"],
            "nodes": _count(health, "number_of_nodes"),
            "data_nodes": _count(health, "number_of_data_nodes"),
            "active_shards": _count(health, "active_shards"),
            "unassigned_shards": _count(health, "unassigned_shards"),
            "initializing_shards": _count(health, "initializing_shards"),
            "relocating_shards": _count(health, "relocating_shards"),
            "disk_percent": disks,
            "latency_s": round(latency, 6),
        }
        return with_hints(sum_up(self, measured, findings, **values), findings, self._options["hint"])

    async def _part(
        self, look: t.Callable[[t.Any, str | None], t.Awaitable[list[Finding]]], about: t.Any, password: str | None
    ) -> list[Finding]:
        """What one more question finds; one that this identity may not ask is unknown, and the rest still counts."""
        try:
            return await look(about, password)
        except _NoAnswer as error:
            if not error.denied:
                raise
            return [Finding("unknown", "right to look", str(error))]

    def _of_health(self, health: t.Mapping[str, t.Any]) -> list[Finding]:
        findings = []
        nodes, unassigned = _count(health, "number_of_nodes"), _count(health, "unassigned_shards")
        if nodes < self._options["minimum"]:
            words = f"{counted(nodes, 'node is', 'nodes are')} there, not {self._options['minimum']}"
            findings.append(Finding("failed", "nodes", words, self._curl("/_cat/nodes?v")))
        limit = self._options["unassigned_limit"]
        if limit is not None and unassigned > limit:
            findings.append(Finding("failed", "shards", f"{unassigned} are unassigned", self._explain()))
        return findings

    async def _of_indices(self, health: t.Mapping[str, t.Any], password: str | None) -> list[Finding]:
        """Which indices make it yellow or red."""
        colour = health["status"]
        if colour == "green":
            return []
        outcome = "failed" if colour == "red" or self._options["status"] == "green" else "warning"
        words = f"it is {colour}"
        try:
            rows = await self._get(f"{_INDICES}&health={colour}", password, list)
            found = sorted(str(row.get("index")) for row in rows if isinstance(row, dict))
            if found:
                more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
                words += f" for {', '.join(found[:_SHOWN])}{more}"
        except _NoAnswer as error:
            # Which ones it is, is good to know; that it is, is known.
            words += f" ({error})"
        return [Finding(outcome, "status", words, self._explain())]

    async def _of_disks(self, about: tuple[dict[str, float], int], password: str | None) -> list[Finding]:
        disks, data_nodes = about
        hint = self._curl("/_cat/allocation?v")
        findings = []
        for row in await self._get(_DISKS, password, list):
            name, percent = (
                (row.get("node"), as_number(row.get("disk.percent"))) if isinstance(row, dict) else (None, None)
            )
            # One row is for what is assigned to no node, and coordinating nodes have no disk.
            if name in (None, "UNASSIGNED") or percent is None:
                continue
            disks[str(name)] = percent
            if percent >= self._options["disk_percent"]:
                findings.append(Finding("failed", f"disk of {name}", f"{percent:g} % full", hint))
            elif percent >= self._options["disk_warning"]:
                findings.append(Finding("warning", f"disk of {name}", f"{percent:g} % full", hint))
        if not disks and data_nodes:
            words = f"the cluster tells of no disk of its {counted(data_nodes, 'data node')}"
            findings.append(Finding("unknown", "disks", words, hint))
        return findings

    async def _get(self, path: str, password: str | None, kind: type) -> t.Any:
        """The document. Raises _NoAnswer for any other answer."""
        data = self._request(path, password).data()
        response = await self._session.connections.use(
            self._origin, self._context, lambda connection: connection.request(data, _BODY_LIMIT, False)
        )
        where = path.partition("?")[0]
        if response.status in (401, 403):
            raise _NoAnswer(f"{where} is refused with status {response.status}", denied=response.status == 403)
        if response.status != 200:
            start = response.body[:200].decode("utf-8", "replace").strip()
            raise _NoAnswer(f"{where} answers with status {response.status}" + (f": {shown(start)}" if start else ""))
        try:
            document = json.loads(response.body)
        except ValueError:
            raise _NoAnswer(
                f"{where} answers no JSON: {shown(response.body[:100].decode('utf-8', 'replace'))}"
            ) from None
        if not isinstance(document, kind):
            raise _NoAnswer(f"{where} answers something else: {shown(document, 100)}")
        return document

    def _request(self, path: str, password: str | None) -> t.Any:
        rest = {"method": "GET", "request_body": None, "keep_alive": True, "password": password}
        return request_of({**self._options, **rest}, self._url + path)

    def _explain(self) -> str:
        return self._curl("/_cluster/allocation/explain?pretty")

    def _curl(self, path: str) -> str:
        """The command for whoever looks further."""
        before, flags = curl(self._options)
        return f"{before}curl -sS{flags} {patience(self._options)} {shlex.quote(self._url + path)}"


def _count(health: t.Mapping[str, t.Any], key: str) -> int:
    return int(as_number(health.get(key)) or 0)


ELASTICSEARCH = Kind(
    name="elasticsearch",
    options={
        "url": Option(text, required=True),
        "user": Option(text),
        **PASSWORD,
        "headers": Option(mapping, default={}, secret=True),
        **TLS_OPTIONS,
        "server_name": Option(text),
        "status": Option(choice("green", "yellow"), default="yellow"),
        "minimum": Option(integer(1, 10000), default=1),
        "unassigned_limit": Option(integer(0, 10**9)),
        "disk_warning": Option(percentage, default=80.0),
        "disk_percent": Option(percentage, default=90.0),
    },
    prepare=ElasticsearchCheck,
    target=lambda options: t.cast(str, options["url"]),
)
