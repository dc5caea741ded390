# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tls kind on servers that are in use: PostgreSQL, where TLS begins in the middle, and Redis."""

from __future__ import annotations

import os
import pathlib
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import place
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Reading
from tests.servers.authority import self_signed
from tests.servers.deadline import wait_for
from tests.servers.postgresql import Server
from tests.servers.redis import running_redis
from tests.unit.probes.conftest import ask_all


def ask(port: int, **options: t.Any) -> Reading:
    return ask_all([{"kind": "tls", "host": "localhost", "port": port, **options}])[0].reading


def test_postgresql(postgresql_system: Server, tmp_path: pathlib.Path) -> None:
    server = postgresql_system
    port = server.instance.port
    bare = ask(port, starttls="postgres")
    assert (bare.outcome, bare.message) == ("failed", "it does not offer TLS")
    # Without its protocol's own beginning, nothing of TLS is to be had.
    assert ask(port).outcome == "failed"
    issued = self_signed("db", ["localhost"], days=(-40, 20))
    (tmp_path / "ca.pem").write_bytes(issued.pem())
    files = {name: os.path.join(server.instance.data_dir, name) for name in ("probe.crt", "probe.key")}
    certificate, key = issued.files()
    for name, content in (("probe.crt", certificate), ("probe.key", key)):
        descriptor = os.open(files[name], os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        place.give(files[name], place.server_user())
    try:
        for setting, value in (("ssl_cert_file", "probe.crt"), ("ssl_key_file", "probe.key"), ("ssl", "on")):
            server.execute(f"ALTER SYSTEM SET {setting} = '{value}'")
        server.execute("SELECT pg_reload_conf()")
        trusted = {"starttls": "postgres", "ca_cert": str(tmp_path / "ca.pem")}
        wait_for(lambda: bool(ask(port, **trusted).values), "TLS")
        reading = ask(port, **trusted)
        assert (reading.outcome, reading.message) == ("warning", "ends in 20.0 days")
        assert ask(port, **trusted, warning_days=10).outcome == "ok"
        assert ask(port, **trusted, warning_days=10, maximum_age="30d").message == "it was made 40.0 days ago"
        assert ask(port, starttls="postgres").message.startswith("self-signed, and not trusted here")
        assert ask(port, **trusted, host="127.0.0.1").message.startswith("wrong host")
    finally:
        for setting in ("ssl", "ssl_cert_file", "ssl_key_file"):
            server.execute(f"ALTER SYSTEM RESET {setting}")
        server.execute("SELECT pg_reload_conf()")
        for path in files.values():
            os.unlink(path)


def test_redis() -> None:
    with running_redis(tls=True) as server:
        assert server.certificates is not None
        reading = ask(server.port, ca_cert=server.certificates.ca)
        # Made for a day.
        assert (reading.outcome, reading.values["validates"]) == ("failed", True)
        assert reading.message.startswith("ends in ")
        assert ask(server.port, ca_cert=server.certificates.ca, days=0, warning_days=0).outcome == "ok"
        assert ask(server.port).values["validates"] is False
