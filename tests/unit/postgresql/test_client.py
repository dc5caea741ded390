# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses, passwords and what is said when there is no connection."""

from __future__ import annotations

import os
import pathlib
import socket

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import (
    ConnectionFailed,
    PostgresqlAddress,
    address_from,
    connect,
    read_password_file,
)


def test_parameters_become_an_address() -> None:
    address = address_from(
        {"login_host": "db", "login_port": 6000, "login_user": "me", "login_password": "s", "login_db": "d"}
    )
    assert address == PostgresqlAddress(host="db", port=6000, user="me", password="s", database="d")
    assert address_from({}) == PostgresqlAddress()


def test_host_that_is_a_directory_is_a_socket() -> None:
    assert address_from({"login_host": "/run/pg"}).socket == "/run/pg"
    assert address_from({"login_host": "db", "login_unix_socket": "/run/pg"}).environment()["PGHOST"] == "/run/pg"


def test_environment_of_the_tools() -> None:
    variables = PostgresqlAddress(host="db", password="s", ca_cert="/ca").environment("a=b")
    assert (variables["PGDATABASE"], variables["PGPASSWORD"], variables["PGSSLROOTCERT"]) == ("a=b", "s", "/ca")
    assert "PGPASSWORD" not in PostgresqlAddress().environment()


def test_password_shows_in_no_text() -> None:
    address = PostgresqlAddress(host="127.0.0.1", port=1, password="opensesame", connect_timeout=2)
    assert "opensesame" not in repr(address) and "opensesame" not in address.place
    with pytest.raises(ConnectionFailed) as caught:
        connect(address)
    assert "opensesame" not in str(caught.value) and "127.0.0.1:1" in str(caught.value)


def test_server_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ConnectionFailed, match="pg_isready"):
            connect(PostgresqlAddress(host="127.0.0.1", port=port, connect_timeout=2))


def test_password_files(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "password"
    file.write_text("geheim\nsecond line\n")
    file.chmod(0o600)
    assert read_password_file(str(file)) == "geheim"
    assert address_from({"login_password_file": str(file)}).password == "geheim"
    assert address_from({"login_password_file": str(file), "login_password": "other"}).password == "other"
    file.chmod(0o644)
    with pytest.raises(InvalidInput, match="open to everyone"):
        read_password_file(str(file))
    file.write_text("\n")
    os.chmod(file, 0o600)
    with pytest.raises(InvalidInput, match="empty"):
        read_password_file(str(file))
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_password_file(str(tmp_path / "none"))
