# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real OpenSearch cluster of one node for tests: unprivileged, loopback only, gone afterwards."""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import typing as t
import urllib.request

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import place
from tests.servers.daemon import server_directory, serving, wait_until_it
from tests.servers.s3 import program
from tools.local_environment import free_port

_LOGGING = """
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""


@dataclasses.dataclass
class OpensearchServer:
    """Its API is at ``url``, without a login."""

    url: str
    directory: str
    process: subprocess.Popen[bytes]

    def call(self, method: str, path: str, body: dict[str, t.Any] | None = None) -> t.Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data=data, method=method, headers={"Content-Type": "application/json"}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            return json.load(answer)


@contextlib.contextmanager
def running_opensearch() -> collections.abc.Iterator[OpensearchServer]:
    """A new node that answers; stopped and deleted at the end."""
    launcher = program("opensearch")
    port = free_port()
    with server_directory("sro-") as (directory, user):
        for name in ("data", "logs", "tmp"):
            os.mkdir(os.path.join(directory, name))
            place.give(os.path.join(directory, name), user)
        settings = {
            "cluster.name": "probed",
            "node.name": "one",
            "network.host": "127.0.0.1",
            "http.port": port,
            "transport.port": free_port(),
            "discovery.type": "single-node",
            "path.data": os.path.join(directory, "data"),
            "path.logs": os.path.join(directory, "logs"),
            # However full this machine's disk is.
            "cluster.routing.allocation.disk.threshold_enabled": "false",
            "bootstrap.system_call_filter": "false",
        }
        files = {
            "opensearch.yml": "".join(f"{key}: {value}\n" for key, value in settings.items()),
            "log4j2.properties": _LOGGING,
        }
        for name, content in files.items():
            path = pathlib.Path(directory, name)
            path.write_text(content, encoding="utf-8")
            place.give(str(path), user)
        with serving([launcher, directory], directory, user) as process:
            server = OpensearchServer(f"http://127.0.0.1:{port}", directory, process)
            wait_until_it(
                lambda: bool(server.call("GET", "/_cluster/health")["status"] == "green"),
                "OpenSearch",
                process,
                directory,
                (OSError,),
                180,
            )
            yield server


@pytest.fixture(scope="module")
def opensearch_server() -> collections.abc.Iterator[OpensearchServer]:
    with running_opensearch() as server:
        yield server
