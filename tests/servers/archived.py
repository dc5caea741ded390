# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A component whose log is archived: a server of its own, a repository that its account can reach, a passphrase."""

from __future__ import annotations

import collections.abc
import contextlib
import os
import pathlib
import secrets
import shutil
import tempfile
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import PointListing, list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    Repository,
    initialise_repository,
)
from tests.servers.module_call import call_module
from tests.servers.postgresql import Server, running_server

NAME = "ledger_db"


class ArchivedComponent:
    """``ledger_db`` of the environment ``local``; its modules called with the parameters that they need."""

    def __init__(
        self, server: Server, path: pathlib.Path, url: str | None = None, s3: dict[str, t.Any] | None = None
    ) -> None:
        self.server = server
        self.path = path
        self.url = url or f"file://{path}/repository"
        self.s3 = s3
        self.config_dir = path / "config"
        self.passphrase = path / "passphrase"
        self.write_passphrase(self.passphrase)
        self.repository = self._initialise()

    def _initialise(self) -> Repository:
        given = (self.url, "local", False) if self.s3 is None else (self.url, "local", False, self.s3)
        repository, _created = initialise_repository(*given)  # type: ignore[arg-type]
        assert repository is not None
        directory = self.path / "repository"
        if directory.is_dir():
            directory.chmod(0o755)
        return repository

    def write_passphrase(self, path: pathlib.Path) -> pathlib.Path:
        path.write_text(secrets.token_urlsafe(24) + "\n")
        path.chmod(0o600)
        return path

    def call(self, module: str, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        """With the repository, and without the server."""
        own = {"repository": self.url, "environment_name": "local", "component": NAME}
        if self.s3 is not None:
            own["s3"] = self.s3  # type: ignore[assignment]
        return call_module(module, {**own, **params}, check)

    def archive(self, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        """With the passphrase, and a restart allowed."""
        given = {
            "cipher_pass_file": str(self.passphrase),
            "config_dir": str(self.config_dir),
            "restart": "allowed",
            "timeout": "120s",
            **self.server.params(),
            **params,
        }
        return self.call("postgresql_archiving", check, **given)

    def back_up(self, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        given = {"config_dir": str(self.config_dir), **self.server.params(), **params}
        return self.call("postgresql_pitr_backup", check, **given)

    def listing(self) -> PointListing:
        return list_points(self.repository, NAME)

    @property
    def config(self) -> pathlib.Path:
        return self.config_dir / NAME / "pgbackrest.conf"

    def generation_dir(self, generation: str = "0001") -> pathlib.Path:
        return self.path / "repository" / "pgbackrest" / NAME / generation


@contextlib.contextmanager
def public_directory() -> collections.abc.Iterator[pathlib.Path]:
    """A directory that the server's account can traverse, whoever we are; gone afterwards."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="srt-pitr-", dir="/var/tmp" if os.geteuid() == 0 else None))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def archived_component(
    url: str | None = None, s3: dict[str, t.Any] | None = None
) -> collections.abc.Iterator[ArchivedComponent]:
    """A new server of the distribution (the one that its pgBackRest knows), not archiving yet."""
    # What is not archived is counted in transactions: autovacuum's own come when they like.
    settings = {"wal_level": "minimal", "max_wal_senders": 0, "autovacuum": "off"}
    with public_directory() as path, running_server("system", settings) as server:
        yield ArchivedComponent(server, path, url, s3)
