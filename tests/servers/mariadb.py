# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real MariaDB servers for tests: unprivileged, loopback only, gone afterwards, and tied to the test process."""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import os
import pathlib
import secrets
import shutil
import subprocess
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import _process
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import place
from tests.servers.certificates import Certificates, make_certificates
from tests.servers.daemon import server_directory, serving, wait_until_it
from tools.local_environment import free_port

#: Tests need no durability, and not the memory of a production server.
_SMALL = {
    "innodb-buffer-pool-size": "16M",
    "innodb-log-file-size": "4M",
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-flush-method": "nosync",
    "key-buffer-size": "1M",
    "performance-schema": "OFF",
    "skip-name-resolve": "ON",
}
#: The client's numbers for a server that is not there yet, or takes its time.
_NOT_YET = (2003, 2013)


@dataclasses.dataclass
class MariadbServer:
    """``password`` is that of root, from loopback."""

    port: int
    password: str
    directory: str
    process: subprocess.Popen[bytes]
    certificates: Certificates

    @property
    def socket(self) -> str:
        return os.path.join(self.directory, "s")

    def connect(self, **options: t.Any) -> t.Any:
        import pymysql

        given = {"user": "root", "password": self.password, "ssl_disabled": True, "autocommit": True, **options}
        return pymysql.connect(host="127.0.0.1", port=self.port, connect_timeout=30, **given)

    def execute(self, *statements: str) -> list[tuple[t.Any, ...]]:
        """Run statements; the rows of the last one."""
        with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin")
    if found is None:
        pytest.skip(f"no {name} on this machine")
    return found


def _system_tables() -> bytes:
    """What mariadb-install-db gives the server; itself it needs programs of other packages, and takes its time."""
    files = ("mysql_system_tables.sql", "mysql_performance_tables.sql", "mysql_system_tables_data.sql")
    directory = next(
        path for path in ("/usr/share/mysql", "/usr/share/mariadb") if os.path.exists(f"{path}/{files[0]}")
    )
    content = b"".join(pathlib.Path(directory, name).read_bytes() for name in files)
    names = b"SET @auth_root_socket = NULL;\nSET @skip_auth_anonymous = 1;\n"
    return b"CREATE DATABASE mysql;\nUSE mysql;\n" + names + content


@contextlib.contextmanager
def running_mariadb(**settings: str) -> collections.abc.Iterator[MariadbServer]:
    """A new server that answers; ``settings`` as its options, with underscores. It offers TLS, and does not insist."""
    daemon = _program("mariadbd")
    port, password = free_port(), secrets.token_hex(12)
    with server_directory("srm-") as (directory, user):
        data = os.path.join(directory, "data")
        certificates = make_certificates(os.path.join(directory, "tls"))
        place.give(certificates.key, user)
        os.mkdir(data)
        place.give(data, user)
        _process.run(
            [daemon, "--no-defaults", "--bootstrap", f"--datadir={data}", "--max-allowed-packet=8M"]
            + [f"--{name}={value}" for name, value in _SMALL.items()],
            "making the system tables",
            stdin=_system_tables(),
            user=user,
            cwd="/",
        )
        first = pathlib.Path(directory, "first.sql")
        first.write_text(
            f"ALTER USER root@localhost IDENTIFIED BY '{password}';\n"
            f"CREATE OR REPLACE USER root@'127.0.0.1' IDENTIFIED BY '{password}';\n"
            "GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;\n"
        )
        place.give(str(first), user)
        options = {
            **_SMALL,
            "datadir": data,
            "socket": os.path.join(directory, "s"),
            "pid-file": os.path.join(directory, "pid"),
            "port": str(port),
            "bind-address": "127.0.0.1",
            "init-file": str(first),
            "ssl-cert": certificates.certificate,
            "ssl-key": certificates.key,
            "ssl-ca": certificates.ca,
            **{name.replace("_", "-"): value for name, value in settings.items()},
        }
        command = [daemon, "--no-defaults", *(f"--{name}={value}" for name, value in options.items())]
        with serving(command, directory, user) as process:
            server = MariadbServer(port, password, directory, process, certificates)
            _wait(server)
            yield server


def _wait(server: MariadbServer) -> None:
    import pymysql

    def answers() -> bool:
        try:
            return server.execute("SELECT 1") == [(1,)]
        except pymysql.err.OperationalError as error:
            if error.args[0] in _NOT_YET:
                raise ConnectionError from None
            raise

    wait_until_it(answers, "mariadbd", server.process, server.directory, (ConnectionError,))


@pytest.fixture(scope="module")
def mariadb_server() -> collections.abc.Iterator[MariadbServer]:
    """With a log for replicas."""
    with running_mariadb(log_bin="log", server_id="1", max_connections="40") as server:
        yield server
