# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must be true of a server before a restore touches it: looked at beforehand, refused with a reason.

Nothing here writes. The recorded dictionaries are those of :func:`databases.describe_database`.
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import Refused

if t.TYPE_CHECKING:
    import psycopg

    from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import PostgresqlAddress

    Session = psycopg.Connection[tuple[t.Any, ...]]
    Recorded = t.Mapping[str, t.Mapping[str, t.Any]]

#: Room beyond the recorded sizes: indexes are rebuilt with sorting, and the log of the load stays for a while.
_HEADROOM = 1.1
_RESERVE = 64 << 20
_LOCAL_HOSTS = ("", "localhost", "127.0.0.1", "::1")


def check_version(session: Session, recorded_version: str, component: str) -> None:
    """The server must not be older than the one that was backed up: a newer dump does not load into an older server."""
    major, recorded_major = session.info.server_version // 10000, int(recorded_version.split(".")[0])
    if major < recorded_major:
        raise Refused(
            "the server is older than the one that was backed up",
            component,
            expected=f"PostgreSQL {recorded_major} or newer",
            found=f"PostgreSQL {major}",
            next_command=f"upgrade the server to {recorded_major}, or name another one with component_login_host",
        )


def check_rights(session: Session, owners: t.Iterable[str], component: str) -> None:
    """The role must be able to create databases and to act as the owners of the content."""
    row = session.execute("SELECT rolsuper, rolcreatedb, rolname FROM pg_roles WHERE rolname = current_user").fetchone()
    superuser, creates, role = row or (False, False, session.info.user)
    if superuser:
        return
    lacking = [] if creates else ["CREATEDB"]
    rows = session.execute(
        "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s) AND NOT pg_has_role(current_user, oid, 'MEMBER')",
        (sorted(set(owners)),),
    )
    lacking += [f"membership in {owner}" for (owner,) in rows]
    row = session.execute("SELECT pg_has_role(current_user, 'pg_signal_backend', 'MEMBER')").fetchone()
    if not (row and row[0]):
        lacking.append("membership in pg_signal_backend")
    if lacking:
        raise Refused(
            f"the role {role} may not restore here",
            component,
            expected="a superuser, or CREATEDB, pg_signal_backend and membership in every owner",
            found="lacking " + ", ".join(lacking[:5]),
            next_command="log in as a superuser (component_login_user)",
        )


def check_extensions(session: Session, recorded: Recorded, component: str) -> list[str]:
    """Every recorded extension must be installable, in a version that is not older; returns differences in words."""
    rows = session.execute("SELECT name, default_version FROM pg_available_extensions")
    available: dict[str, str] = dict(rows.fetchall())
    differences = []
    for database, description in recorded.items():
        for extension in description["extensions"]:
            name, version = extension["name"], extension["version"]
            there = available.get(name)
            if there is None or version_key(there) < version_key(version):
                raise Refused(
                    f"the extension {name} of database {database} cannot be installed here",
                    component,
                    expected=f"{name} {version} or newer",
                    found="not available" if there is None else f"{name} {there}",
                    next_command=f"install the package that brings {name} for this server",
                )
            if there != version:
                differences.append(f"{database}: extension {name} {version} becomes {there}")
    return differences


def check_locales(session: Session, recorded: Recorded, component: str) -> None:
    """Every recorded locale must be one that this server knows."""
    rows = session.execute(
        "SELECT collcollate, collprovider::text FROM pg_collation UNION SELECT collctype, collprovider::text FROM pg_collation"
        " UNION SELECT datcollate, 'c' FROM pg_database UNION SELECT datctype, 'c' FROM pg_database"
    ).fetchall()
    known = {normalised_locale(name) for name, provider in rows if name and provider in ("c", "d")}
    known |= {"c", "posix"}
    has_icu = any(provider == "i" for _name, provider in rows)
    for database, description in recorded.items():
        provider = description["locale_provider"]
        if provider == "icu" and not has_icu:
            raise _no_locale(database, f"ICU locale {description['locale']}", "a server built without ICU", component)
        if provider == "builtin" and session.info.server_version < 170000:
            raise _no_locale(database, f"builtin locale {description['locale']}", "a server without it", component)
        for name in (description["collate"], description["ctype"]):
            if normalised_locale(name) not in known:
                raise _no_locale(database, f"locale {name}", "no such locale", component)


