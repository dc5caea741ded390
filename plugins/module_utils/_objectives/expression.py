# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What in an expression of PromQL would make an objective look met without data: read word by word, not computed."""

from __future__ import annotations

import dataclasses
import re
import typing as t

_TEXT = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`"""
_WORD = re.compile(
    rf"""(?P<skipped>\s+|\#[^\n]*)|(?P<text>{_TEXT})|(?P<braces>\{{(?:[^{{}}"'`]|{_TEXT})*\}})|(?P<range>\[[^\]]*\])"""
    r"|(?P<number>[0-9.][0-9a-zA-Z_.]*)|(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)|(?P<sign>==|!=|<=|>=|.)",
    re.DOTALL,
)
_SETS = ("and", "or", "unless", "atan2")
_LISTS = ("by", "without", "on", "ignoring", "group_left", "group_right")
_NUMBERS = ("inf", "nan")
_COMPARISONS = ("==", "!=", "<", ">", "<=", ">=")
#: What has a value where there is no data.
_MADE_UP = ("vector", "absent", "absent_over_time")
_UNIT_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
#: So long Prometheus itself carries a value on.
_CARRIED_S = 300.0


@dataclasses.dataclass(frozen=True)
class _Word:
    kind: str
    text: str
    start: int
    end: int

    @property
    def keyword(self) -> str:
        """As Prometheus compares keywords and functions; empty for what can be none."""
        return self.text.lower() if self.kind == "name" else ""


def refused(expression: str, compared: bool = False) -> str | None:
    """What is expected in place of what it has and an indicator must not have; None where there is nothing of that.

    :arg compared: it is compared with a value afterwards.
    """
    words = _words(expression)
    lonely = _lonely(words)
    if lonely is not None:
        return f"a query whose brackets and quotes are in pairs; this {lonely} has no other one"
    for before, word, after in zip([None, *words], words, [*words[1:], None]):
        if word.text == "@" or _is_offset(before, word, after):
            return (
                f'a query without the modifier "{word.text}", by which it would be judged by other data than its window\'s;'
                " take it out"
            )
        if word.keyword in _MADE_UP and after is not None and after.text == "(":
            return (
                f"a query without {word.text}(…), which has a value where there is no data: nobody could tell that it is missing;"
                " take it out"
            )
    if not _selectors(words):
        return "a query that names series of Prometheus, and no constant"
    filtered = _filter(words) if compared else None
    if filtered is not None:
        return (
            f'a query without "{filtered}", which leaves out what is bad, so that only good is seen; use op and value,'
            f' or "{filtered} bool"'
        )
    return None


def presence(expression: str) -> str | None:
    """The question whether there is data of what the expression itself still has a value of when that has ended.

    That is so for ranges that are longer than Prometheus carries a value on, such as ``max_over_time(x[1d])``. None
    where there is no such range.
    """
    words = _words(expression)
    found: dict[str, None] = {}
    for place, word in enumerate(words):
        if word.kind == "range" and _seconds(word.text) > _CARRIED_S:
            first = _opening(words, place)
            for start, end in _selectors(words[first:place]):
                found[expression[start:end]] = None
    # One of two alternatives will do.
    either = any(word.keyword == "or" for word in words)
    return (" or " if either else " and ").join(f"count({selector})" for selector in found) or None


def _words(expression: str) -> list[_Word]:
    """Without the lists of labels that ``by`` and its like have."""
    every = [
        _Word(str(found.lastgroup), found[0], found.start(), found.end())
        for found in _WORD.finditer(expression)
        if found.lastgroup != "skipped"
    ]
    words: list[_Word] = []
    inside = False
    for before, word in zip([None, *every], every):
        if inside:
            inside = word.text != ")"
        elif word.text == "(" and before is not None and before.keyword in _LISTS:
            inside = True
        else:
            words.append(word)
    return words


def _lonely(words: t.Sequence[_Word]) -> str | None:
    """A bracket or a quote that is not closed or was not opened; whole braces, ranges and texts are words of their own."""
    depth = 0
    for word in words:
        if word.kind == "sign" and word.text in "{}[]\"'`":
            return word.text
        depth += {"(": 1, ")": -1}.get(word.text, 0)
        if depth < 0:
            return ")"
    return "(" if depth else None


def _is_offset(before: _Word | None, word: _Word, after: _Word | None) -> bool:
    """Whether it is the modifier: a metric may have that name, too."""
    if word.keyword != "offset" or before is None or after is None:
        return False
    operand = before.kind in ("name", "braces", "range") or before.text == ")"
    operator = before.keyword in (*_SETS, *_LISTS, "bool")
    return operand and not operator and (after.kind == "number" or after.text in ("+", "-", "("))


def _selectors(words: t.Sequence[_Word]) -> list[tuple[int, int]]:
    """From where to where each stands, without its range."""
    found = []
    for before, word, after in zip([None, *words], words, [*words[1:], None]):
        if word.kind == "braces" and (before is None or before.kind != "name" or before.keyword in (*_SETS, *_LISTS)):
            found.append((word.start, word.end))
        elif word.kind == "name" and word.keyword not in (*_SETS, *_LISTS, *_NUMBERS, "bool"):
            called = after is not None and (after.text == "(" or after.keyword in ("by", "without"))
            if not called:
                found.append((word.start, after.end if after is not None and after.kind == "braces" else word.end))
    return found


def _filter(words: t.Sequence[_Word]) -> str | None:
    """The outermost comparison that lets only some values through, where nothing else is outermost."""
    depth = 0
    found = None
    for word, after in zip(words, [*words[1:], None]):
        depth += {"(": 1, ")": -1}.get(word.text, 0)
        if depth == 0 and word.keyword in _SETS[:3]:
            return None
        if depth == 0 and word.text in _COMPARISONS and (after is None or after.keyword != "bool"):
            found = found or word.text
    return found


def _opening(words: t.Sequence[_Word], place: int) -> int:
    """Where what a range is of begins: a selector, or for a subquery the bracket that belongs to the one before it."""
    if place == 0 or words[place - 1].text != ")":
        return max(0, place - (2 if place > 1 and words[place - 1].kind == "braces" else 1))
    depth = 0
    for first in range(place - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(words[first].text, 0)
        if depth == 0:
            return first
    return 0


def _seconds(text: str) -> float:
    """How long a range is; what is not understood is taken for long."""
    length = text[1:-1].partition(":")[0].strip()
    parts = re.findall(r"(\d+)(ms|[smhdwy])", length)
    if parts and "".join(number + unit for number, unit in parts) == length:
        return sum(int(number) * _UNIT_S[unit] for number, unit in parts)
    return float(length) if re.fullmatch(r"\d+(\.\d+)?", length) else float("inf")
