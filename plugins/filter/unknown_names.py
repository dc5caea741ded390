# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: unknown_names
short_description: Names that are not known, each with the nearest that is
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Tells variables that nobody reads because they are misspelt.
options:
  _input:
    description: The names.
    type: list
    elements: str
    required: true
  known:
    description: The names that are known.
    type: list
    elements: str
    required: true
  only_near:
    description: Leave out those that are not all but a known one; others may be somebody else's.
    type: bool
    default: false
  typed:
    description:
      - With O(only_near), whether somebody typed the names for this collection just now, so that nearly each of them is meant
        to be a known one. Otherwise another name of few letters, or a plural of one, is somebody else's.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show what is misspelt
  ansible.builtin.debug:
    msg: "{{ ['component_rpo', 'component_rot'] | sre.runbooks.unknown_names(['component_rpo', 'component_rto']) }}"
    # [component_rot (did you mean component_rto?)]
"""

RETURN = r"""
_value:
  description: What is unknown, in the order given, each in words.
  type: list
  elements: str
"""

import difflib
import typing as t

from ansible.errors import AnsibleFilterError

#: Known names of fewer letters are near to everything.
_SHORTEST = 5
#: From so many letters on, two mistakes are still the same name.
_LONG = 12


def unknown_names(names: t.Any, known: t.Any, only_near: bool = False, typed: bool = False) -> list[str]:
    """Those of ``names`` that are not among ``known``, in words."""
    for given in (names, known):
        if isinstance(given, str) or not all(isinstance(name, str) for name in given):
            raise AnsibleFilterError(f"unknown_names takes lists of names, not {given!r}")
    found = []
    for name in names:
        if name not in known:
            near = _nearest(name, list(known), only_near, typed)
            if near or not only_near:
                found.append(f"{name} (did you mean {near}?)" if near else str(name))
    return found


def _nearest(name: str, known: list[str], only_near: bool, typed: bool) -> str:
    if not only_near or not typed:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.9 if only_near else 0.75)
        return near[0] if near else ""
    for other in difflib.get_close_matches(name, known, n=5, cutoff=0.6):
        if len(other) >= _SHORTEST and _mistakes(name, other) <= (2 if len(other) >= _LONG else 1):
            return other
    return ""


def _mistakes(one: str, other: str) -> int:
    """How many letters are missing, too many, wrong, or changed places with the next."""
    rows = [list(range(len(other) + 1))]
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, wanted in enumerate(other, 1):
            least = min(rows[i - 1][j] + 1, row[j - 1] + 1, rows[i - 1][j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                least = min(least, rows[i - 2][j - 2] + 1)
            row.append(least)
        rows.append(row)
    return rows[-1][-1]


class FilterModule:
    """The filter P(sre.runbooks.unknown_names#filter)."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"unknown_names": unknown_names}
