# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a server has beside its databases: roles, their memberships and settings, tablespaces, and full settings."""

from __future__ import annotations

import io
import json
import subprocess
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import (
    Encoding,
    Identities,
    open_decoded,
    store_stream,
)
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import PostgresqlAddress
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.tools import Tools
from ansible_collections.sre.runbooks.plugins.module_utils._process_group import ProcessGroup
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint, StoredObject

if t.TYPE_CHECKING:
    import psycopg

    from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import PointWriter
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import Store

    Session = psycopg.Connection[tuple[t.Any, ...]]

_SETTINGS = "settings.json"
_SETTINGS_LIMIT = 16 << 20


class _UntilGoodEnd:
    """A tool's output whose end is only reached when the tool ended well, so that no half of it is ever stored."""

    def __init__(self, group: ProcessGroup) -> None:
        self._group = group

    def read(self, size: int = -1) -> bytes:
        data = self._group.stdout.read(size)
        if not data:
            self._group.finish()
        return data


def dump_globals(
    session: Session, address: PostgresqlAddress, tools: Tools, writer: PointWriter, encoding: Encoding
) -> dict[str, t.Any]:
    """Store ``pg_dumpall --globals-only``; returns ``{"object", "passwords", "problem"}``.

    Password hashes are secrets: they are only in it when it is encrypted and the role may read them.
    """
    row = session.execute("SELECT pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT')").fetchone()
    allowed = bool(row and row[0])
    passwords = allowed and bool(encoding.recipients)
    argv = [tools.pg_dumpall, "--globals-only", "--no-password", f"--database={address.database}"]
    if not passwords:
        argv.append("--no-role-passwords")
    name = f"globals.sql{encoding.suffix}"
    environment = address.environment()
    with ProcessGroup(argv, "dumping the globals", environment, writer.component, subprocess.PIPE) as group:
        writer.add(
            store_stream(
                writer.repository.store,
                writer.object_key(name),
                name,
                t.cast(t.BinaryIO, _UntilGoodEnd(group)),
                encoding,
                kind="globals",
            )
        )
    problem = None
    if not encoding.recipients:
        problem = "roles are stored without their passwords, because no encryption_recipients are set"
    elif not allowed:
        problem = f"roles are stored without their passwords, because {session.info.user} is no superuser"
    return {"object": name, "passwords": passwords, "problem": problem}


def store_settings(writer: PointWriter, encoding: Encoding, settings: t.Mapping[str, t.Any]) -> None:
    """Store the databases' settings in full; the manifest, which is never encrypted, has them without secrets."""
    name = _SETTINGS + encoding.suffix
    content = json.dumps(settings, sort_keys=True, ensure_ascii=False, indent=1).encode() + b"\n"
    writer.add(
        store_stream(
            writer.repository.store, writer.object_key(name), name, io.BytesIO(content), encoding, kind="globals"
        )
    )


def read_settings(store: Store, point: RecoveryPoint, identities: Identities) -> dict[str, list[dict[str, t.Any]]]:
    """Database → its settings in full, see :func:`databases.database_settings`.

    :raises IntegrityError: damaged. :raises WrongIdentity: encrypted for somebody else.
    """
    stored = _settings_object(point)
    if stored.raw_length > _SETTINGS_LIMIT:
        raise IntegrityError(
            f"{stored.key} is too long", expected=f"at most {_SETTINGS_LIMIT} bytes", found=str(stored.raw_length)
        )
    with open_decoded(store, stored, identities) as decoded:
        content = decoded.read()
    try:
        settings = json.loads(content)
        for entries in settings.values():
            for entry in entries:
                if not (entry["role"] is None or isinstance(entry["role"], str)):
                    raise ValueError
                if not all(isinstance(item, str) for pair in entry["values"].items() for item in pair):
                    raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise IntegrityError(
            f"{stored.key} is damaged", expected="settings of databases", found="something else"
        ) from None
    return t.cast("dict[str, list[dict[str, t.Any]]]", settings)


def _settings_object(point: RecoveryPoint) -> StoredObject:
    for stored in point.objects:
        if stored.name.split(".zst")[0].split(".age")[0] == _SETTINGS:
            return stored
    raise IntegrityError(
        f"{point.point_id} has no settings", point.component, expected=_SETTINGS, found="a manifest without it"
    )
