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


def unknown_names(names: t.Any, known: t.Any, only_near: bool = False) -> list[str]:
    """Those of ``names`` that are not among ``known``, in words."""
    for given in (names, known):
        if isinstance(given, str) or not all(isinstance(name, str) for name in given):
            raise AnsibleFilterError(f"unknown_names takes lists of names, not {given!r}")
    found = []
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.9 if only_near else 0.75)
            if near or not only_near:
                found.append(f"{name} (did you mean {near[0]}?)" if near else str(name))
    return found


class FilterModule:
    """The filter P(sre.runbooks.unknown_names#filter)."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"unknown_names": unknown_names}
