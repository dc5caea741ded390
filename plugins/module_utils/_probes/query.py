# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A query of a probe, and whether its rows are those that are expected. For every database that has rows."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Option, anything, number, text
from ansible_collections.sre.runbooks.plugins.module_utils._probes.expectation import as_number, same, shown

#: More rows than this are no answer to a probe's question.
ROW_LIMIT = 1000
QUERY: dict[str, Option] = {
    "query": Option(text),
    "expect": Option(anything),
    "minimum": Option(number),
    "maximum": Option(number),
}
#: Where a semicolon of a statement ends nothing: texts with and without backslashes, names, dollar quotes, comments.
_INSIDE = re.compile(
    r"""[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*`
      | \$(\w*)\$.*?\$\1\$ | --[^\n]* | /\*.*?\*/""",
    re.S | re.X,
)


def check_query(options: t.Mapping[str, t.Any]) -> None:
    """Raises ValueError where a result is expected of no query, and of several: the second could end what is read-only."""
    if ";" in _INSIDE.sub("", options["query"] or "").strip().rstrip(";"):
        raise ValueError("query has to be one statement")
    if options["query"] is None and not all(options[key] is None for key in ("expect", "minimum", "maximum")):
        raise ValueError("expect, minimum and maximum need a query")


def value_of(rows: t.Sequence[t.Sequence[t.Any]]) -> t.Any:
    """The only value, or all rows, as JSON has it."""
    return plain(rows[0][0] if len(rows) == 1 and len(rows[0]) == 1 else rows)


def problem_of(rows: t.Sequence[t.Any], value: t.Any, options: t.Mapping[str, t.Any]) -> str | None:
    """What is not as expected, or None."""
    if len(rows) > ROW_LIMIT:
        return f"the query gives more than {ROW_LIMIT} rows"
    if options["expect"] is not None and not same(value, plain(options["expect"])):
        return f"the query gives {shown(value)}"
    if options["minimum"] is not None or options["maximum"] is not None:
        found = as_number(value)
        if found is None:
            return f"the query gives {shown(value)}, which is no number"
        if options["minimum"] is not None and found < options["minimum"]:
            return f"{found:g} is less than {options['minimum']:g}"
        if options["maximum"] is not None and found > options["maximum"]:
            return f"{found:g} is more than {options['maximum']:g}"
    elif options["expect"] is None and not rows:
        return "the query gives no row"
    return None


def query_in_words(options: t.Mapping[str, t.Any]) -> list[str]:
    parts = []
    if options["expect"] is not None:
        parts.append(f"the query gives {shown(options['expect'])}")
    if options["minimum"] is not None:
        parts.append(f"at least {options['minimum']:g}")
    if options["maximum"] is not None:
        parts.append(f"at most {options['maximum']:g}")
    if options["query"] is not None and not parts:
        parts.append("the query gives a row")
    return parts


def plain(value: t.Any) -> t.Any:
    """As JSON has it."""
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "replace")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
