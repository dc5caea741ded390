# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: probe_selection
short_description: The probes of a component that a health check asks
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Takes from a component's probes those of a checklist, and leaves out those that are disabled. A probe that is disabled
    without a reason is returned as a problem, for a task that fails with it.
options:
  _input:
    description: The probes, as for M(sre.runbooks.probe).
    type: list
    elements: dict
    required: true
  names:
    description: The name of the component and those of its groups.
    type: list
    elements: str
    required: true
  checklist:
    description: What P(sre.runbooks.health_checklist#filter) returned.
    type: dict
    required: true
  disabled:
    description: Names of probes that are left out, each with the reason.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show what is asked
  ansible.builtin.debug:
    msg: "{{ probes | sre.runbooks.probe_selection(['api', 'service'], {} | sre.runbooks.health_checklist(''), {'page': 'being rebuilt'}) }}"
    # {probes: [{name: port, kind: tcp, port: 80}], count: 1, disabled: {page: being rebuilt}, problem: ''}
  vars:
    probes:
      - {name: port, kind: tcp, port: 80}
      - {name: page, kind: http, url: "http://127.0.0.1/"}
"""

RETURN = r"""
_value:
  description: What to ask and what not.
  type: dict
  contains:
    probes: {description: The probes to ask., type: list}
    count: {description: How many they are., type: int}
    disabled: {description: "Those that are left out of them by name, with the reason.", type: dict}
    problem: {description: What is wrong; empty when nothing is., type: str}
"""

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._probes.selection import select


def probe_selection(
    probes: t.Sequence[t.Mapping[str, t.Any]],
    names: t.Sequence[str],
    checklist: t.Mapping[str, t.Any],
    disabled: t.Mapping[str, t.Any] | None = None,
) -> dict[str, t.Any]:
    """The probes to ask, the disabled ones, or in ``problem`` what is wrong."""
    try:
        asked, left_out = select(probes, names, checklist, disabled or {})
    except RunbookError as error:
        return {"probes": [], "count": 0, "disabled": {}, "problem": str(error)}
    return {"probes": asked, "count": len(asked), "disabled": left_out, "problem": ""}


class FilterModule:
    """The filter P(sre.runbooks.probe_selection#filter)."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"probe_selection": probe_selection}
