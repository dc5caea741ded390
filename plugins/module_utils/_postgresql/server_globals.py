# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server's roles and tablespaces as ``pg_dumpall --globals-only`` wrote them: read, and applied with care.

The text holds password hashes: it is never logged, and errors carry the server's message, never the statement.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError

if t.TYPE_CHECKING:
    import psycopg

    Session = psycopg.Connection[tuple[t.Any, ...]]

_NAME = r'("(?:[^"]|"")+"|[^\s";,]+)'
_KINDS = (
    ("create role", re.compile(rf"CREATE ROLE {_NAME}$")),
    ("alter role", re.compile(rf"ALTER ROLE {_NAME} WITH\b")),
    ("role setting", re.compile(rf"ALTER ROLE {_NAME} (?:IN DATABASE .+ )?SET\b")),
    ("role comment", re.compile(rf"COMMENT ON ROLE {_NAME} IS\b")),
    ("role label", re.compile(rf"SECURITY LABEL FOR .+ ON ROLE {_NAME} IS\b")),
    ("parameter grant", re.compile(rf"GRANT [A-Z ,]+ ON PARAMETER {_NAME}")),
    ("tablespace grant", re.compile(rf"(?:GRANT|REVOKE) [A-Z ,]+ ON TABLESPACE {_NAME}")),
    ("membership", re.compile(rf"GRANT {_NAME} TO {_NAME}(?= |$)")),
    ("tablespace", re.compile(rf"CREATE TABLESPACE {_NAME}")),
    ("tablespace property", re.compile(rf"(?:ALTER|COMMENT ON) TABLESPACE {_NAME}")),
)
#: What defines a role itself, in the order in which it is written.
_OF_ONE_ROLE = ("create role", "alter role", "role setting", "role comment", "role label")
_GRANTED_BY = re.compile(rf" GRANTED BY {_NAME}$")


@dataclasses.dataclass(frozen=True)
class Statement:
    """One statement without its semicolon. ``subject`` is the role, parameter or tablespace; ``member`` of a membership."""

    kind: str
    subject: str
    text: str = dataclasses.field(repr=False)
    member: str | None = None


@dataclasses.dataclass
class Applied:
    """Names of roles and tablespaces."""

    created: list[str] = dataclasses.field(default_factory=list)
    altered: list[str] = dataclasses.field(default_factory=list)
    kept: list[str] = dataclasses.field(default_factory=list)


def parse_globals(text: str) -> list[Statement]:
    """Read the file. Statements of unknown kinds (``SET`` and the like) are left out."""
    found = []
    for statement in split_statements(text):
        # What stands in quotes may hold anything, so only what precedes a value is looked at.
        for kind, pattern in _KINDS:
            match = pattern.match(statement)
            if match:
                names = [_unquoted(name) for name in match.groups()]
                found.append(Statement(kind, names[0], statement, names[1] if len(names) > 1 else None))
                break
    return found


def split_statements(text: str) -> list[str]:
    """Statements without their semicolons, comments and psql's own lines; quoted text may hold any of these."""
    statements: list[str] = []
    current: list[str] = []
    for match in _TOKEN.finditer(text):
        token = match.group()
        if match.lastgroup == "skip" or (match.lastgroup == "meta" and not "".join(current).strip()):
            current.append(" " if "".join(current).strip() else "")
        elif token == ";":
            statements.append("".join(current).strip())
            current = []
        else:
            current.append(token)
    rest = "".join(current).strip()
    return [statement for statement in [*statements, rest] if statement]


_TOKEN = re.compile(
    r"""(?P<skip>--[^\n]*)
      | (?P<quoted>[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*")
      | (?P<meta>\\[a-z]+[^\n]*)
      | (?P<end>;)
      | (?P<other>[^;'"\\\-eE]+ | .)""",
    re.VERBOSE | re.DOTALL,
)


def roles_in(statements: t.Iterable[Statement]) -> list[str]:
    """The names of the roles that the file creates."""
    return [statement.subject for statement in statements if statement.kind == "create role"]


def existing_roles(session: Session) -> set[str]:
    return {row[0] for row in session.execute("SELECT rolname FROM pg_roles")}


def create_missing(session: Session, statements: t.Sequence[Statement], component: str) -> Applied:
    """Create the roles that the server lacks, with their attributes, settings and memberships; alter no other."""
    there = existing_roles(session)
    missing = [name for name in roles_in(statements) if name not in there]
    for statement in statements:
        if statement.kind in _OF_ONE_ROLE and statement.subject in missing:
            _execute(session, statement, component)
    everybody = there | set(missing)
    for statement in statements:
        concerned = statement.member in missing or statement.subject in missing
        if statement.kind == "membership" and concerned and {statement.subject, statement.member} <= everybody:
            _execute(session, statement, component)
    return Applied(created=missing, kept=sorted(set(roles_in(statements)) & there))


def apply_all(session: Session, statements: t.Sequence[Statement], component: str) -> Applied:
    """Make roles, memberships and tablespaces as recorded, on a server that is being rebuilt.

    The role that we are logged in as keeps its password and attributes, so that the rebuild does not lock itself out.
    """
    applied = Applied()
    row = session.execute("SELECT session_user").fetchone()
    ourselves = row[0] if row else None
    roles = existing_roles(session)
    spaces = {row[0] for row in session.execute("SELECT spcname FROM pg_tablespace")}
    for statement in statements:
        subject = statement.subject
        if statement.kind == "create role":
            if subject in roles:
                (applied.kept if subject == ourselves else applied.altered).append(subject)
                continue
            applied.created.append(subject)
        elif statement.kind == "alter role" and subject == ourselves:
            continue
        elif statement.kind == "tablespace":
            if subject in spaces:
                continue
            applied.created.append(f"tablespace {subject}")
        _execute(session, statement, component)
    return applied


def _execute(session: Session, statement: Statement, component: str) -> None:
    import psycopg

    try:
        session.execute(statement.text.encode())
    except psycopg.Error as error:
        shorter = _GRANTED_BY.sub("", statement.text)
        if statement.kind == "membership" and shorter != statement.text:
            # Who granted it may not be able to here; that the role is a member is what counts.
            _execute(session, dataclasses.replace(statement, text=shorter), component)
            return
        raise EngineError(
            f"{statement.kind} {statement.subject} could not be applied",
            component,
            expected="the role or tablespace as recorded",
            found=error.diag.message_primary or type(error).__name__,
            next_command="create it by hand, then: the same command",
        ) from None


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
