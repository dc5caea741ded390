# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Series that a selector selects, made up for tests of rules: ``r{code!~"5.."}`` selects ``r{code="200"}``."""

from __future__ import annotations

import itertools
import json
import re
import typing as t

#: Label, operator, value.
Matcher = tuple[str, str, str]
_NEGATED = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}
_MATCHER = re.compile(
    r"""\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')\s*(?:,|$)""", re.DOTALL
)
#: What is tried where a matcher says only what a label is not.
_ANY = ("200", "other", "1", "")


def matchers_of(selector: str) -> list[Matcher] | None:
    """What a selector asks of labels, the metric's name among them; None for one that is written unusually."""
    name, _, inner = selector.strip().partition("{")
    matchers: list[Matcher] = [("__name__", "=", name.strip())] if name.strip() else []
    inner = inner.strip()
    inner = inner[:-1] if inner.endswith("}") else inner
    place = 0
    while inner[place:].strip():
        found = _MATCHER.match(inner, place)
        if found is None:
            return None
        quoted = found[3] if found[3].startswith('"') else '"' + found[3][1:-1].replace('"', '\\"') + '"'
        try:
            matchers.append((found[1], found[2], json.loads(quoted)))
        except ValueError:
            return None
        place = found.end()
    return matchers


def satisfying(matchers: t.Sequence[Matcher]) -> dict[str, str] | None:
    """Labels of which all matchers hold; None when none were found."""
    labels = {}
    for name in sorted({matcher[0] for matcher in matchers}):
        own = [matcher for matcher in matchers if matcher[0] == name]
        values = (value for value in _candidates(own) if all(_holds(value, *matcher[1:]) for matcher in own))
        value = next(values, None)
        if value is None:
            return None
        if value:
            labels[name] = value
    return labels


def besides(whole: t.Sequence[Matcher], part: t.Sequence[Matcher]) -> dict[str, str] | None:
    """Labels that ``whole`` selects and ``part`` does not."""
    for name, operator, value in part:
        if (name, operator, value) not in whole:
            labels = satisfying([*whole, (name, _NEGATED[operator], value)])
            if labels is not None:
                return labels
    return None


def selects(matchers: t.Sequence[Matcher], labels: t.Mapping[str, str]) -> bool:
    return all(_holds(labels.get(name, ""), operator, value) for name, operator, value in matchers)


def series(labels: t.Mapping[str, str]) -> str:
    """As Prometheus writes it."""
    inner = ", ".join(f"{key}={json.dumps(value)}" for key, value in sorted(labels.items()) if key != "__name__")
    return labels.get("__name__", "") + "{" + inner + "}"


def _candidates(matchers: t.Sequence[Matcher]) -> t.Iterator[str]:
    for _, operator, value in matchers:
        if operator == "=":
            yield value
        elif operator == "=~":
            for choice in re.sub(r"[()^$]", "", value).split("|"):
                plain = re.sub(r"(\.|\[[^\]]*\]|\\[a-z])[*+?]?(\{\d+\})?", "0", choice)
                yield re.sub(r"\\(.)", r"\1", plain)
                yield re.sub(r"\.[*+]", "x", choice)
    yield from itertools.chain(_ANY)


def _holds(value: str, operator: str, wanted: str) -> bool:
    if operator in ("=", "!="):
        return (value == wanted) == (operator == "=")
    try:
        return bool(re.fullmatch(wanted, value)) == (operator == "=~")
    except re.error:
        return False