def check_roles(session: Session, needed: t.Iterable[str], creatable: t.Iterable[str], component: str) -> list[str]:
    """Roles that own or may use the content must exist or be ``creatable``; returns those that will be created."""
    there = {name for (name,) in session.execute("SELECT rolname FROM pg_roles")}
    missing, can = sorted(set(needed) - there), set(creatable)
    hopeless = [name for name in missing if name not in can]
    if hopeless:
        raise Refused(
            "roles that the content refers to do not exist",
            component,
            expected="roles " + ", ".join(hopeless[:5]) + (" and more" if len(hopeless) > 5 else ""),
            found="no such roles on the server",
            next_command="create them, or have them created: the same command with -e restore_create_roles=true",
        )
    return missing


def check_tablespaces(session: Session, needed: t.Iterable[str], creatable: t.Iterable[str], component: str) -> None:
    """Tablespaces must exist, unless the globals that will be applied create them."""
    there = {name for (name,) in session.execute("SELECT spcname FROM pg_tablespace")}
    missing = sorted(set(needed) - there - set(creatable))
    if missing:
        raise Refused(
            "tablespaces of the content do not exist",
            component,
            expected=", ".join(missing[:5]),
            found=f"only {', '.join(sorted(there - {'pg_global'}))}",
            next_command="create them on the server (CREATE TABLESPACE), then: the same command",
        )


def check_prepared(session: Session, databases: t.Sequence[str], component: str) -> None:
    """A prepared transaction would block the swap, and nobody but its owner may end it."""
    rows = session.execute(
        "SELECT database, gid FROM pg_prepared_xacts WHERE database = ANY(%s) ORDER BY 1, 2", (list(databases),)
    ).fetchall()
    if rows:
        raise Refused(
            f"database {rows[0][0]} has a prepared transaction, which would block the swap",
            component,
            expected="none",
            found=", ".join(repr(gid) for _database, gid in rows[:5]),
            next_command=f"COMMIT PREPARED or ROLLBACK PREPARED in database {rows[0][0]}",
        )


def check_space(
    session: Session, address: PostgresqlAddress, data_bytes: int, scratch_dir: str, scratch_bytes: int, component: str
) -> list[str]:
    """Free space for the databases beside the live ones and for the decoded objects.

    :arg data_bytes: size of the databases when they were backed up. :arg scratch_bytes: of the decoded objects.
    :returns: what could not be checked, in words: a server elsewhere does not tell its free space.
    """
    needs: dict[int, tuple[str, int]] = {}
    unchecked = []
    data_dir = _data_directory(session, address)
    if data_dir is None:
        unchecked.append("free space of the server's data directory (not visible from here)")
    else:
        _need(needs, data_dir, int(data_bytes * _HEADROOM) + _RESERVE)
    _need(needs, scratch_dir, scratch_bytes + (_RESERVE if scratch_bytes else 0))
    for path, needed in needs.values():
        state = os.statvfs(path)
        free = state.f_bavail * state.f_frsize
        if free < needed:
            raise Refused(
                f"too little space at {path} for the restore; nothing was touched",
                component,
                expected=f"{_mebibytes(needed)} free",
                found=f"{_mebibytes(free)} free",
                next_command="free space, release what former restores kept (-e restore_release=true), or name another component_scratch_dir",
            )
    return unchecked


def normalised_locale(name: str) -> str:
    """``en_US.UTF-8`` and ``en_US.utf8`` are the same locale."""
    base, dot, rest = name.partition(".")
    codeset, at, modifier = rest.partition("@")
    return (base + dot + re.sub(r"[^a-z0-9]", "", codeset.lower()) + at + modifier).lower()


def version_key(version: str) -> tuple[tuple[int, int | str], ...]:
    """For comparing versions such as ``1.10`` and ``1.9`` or ``3.4.0dev``."""
    return tuple(
        (0, int(part)) if part.isdigit() else (-1, part) for part in re.findall(r"\d+|[a-z]+", version.lower())
    )


def _need(needs: dict[int, tuple[str, int]], path: str, count: int) -> None:
    device = os.stat(path).st_dev
    there = needs.get(device, (path, 0))
    needs[device] = (there[0], there[1] + count)


def _data_directory(session: Session, address: PostgresqlAddress) -> str | None:
    """The server's data directory when the server is on this host and it can be seen."""
    import psycopg

    if address.way is not None or (address.socket is None and address.host not in _LOCAL_HOSTS):
        return None
    try:
        row = session.execute("SELECT current_setting('data_directory')").fetchone()
    except psycopg.Error:  # only superusers and pg_read_all_settings may know
        return None
    path = row[0] if row else ""
    try:
        os.statvfs(path)
    except OSError:
        return None
    return t.cast(str, path)


def _no_locale(database: str, expected: str, found: str, component: str) -> Refused:
    return Refused(
        f"the locale of database {database} is not available on this server",
        component,
        expected=expected,
        found=found,
        next_command="install the locale, then SELECT pg_import_system_collations('pg_catalog') as a superuser",
    )


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"
