# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A component's own assertions: SQL with an expected result, from the inventory."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import AssertionFailed, InvalidInput

if t.TYPE_CHECKING:
    import psycopg

    Session = psycopg.Connection[tuple[t.Any, ...]]

_ROWS = 100
_BOOLEANS = {"true": "t", "yes": "t", "false": "f", "no": "f"}


@dataclasses.dataclass(frozen=True)
class SqlAssertion:
    """``query`` in ``database`` must answer ``expected``, as text: columns by tabs, rows by newlines."""

    name: str
    database: str
    query: str
    expected: str


@dataclasses.dataclass(frozen=True)
class Answer:
    """What an assertion found. ``outcome`` is ok, failed, or skipped (its database was not restored)."""

    assertion: SqlAssertion
    outcome: str
    found: str | None
    duration_s: float

    def facts(self) -> dict[str, t.Any]:
        return {
            "name": self.assertion.name,
            "database": self.assertion.database,
            "outcome": self.outcome,
            "expected": self.assertion.expected,
            "found": self.found,
            "duration_s": round(self.duration_s, 6),
        }


def parse_assertions(given: t.Sequence[t.Mapping[str, t.Any]], databases: t.Sequence[str]) -> list[SqlAssertion]:
    """Read the module's parameter; an assertion without a database means the only one. Raises :class:`InvalidInput`."""
    parsed = []
    for number, item in enumerate(given, 1):
        database = item.get("database") or (databases[0] if len(databases) == 1 else None)
        missing = [key for key in ("name", "query", "expected") if item.get(key) in (None, "") and key != "expected"]
        if missing or item.get("expected") is None or database is None:
            raise InvalidInput(
                f"assertion {number} is incomplete",
                expected="name, database, query and expected",
                found=", ".join(sorted(key for key in item if item[key] is not None)) or "nothing",
            )
        parsed.append(SqlAssertion(str(item["name"]), database, str(item["query"]), _text(item["expected"])))
    return parsed


def ask(
    assertions: t.Sequence[SqlAssertion],
    open_database: t.Callable[[str], Session],
    present: t.Mapping[str, str],
) -> list[Answer]:
    """Ask all of them, each in a read-only transaction that is rolled back.

    :arg present: the name in the assertion → the database to ask (the one beside the live one).
    """
    answers = []
    for assertion in assertions:
        started = time.monotonic()
        if assertion.database not in present:
            answers.append(Answer(assertion, "skipped", None, 0.0))
            continue
        with open_database(present[assertion.database]) as session:
            found, error = _answer(session, assertion.query)
        good = error is None and found is not None and same_answer(assertion.expected, found)
        answers.append(
            Answer(assertion, "ok" if good else "failed", found if error is None else error, time.monotonic() - started)
        )
    return answers


def refuse_failures(answers: t.Sequence[Answer], component: str, point_id: str) -> None:
    """Raise :class:`AssertionFailed` naming the first failed one and how many more."""
    failed = [answer for answer in answers if answer.outcome == "failed"]
    if failed:
        first, more = failed[0], f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise AssertionFailed(
            f'recovery point {point_id}: the assertion "{first.assertion.name}" does not hold in database '
            f"{first.assertion.database}{more}",
            component,
            expected=first.assertion.expected,
            found=first.found,
            next_command="correct component_assertions, or restore another recovery point (restore_recovery_point)",
        )


def same_answer(expected: str, found: str) -> bool:
    """Equal as text, without regard to surrounding space; ``true`` and ``t`` are the same."""
    wanted, got = expected.strip(), found.strip()
    return wanted == got or (got in ("t", "f") and _BOOLEANS.get(wanted.lower()) == got)


def _answer(session: Session, query: str) -> tuple[str | None, str | None]:
    import psycopg

    session.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
    try:
        with session.transaction(force_rollback=True):
            # No arguments, so that a percent sign in the query is one.
            cursor = session.execute(query)
            while cursor.nextset():
                pass
            result = cursor.pgresult
            if result is None or result.nfields == 0:
                return None, "a statement that returns no rows"
            lines = [
                "\t".join(_value(result, row, column) for column in range(result.nfields))
                for row in range(min(result.ntuples, _ROWS))
            ]
            if result.ntuples > _ROWS:
                lines.append(f"... {result.ntuples} rows")
            return "\n".join(lines), None
    except psycopg.Error as error:
        return None, "error: " + " ".join(str(error).split())


def _value(result: psycopg.pq.abc.PGresult, row: int, column: int) -> str:
    raw = result.get_value(row, column)
    return "" if raw is None else bytes(raw).decode("utf-8", "replace")


def _text(value: t.Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
