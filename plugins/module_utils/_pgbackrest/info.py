# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What pgBackRest says of a component's generation, typed."""

from __future__ import annotations

import dataclasses
import datetime
import json
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.command import (
    Pgbackrest,
    PgbackrestError,
    about_certificate,
    advice,
    printable,
)

#: Codes of a stanza's state.
OK, MISSING_PATH, NO_BACKUPS, MISSING_DATA = 0, 1, 2, 3


@dataclasses.dataclass(frozen=True)
class Database:
    """A server that has been in this generation. ``system_id`` is the one of ``pg_control_system()``."""

    id: int
    system_id: int
    version: str


@dataclasses.dataclass(frozen=True)
class Archive:
    """The log of one server: ``id`` such as ``15-1``; first and last segment there, None when there is none."""

    id: str
    database_id: int
    min: str | None
    max: str | None


@dataclasses.dataclass(frozen=True)
class Backup:
    """One backup. Sizes in bytes; ``archive_*`` are the segments without which it is not consistent.

    :ivar type: ``full``, ``diff`` or ``incr``. :ivar references: labels whose files it needs.
    :ivar error: whether pgBackRest met page checksums that do not fit.
    """

    label: str
    type: str
    prior: str | None
    references: tuple[str, ...]
    started: datetime.datetime
    stopped: datetime.datetime
    start_lsn: str | None
    stop_lsn: str | None
    archive_start: str | None
    archive_stop: str | None
    database_id: int
    size: int
    delta: int
    repository_size: int
    repository_delta: int
    error: bool
    annotations: dict[str, str]

    @property
    def timeline(self) -> int | None:
        return int(self.archive_start[:8], 16) if self.archive_start else None


@dataclasses.dataclass(frozen=True)
class StanzaInfo:
    """Everything of one generation; backups oldest first."""

    code: int
    message: str
    cipher: str
    databases: list[Database]
    archives: list[Archive]
    backups: list[Backup]

    @property
    def exists(self) -> bool:
        return self.code in (OK, NO_BACKUPS)

    def backup(self, label: str) -> Backup | None:
        for backup in self.backups:
            if backup.label == label:
                return backup
        return None

    def database(self, number: int) -> Database | None:
        for database in self.databases:
            if database.id == number:
                return database
        return None

    def archive_id(self, database_id: int) -> str:
        """``15-1``: the directory of that server's log. Raises :class:`IntegrityError`."""
        database = self.database(database_id)
        if database is None:
            raise IntegrityError(
                "pgBackRest lists a backup of a server that it does not list",
                expected=f"server {database_id} among its servers",
                found=", ".join(str(known.id) for known in self.databases) or "none",
            )
        return f"{database.version}-{database.id}"

    @property
    def current(self) -> Database | None:
        """The server that writes here now."""
        return self.databases[-1] if self.databases else None


def read_info(tool: Pgbackrest, timeout: float = 60.0) -> StanzaInfo:
    """Ask pgBackRest. A generation without a stanza is one whose ``exists`` is False.

    :raises PgbackrestError: the repository cannot be read, or not with this passphrase.
    """
    output = tool.run("info", "--output=json", timeout=timeout, what="listing pgBackRest's backups")
    return parse_info(output, tool.stanza, tool.component)


def parse_info(output: bytes, stanza: str, component: str) -> StanzaInfo:
    """As :func:`read_info`, of what was printed."""
    try:
        # What could not be decrypted is quoted as it is.
        entries = json.loads(output.decode("utf-8", "replace") or "[]", strict=False)
        found = next((entry for entry in entries if entry["name"] == stanza), None)
        if found is None:
            return StanzaInfo(MISSING_PATH, "missing stanza path", "none", [], [], [])
        code = int(found["status"]["code"])
        if code not in (OK, MISSING_PATH, NO_BACKUPS, MISSING_DATA):
            _refuse_unreadable(found, component)
        return StanzaInfo(
            code=code,
            message=str(found["status"]["message"]),
            cipher=str(found.get("cipher", "none")),
            databases=[Database(int(item["id"]), int(item["system-id"]), str(item["version"])) for item in found["db"]],
            archives=[
                Archive(str(item["id"]), int(item["database"]["id"]), item.get("min"), item.get("max"))
                for item in found["archive"]
            ],
            backups=[_backup(item) for item in found["backup"]],
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(
            "pgBackRest's answer cannot be read", component, expected="its JSON", found=repr(error)[:200]
        ) from None


def _refuse_unreadable(found: dict[str, t.Any], component: str) -> t.NoReturn:
    messages = " | ".join(printable(str(repository["status"]["message"])) for repository in found["repo"])
    wrong_key = ("FormatError" in messages or "CryptoError" in messages) and not about_certificate(messages)
    error = PgbackrestError(
        "pgBackRest's repository cannot be read",
        component,
        expected="a repository that opens with the configured passphrase" if wrong_key else "a readable repository",
        found=messages.splitlines()[0][:500] if messages else "no reason given",
        next_command="check component_pitr_cipher_pass_file; earlier passphrases go into component_pitr_previous_cipher_pass_files"
        if wrong_key
        else advice(None, messages) or "check that the server's account may read the repository: owner and mode",
    )
    error.code = 95 if wrong_key else 99
    raise error


def _backup(item: dict[str, t.Any]) -> Backup:
    lsn, archive, sizes = item.get("lsn") or {}, item.get("archive") or {}, item["info"]
    repository = sizes.get("repository") or {}
    return Backup(
        label=str(item["label"]),
        type=str(item["type"]),
        prior=item.get("prior"),
        references=tuple(item.get("reference") or ()),
        started=_moment(item["timestamp"]["start"]),
        stopped=_moment(item["timestamp"]["stop"]),
        start_lsn=lsn.get("start"),
        stop_lsn=lsn.get("stop"),
        archive_start=archive.get("start"),
        archive_stop=archive.get("stop"),
        database_id=int(item["database"]["id"]),
        size=int(sizes["size"]),
        delta=int(sizes["delta"]),
        repository_size=int(repository.get("size") or repository.get("delta") or 0),
        repository_delta=int(repository.get("delta") or 0),
        error=bool(item.get("error")),
        annotations={str(name): str(value) for name, value in (item.get("annotation") or {}).items()},
    )


def _moment(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc)
