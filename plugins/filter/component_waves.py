# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: component_waves
short_description: Hosts in waves by their component_depends_on
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - As P(sre.runbooks.dependency_waves#filter), from C(hostvars), for the C(serial) of a play.
  - Fails naming the circle (C(a → b → a)) or a component that is not among the hosts.
positional: _input, hosts
options:
  _input:
    description: The variables of all hosts, C(hostvars).
    type: dict
    required: true
  hosts:
    description: Names of the hosts that are components.
    type: list
    elements: str
    required: true
seealso:
  - plugin: sre.runbooks.dependency_order
    plugin_type: filter
  - plugin: sre.runbooks.dependency_waves
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show the waves of a rebuild
  ansible.builtin.debug:
    msg: "{{ hostvars | sre.runbooks.component_waves(groups['components'] | default([])) }}"
"""

RETURN = r"""
_value:
  description: Lists of host names.
  type: list
  elements: list
"""

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._runs import dependencies


def component_waves(hostvars: t.Mapping[str, t.Any], hosts: t.Iterable[str]) -> list[list[str]]:
    """The hosts in waves."""
    depends_on = {}
    for host in hosts:
        if host not in hostvars:
            raise AnsibleFilterError(f"component_waves: {host} is not a host of the inventory")
        # Only this one variable is asked for: hostvars are templated as they are read.
        depends_on[str(host)] = hostvars[host].get("component_depends_on") or []
    try:
        return dependencies.dependency_waves(dependencies.declared(depends_on))
    except RunbookError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filter P(sre.runbooks.component_waves#filter)."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"component_waves": component_waves}
