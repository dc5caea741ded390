# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of what is due when, checked, and the command that each line of it stands for."""

from __future__ import annotations

import dataclasses
import fnmatch
import json
import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._mistakes import Mistakes
from ansible_collections.sre.runbooks.plugins.module_utils._nearest import meant
from ansible_collections.sre.runbooks.plugins.module_utils._schedules.calendar import Calendar, parse_calendar
from ansible_collections.sre.runbooks.plugins.module_utils._secret_names import may_be_secret

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_RUNBOOK = re.compile(r"[a-z][a-z0-9_]{0,62}")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,*-]+")
#: The runbook that goes through checklists.
_CHECKED = "check_health"
#: Parts of a limit: a colon within brackets belongs to a range.
_LIMIT_PARTS = re.compile(r"(?:\[[^\]]*\]|[^,:\[])+")
#: Such as ``[0]`` or ``[1:3]`` after a group.
_SUBSCRIPT = re.compile(r"\[-?\d*(?::-?\d*)?\]$")
_ALWAYS = ("all", "*", "localhost", "127.0.0.1", "::1")
_KEYS = ("name", "runbook", "every", "at", "weekdays", "day", "variables", "limit", "description", "enabled")


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the commands run. :ivar directory: the project, with the inventories as seen from there."""

    environment: str
    timezone: str
    directory: str
    inventories: tuple[str, ...]
    executable: str

    @property
    def mark(self) -> str:
        """How a file begins that is this environment's, and may be removed once nothing needs it."""
        return (
            f"# Written by sre.runbooks.generate_schedules for {self.environment}; "
            "change the table in its inventory and run it again."
        )

    @property
    def slug(self) -> str:
        """The environment in names of files, units and objects."""
        return re.sub(r"[^a-z0-9]+", "-", self.environment.lower()).strip("-") or "environment"


@dataclasses.dataclass(frozen=True)
class Known:
    """What a table may name. Where nobody says what there is of something, it may name any.

    :ivar hosts: and groups of the inventory.
    """

    runbooks: t.Sequence[str] = ()
    checklists: t.Sequence[str] = ()
    hosts: t.Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Entry:
    """One line of the table."""

    name: str
    runbook: str
    calendar: Calendar
    variables: dict[str, t.Any]
    limit: str
    description: str
    enabled: bool

    def arguments(self, place: Place) -> list[str]:
        """The command without its program."""
        given = [part for inventory in place.inventories for part in ("-i", inventory)]
        given.append(f"sre.runbooks.{self.runbook}")
        if self.limit:
            given += ["--limit", self.limit]
        for name, value in self.variables.items():
            plain = isinstance(value, str) and _PLAIN.fullmatch(value)
            given += ["-e", f"{name}={value}" if plain else json.dumps({name: value})]
        return given


def parse_table(rows: t.Sequence[t.Any], known: Known) -> list[Entry]:
    """Every line of the table.

    :raises InvalidInput: naming each line that is wrong, with the first thing that is wrong in it.
    """
    entries: dict[str, Entry] = {}
    problems: list[InvalidInput] = []
    for position, row in enumerate(rows, start=1):
        try:
            entry = _entry(row, f"schedule {position}", known)
        except InvalidInput as error:
            problems.append(error)
            continue
        if entry.name in entries:
            problems.append(
                InvalidInput(f"two schedules are named {entry.name!r}", expected="names of their own", found="the same")
            )
        entries[entry.name] = entry
    if problems:
        raise Mistakes(problems, "the table of schedules")
    return list(entries.values())


