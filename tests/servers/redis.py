# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real Redis servers for tests: unprivileged, loopback only, gone afterwards, and tied to the test process."""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import os
import secrets
import shutil
import subprocess
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import place
from tests.servers.certificates import Certificates, make_certificates
from tests.servers.daemon import server_directory, serving, wait_until_it
from tests.servers.deadline import wait_for
from tools.local_environment import free_port


@dataclasses.dataclass
class RedisServer:
    """``password`` is that of the default user. With TLS there is no other port."""

    port: int
    password: str
    directory: str
    process: subprocess.Popen[bytes]
    certificates: Certificates | None = None

    @property
    def socket(self) -> str:
        return os.path.join(self.directory, "s")

    def client(self) -> t.Any:
        """A client of the default user."""
        import redis

        tls = {"ssl": True, "ssl_ca_certs": self.certificates.ca} if self.certificates else {}
        return redis.Redis(
            host="127.0.0.1", port=self.port, password=self.password, decode_responses=True, socket_timeout=30, **tls
        )

    def command(self, *words: t.Any) -> t.Any:
        with contextlib.closing(self.client()) as client:
            return client.execute_command(*words)


@contextlib.contextmanager
def running_redis(*arguments: str, tls: bool = False) -> collections.abc.Iterator[RedisServer]:
    """A new server that answers; ``arguments`` as on its command line."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server on this machine")
    port, password = free_port(), secrets.token_hex(12)
    with server_directory("srr-") as (directory, user):
        settings = {"dir": directory, "requirepass": password, "masterauth": password, "save": "", "bind": "127.0.0.1"}
        settings.update(port="0" if tls else str(port), unixsocket=os.path.join(directory, "s"), unixsocketperm="777")
        certificates = make_certificates(os.path.join(directory, "tls")) if tls else None
        if certificates:
            place.give(certificates.key, user)
            settings.update({"tls-port": str(port), "tls-auth-clients": "no", "tls-ca-cert-file": certificates.ca})
            settings.update({"tls-cert-file": certificates.certificate, "tls-key-file": certificates.key})
        path = os.path.join(directory, "redis.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f'{key} "{value}"\n' for key, value in settings.items())
        place.give(path, user)
        os.chmod(directory, 0o755)
        with serving([program, path, *arguments], directory, user) as process:
            server = RedisServer(port, password, directory, process, certificates)
            _wait(server)
            yield server


def follow(replica: RedisServer, primary: RedisServer) -> None:
    """Make one the other's replica, with what the other needs to let it in; waits until the link is up."""
    replica.command("CONFIG", "SET", "masterauth", primary.password)
    replica.command("REPLICAOF", "127.0.0.1", primary.port)
    wait_for(lambda: replica.command("ROLE")[3] == "connected", "the link to the primary")


def _wait(server: RedisServer) -> None:
    import redis

    not_yet = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError)
    wait_until_it(lambda: bool(server.command("PING")), "redis-server", server.process, server.directory, not_yet)


@pytest.fixture(scope="module")
def redis_server() -> collections.abc.Iterator[RedisServer]:
    with running_redis() as server:
        yield server
