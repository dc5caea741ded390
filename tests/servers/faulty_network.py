# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A network that fails on demand: toxiproxy in front of a server on loopback."""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import itertools
import json
import os
import subprocess
import time
import typing as t
import urllib.parse
import urllib.request

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._process import child_setup
from tests.servers.s3 import Gateway, program
from tools.local_environment import free_port


@dataclasses.dataclass
class FaultyNetwork:
    """The proxy server, by its API."""

    api: str
    _numbers: itertools.count[int] = dataclasses.field(default_factory=itertools.count)

    @contextlib.contextmanager
    def way_to(self, url: str) -> collections.abc.Iterator[Way]:
        """A way to the server behind ``url`` (http or https, an address of loopback), healthy at first."""
        target = urllib.parse.urlsplit(url)
        way = Way(self, f"way{next(self._numbers)}", target.scheme, free_port())
        upstream = f"{target.hostname}:{target.port}"
        listen = f"127.0.0.1:{way.port}"
        self.call("POST", "/proxies", {"name": way.name, "listen": listen, "upstream": upstream, "enabled": True})
        try:
            yield way
        finally:
            self.call("DELETE", f"/proxies/{way.name}")

    def call(self, method: str, path: str, document: dict[str, t.Any] | None = None) -> t.Any:
        body = json.dumps(document).encode() if document is not None else None
        request = urllib.request.Request(self.api + path, body, method=method)
        request.add_header("Content-Type", "application/json")
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            content = answer.read()
        return json.loads(content) if content else None


@dataclasses.dataclass
class Way:
    """One way through the network to one server."""

    network: FaultyNetwork
    name: str
    scheme: str
    port: int

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def fault(
        self, kind: str, direction: str = "downstream", toxicity: float = 1.0, **attributes: t.Any
    ) -> collections.abc.Iterator[None]:
        """While it lasts, connections suffer from one of toxiproxy's toxics.

        ``latency`` (latency, jitter: ms), ``bandwidth`` (rate: KB/s), ``slow_close`` (delay: ms), ``timeout`` (timeout:
        ms, 0 for ever), ``reset_peer`` (timeout: ms), ``limit_data`` (bytes, then the connection is closed),
        ``slicer`` (average_size, size_variation, delay: µs). ``direction`` is ``upstream`` (requests) or
        ``downstream`` (answers); ``toxicity`` the share of connections concerned.
        """
        toxic = {"name": kind, "type": kind, "stream": direction, "toxicity": toxicity, "attributes": attributes}
        self.network.call("POST", f"/proxies/{self.name}/toxics", toxic)
        try:
            yield
        finally:
            self.network.call("DELETE", f"/proxies/{self.name}/toxics/{kind}")

    @contextlib.contextmanager
    def cut(self) -> collections.abc.Iterator[None]:
        """While it lasts, all connections are ended and new ones refused."""
        self.network.call("POST", f"/proxies/{self.name}", {"enabled": False})
        try:
            yield
        finally:
            self.network.call("POST", f"/proxies/{self.name}", {"enabled": True})


@contextlib.contextmanager
def running_network() -> collections.abc.Iterator[FaultyNetwork]:
    port = free_port()
    process = subprocess.Popen(
        [program("toxiproxy"), "-host", "127.0.0.1", "-port", str(port)],
        env={"PATH": os.environ["PATH"], "LOG_LEVEL": "error"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=child_setup(),
    )
    try:
        network = FaultyNetwork(f"http://127.0.0.1:{port}")
        end = time.monotonic() + 120
        while True:
            try:
                network.call("GET", "/proxies")
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    raise
                time.sleep(0.05)
        yield network
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def faulty_network() -> collections.abc.Iterator[FaultyNetwork]:
    with running_network() as network:
        yield network


@pytest.fixture
def s3_way(faulty_network: FaultyNetwork, s3_gateway: Gateway) -> collections.abc.Iterator[Way]:
    """A faulty way to the session's gateway."""
    with faulty_network.way_to(s3_gateway.url) as way:
        yield way
