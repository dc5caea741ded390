# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The elasticsearch kind on a real OpenSearch node in all colours, and on servers that refuse, lie or are silent."""

from __future__ import annotations

import base64
import os
import pathlib
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Reading
from tests.servers import http as http_servers
from tests.servers.deadline import wait_for
from tests.servers.http import HttpServer, closed_port, silent_listener
from tests.servers.opensearch import OpensearchServer, opensearch_server
from tests.unit.probes.conftest import ask_all

__all__ = ["opensearch_server"]

#: However full the disk of this machine is.
ROOMY: dict[str, t.Any] = {"disk_warning": 100, "disk_percent": 100}
GREEN = b'{"status": "green", "number_of_nodes": 3, "unassigned_shards": 0}'


def ask(url: str, **options: t.Any) -> Reading:
    return ask_all([{"kind": "elasticsearch", "url": url, **ROOMY, **options}])[0].reading


def outcome(server: OpensearchServer, **options: t.Any) -> tuple[str, str]:
    reading = ask(server.url, **options)
    return reading.outcome, reading.message


def test_all_colours(opensearch_server: OpensearchServer) -> None:
    server = opensearch_server
    reading = ask(server.url + "/", status="green")
    assert (reading.outcome, reading.message) == ("ok", "as expected")
    assert reading.measured.startswith("green, 1 node, 0 unassigned shards, the fullest disk ")
    assert list(reading.values["disk_percent"]) == ["one"]
    assert outcome(server, minimum=2) == ("failed", "nodes: 1 node is there, not 2")
    assert outcome(server, disk_warning=0)[0] == "warning"
    assert outcome(server, disk_percent=0)[1].startswith("disk of one: ")
    # A second copy has no node to be on.
    server.call("PUT", "/orders", {"settings": {"number_of_replicas": 1}})
    yellow = "status: it is yellow for orders"
    wait_for(lambda: outcome(server) == ("warning", yellow), "the index to be yellow")
    assert outcome(server, status="green") == ("failed", yellow)
    assert outcome(server, unassigned_limit=0)[1].startswith("shards: 1 are unassigned; status: it is yellow")
    assert outcome(server, unassigned_limit=1)[0] == "warning"
    # Nor has the only copy of this one.
    nowhere = {"settings": {"index.routing.allocation.require.place": "nowhere", "number_of_replicas": 0}}
    server.call("PUT", "/lost?wait_for_active_shards=0", nowhere)
    wait_for(lambda: outcome(server) == ("failed", "status: it is red for lost"), "the index to be red")
    hint = ask(server.url, timeout=20).hint
    assert hint == f"curl -sS -m 20 '{server.url}/_cluster/allocation/explain?pretty'"
    for index in ("lost", "orders"):
        server.call("DELETE", f"/{index}")
    wait_for(lambda: outcome(server, status="green") == ("ok", "as expected"), "the cluster to be green again")


def answer(status: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def test_a_login(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setitem(http_servers.RAW, "/_cluster/health", answer(b"401 Unauthorized", b""))
    path = tmp_path / "password"
    path.write_text("hunter2\n")
    with HttpServer() as server:
        reading = ask(server.url, user="probe", password_file=str(path))
        (head,) = server.requests
        assert b"Authorization: Basic " + base64.b64encode(b"probe:hunter2") in head
        assert (reading.outcome, reading.message) == ("failed", "/_cluster/health is refused with status 401")
        assert "hunter2" not in repr(reading)
        assert ask(server.url, user="probe", password_file=str(tmp_path / "none")).outcome == "unknown"


def test_without_every_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known still counts, and what may not be asked is unknown."""
    monkeypatch.setitem(http_servers.RAW, "/_cluster/health", answer(b"200 OK", GREEN))
    disks = "/_cat/allocation?format=json&bytes=b&h=node,disk.percent"
    monkeypatch.setitem(http_servers.RAW, disks, answer(b"403 Forbidden", b""))
    with HttpServer() as server:
        found = ask(server.url)
        assert (found.outcome, found.values["nodes"]) == ("unknown", 3)
        assert found.message == "right to look: /_cat/allocation is refused with status 403"
        assert ask(server.url, minimum=4).outcome == "failed"
        assert server.connections == 2  # one for each call: its requests share it


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>a proxy's page</html>", '/_cluster/health answers no JSON: "<html>a proxy\'s page</html>"'),
        (b"[]", "/_cluster/health answers something else: []"),
        (b"{}", "its health says None"),
        (b'{"status": "blue"}', "its health says 'blue'"),
    ],
    ids=["page", "list", "nothing", "colour"],
)
def test_lies(monkeypatch: pytest.MonkeyPatch, body: bytes, message: str) -> None:
    monkeypatch.setitem(http_servers.RAW, "/_cluster/health", answer(b"200 OK", body))
    with HttpServer() as server:
        reading = ask(server.url)
        assert (reading.outcome, reading.message) == ("failed", message)


def test_what_is_no_cluster() -> None:
    assert ask(f"http://127.0.0.1:{closed_port()}").message == "connection refused"
    with HttpServer() as server:
        assert ask(server.url).message == "/_cluster/health answers with status 404"
    with silent_listener() as port:
        descriptors = len(os.listdir("/proc/self/fd"))
        assert ask(f"http://127.0.0.1:{port}", timeout=0.5).values["timed_out"] is True
        wait_for(lambda: len(os.listdir("/proc/self/fd")) <= descriptors, "the connection to be closed")
