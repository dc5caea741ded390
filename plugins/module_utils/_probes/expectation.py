# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether what was found is what was expected. Inventories often give numbers as text, so ``3`` equals ``"3"``."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._words import shortened

_STEP = re.compile(r"\.?([A-Za-z0-9_\-]+)|\[(-?\d+)\]|\[\"([^\"]*)\"\]|\['([^']*)'\]")


def same(found: t.Any, expected: t.Any) -> bool:
    """Equality of scalars by value or by text; of lists and mappings, item by item."""
    if isinstance(expected, (list, tuple)):
        return (
            isinstance(found, (list, tuple))
            and len(found) == len(expected)
            and all(same(one, other) for one, other in zip(found, expected))
        )
    if isinstance(expected, dict):
        return (
            isinstance(found, dict)
            and found.keys() == expected.keys()
            and all(same(found[key], expected[key]) for key in expected)
        )
    if found is None or expected is None:
        return found is expected
    if isinstance(found, bool) or isinstance(expected, bool):
        return str(found).lower() == str(expected).lower()
    if as_number(found) is not None and as_number(found) == as_number(expected):
        return True
    return str(found) == str(expected)


def as_number(value: t.Any) -> float | None:
    """The value as a finite number, or None."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        converted = float(value)
    except (TypeError, ValueError):
        return None
    return converted if abs(converted) != float("inf") and converted == converted else None


def parse_path(path: str) -> list[str | int]:
    """``$.checks[0].name`` or ``checks["a b"]`` as steps. Raises ValueError."""
    rest = path[1:] if path.startswith("$") else path
    steps: list[str | int] = []
    place = 0
    while place < len(rest):
        match = _STEP.match(rest, place)
        if match is None:
            raise ValueError(f"the JSON path {path!r} cannot be read at {rest[place:]!r}; write such as checks[0].name")
        name, index, quoted, single = match.groups()
        steps.append(
            int(index) if index is not None else next(part for part in (name, quoted, single) if part is not None)
        )
        place = match.end()
    return steps


def at_path(document: t.Any, steps: t.Sequence[str | int]) -> t.Any:
    """What is found there. Raises LookupError when there is no such place."""
    for step in steps:
        if isinstance(step, int):
            if not isinstance(document, list):
                raise LookupError(step)
            document = document[step]
        else:
            if not isinstance(document, dict):
                raise LookupError(step)
            document = document[step]
    return document


def shown(value: t.Any, limit: int = 200) -> str:
    """A value in a message: short, and on one line."""
    return shortened(repr(value), limit)