def _entry(row: t.Any, where: str, known: Known) -> Entry:
    if not isinstance(row, dict):
        raise InvalidInput(f"{where} is not a mapping", expected="keys among " + ", ".join(_KEYS), found=repr(row)[:80])
    where = f"{where} ({row['name']})" if row.get("name") else where
    for key in row:
        if key not in _KEYS:
            raise InvalidInput(
                f"{where} has the unknown key {key!r}{meant(str(key), _KEYS)}",
                expected="keys among " + ", ".join(_KEYS),
                found=repr(key),
            )
    name, runbook = str(row.get("name") or ""), str(row.get("runbook") or "")
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"{where}: bad name", expected="1 to 40 of a-z 0-9 -", found=repr(name))
    if not _RUNBOOK.fullmatch(runbook) or (known.runbooks and runbook not in known.runbooks):
        expected = "the name of a playbook of sre.runbooks"
        raise InvalidInput(
            f"{where}: there is no runbook {runbook!r}{meant(runbook, known.runbooks)}",
            expected="one of " + ", ".join(sorted(known.runbooks)) if known.runbooks else expected,
            found=repr(runbook),
        )
    variables = row.get("variables") or {}
    if not isinstance(variables, dict):
        raise InvalidInput(f"{where}: bad variables", expected="a mapping", found=repr(variables)[:80])
    for variable in _secrets(variables):
        raise InvalidInput(
            f"{where}: variable {variable} looks like a secret, and commands are for everybody to read",
            expected="secrets in files, vaults or the environment",
            found=variable,
        )
    if runbook == _CHECKED and variables.get("checklist"):
        _check_checklist(variables["checklist"], where, known.checklists)
    limit = _line(row.get("limit"), f"{where}: bad limit")
    if known.hosts:
        _check_limit(limit, where, known.hosts)
    weekdays = row.get("weekdays") or []
    try:
        calendar = parse_calendar(
            str(row.get("every") or ""),
            str(row.get("at") or "00:00"),
            [str(day) for day in (weekdays if isinstance(weekdays, list) else [weekdays])],
            _day(row.get("day")),
        )
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error.message}", expected=error.expected, found=error.found) from None
    enabled = row.get("enabled", True)
    if not isinstance(enabled, bool):
        raise InvalidInput(f"{where}: bad enabled", expected="true or false", found=repr(enabled))
    return Entry(
        name=name,
        runbook=runbook,
        calendar=calendar,
        variables={str(key): value for key, value in variables.items()},
        limit=limit,
        description=_line(row.get("description"), f"{where}: bad description") or f"{runbook}, {name}",
        enabled=enabled,
    )


def _check_checklist(name: t.Any, where: str, checklists: t.Sequence[str]) -> None:
    if checklists and name not in checklists:
        raise InvalidInput(
            f"{where}: there is no checklist {name!r}{meant(str(name), checklists)}",
            expected="one of " + ", ".join(sorted(checklists)),
            found=repr(name),
            next_command="name one of them, or describe it in health_checklists of the inventory",
        )


def _check_limit(limit: str, where: str, hosts: t.Sequence[str]) -> None:
    """Refuse a part of a ``--limit`` that no host and no group matches: such a run would be about less, or about nothing."""
    for part in _LIMIT_PARTS.findall(limit):
        word = part.strip().lstrip("&!")
        # Regular expressions, files of names, and what Ansible always knows are its own matter.
        if not word or word[0] in "~@" or word in _ALWAYS:
            continue
        pattern = _SUBSCRIPT.sub("", word)
        if not any(fnmatch.fnmatchcase(host, name) for host in hosts for name in (pattern, word)):
            raise InvalidInput(
                f"{where}: limit names {word!r}, which is no host and no group{meant(word, hosts)}",
                expected="hosts and groups of the inventory",
                found=repr(limit),
                next_command="ansible-inventory --graph",
            )


def _secrets(value: t.Any, path: str = "") -> t.Iterator[str]:
    """Where in a variable, however deep, a name says that a secret is there."""
    if isinstance(value, dict):
        for name, inner in value.items():
            below = f"{path}.{name}" if path else str(name)
            if may_be_secret(str(name)):
                yield below
            yield from _secrets(inner, below)
    elif isinstance(value, (list, tuple)):
        for position, inner in enumerate(value):
            yield from _secrets(inner, f"{path}[{position}]")


def _day(value: t.Any) -> int | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not str(value).isdigit():
        raise InvalidInput("not a day of every month", expected="1 to 28", found=repr(value))
    return int(value)


def _line(value: t.Any, wrong: str) -> str:
    text = str(value or "")
    if not text.isprintable():
        raise InvalidInput(wrong, expected="one printable line", found=repr(text)[:80])
    return text
