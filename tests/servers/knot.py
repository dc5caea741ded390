# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real name servers (Knot) for tests: unprivileged, loopback only, each with zones of its own."""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import pathlib
import shutil
import subprocess

import dns.exception
import dns.message
import dns.query
import pytest

from tests.servers.daemon import server_directory, serving, wait_until_it
from tools.local_environment import free_port


@dataclasses.dataclass
class NameServer:
    """``address`` as a probe names it."""

    port: int
    directory: pathlib.Path
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextlib.contextmanager
def name_server(zones: dict[str, str]) -> collections.abc.Iterator[NameServer]:
    """A server with authority for zones: their names, and their records as in a zone file."""
    program = shutil.which("knotd") or shutil.which("knotd", path="/usr/sbin")
    if program is None:
        pytest.skip("no knotd on this machine")
    port = free_port()
    with server_directory("srk-") as (path, user):
        directory = pathlib.Path(path)
        for zone, records in zones.items():
            (directory / f"{zone}.zone").write_text(records)
        listed = "".join(f"  - domain: {zone}\n    file: {directory}/{zone}.zone\n" for zone in zones)
        (directory / "knot.conf").write_text(
            f"server:\n  rundir: {directory}\n  listen: 127.0.0.1@{port}\n  udp-workers: 1\n  tcp-workers: 1\n"
            f"  background-workers: 1\ndatabase:\n  storage: {directory}/db\n  journal-db-max-size: 10M\n"
            f"  kasp-db-max-size: 10M\n  timer-db-max-size: 10M\n  catalog-db-max-size: 10M\n"
            f"log:\n  - target: stderr\n    any: info\nzone:\n{listed}"
        )
        with serving([program, "-c", str(directory / "knot.conf")], path, user) as process:
            server = NameServer(port, directory, process)
            zone = dns.message.make_query(next(iter(zones)), "SOA")
            wait_until_it(
                lambda: bool(dns.query.udp(zone, "127.0.0.1", 1, port).answer),
                "knotd",
                process,
                path,
                (dns.exception.DNSException, OSError),
            )
            yield server
