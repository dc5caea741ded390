# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: health_checklist
short_description: One of the checklists, checked and with every key
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Looks a checklist up by its name. What is wrong with it is returned as a sentence, for a task that fails with it.
options:
  _input:
    description: The checklists that there are anyway, by name.
    type: dict
    required: true
  name:
    description: Which of them. Empty for one that selects every probe.
    type: str
    required: true
  components:
    description: The names of the hosts and groups that there are, one of which each of its components has to be. Empty for any.
    type: list
    elements: str
    default: []
  own:
    description: Further checklists, or others of the same names, as in C(health_checklists) of the role health.
    type: raw
    default: {}
"""

EXAMPLES = r"""
- name: Show what the morning checklist leaves to people
  ansible.builtin.debug:
    msg: "{{ ({'morning': {'kinds': ['http'], 'review': ['Alerts of the night']}} | sre.runbooks.health_checklist('morning')).review }}"
    # [Alerts of the night]
"""

RETURN = r"""
_value:
  description: The checklist, or what is wrong.
  type: dict
  contains:
    name: {description: Its name; empty for the one that selects everything., type: str}
    description: {description: What it is for., type: str}
    kinds: {description: Patterns of the kinds of probes that it asks; empty for all., type: list}
    names: {description: Patterns of the names of probes that it asks; empty for all., type: list}
    components: {description: Patterns of components and groups that it is about; empty for all., type: list}
    probes: {description: Probes of its own., type: list}
    objectives: {description: Whether it verifies the objectives of services., type: bool}
    review: {description: What people look at beside the probes., type: list}
    problem: {description: What is wrong with it; empty when nothing is., type: str}
"""

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._probes.selection import (
    checked_checklist,
    checked_checklists,
)


def health_checklist(
    checklists: t.Mapping[str, t.Any], name: str, components: t.Collection[str] = (), own: t.Any = None
) -> dict[str, t.Any]:
    """The checklist of that name, or in ``problem`` why there is none."""
    try:
        every = {**checklists, **checked_checklists({} if own is None else own)}
        return {**checked_checklist(every, str(name or ""), components, _kinds(every, name)), "problem": ""}
    except RunbookError as error:
        return {**checked_checklist({}, ""), "problem": str(error)}


def _kinds(checklists: t.Mapping[str, t.Any], name: str) -> t.Collection[str]:
    """The kinds of probes, where the checklist names any: each task would load them anew, and there are many."""
    checklist = checklists.get(str(name or ""))
    if not isinstance(checklist, dict) or not checklist.get("kinds"):
        return ()
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import KINDS

    return sorted(KINDS)


class FilterModule:
    """The filter P(sre.runbooks.health_checklist#filter)."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"health_checklist": health_checklist}
