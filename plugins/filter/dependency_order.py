# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: dependency_order
short_description: Components in the order in which they are brought up
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - What a component depends on comes before it; among equals the order is alphabetical.
  - Fails naming the circle (C(a → b → a)) or the unknown component.
options:
  _input:
    description:
      - The components, each with O(_input.depends_on).
      - Names mapped to such mappings, or to lists of names.
    type: dict
    required: true
    suboptions:
      depends_on:
        description: Names of the components that must be there first.
        type: list
        elements: str
        default: []
seealso:
  - plugin: sre.runbooks.dependency_waves
    plugin_type: filter
  - plugin: sre.runbooks.component_waves
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show the order of a rebuild
  ansible.builtin.debug:
    msg: "{{ components | sre.runbooks.dependency_order }}"
    # ['cache', 'flights_db', 'flights_api']
  vars:
    components:
      flights_api:
        depends_on: [flights_db, cache]
      flights_db: {}
      cache: {}
"""

RETURN = r"""
_value:
  description: The names in order.
  type: list
  elements: str
"""

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._runs import dependencies


def dependency_order(components: t.Mapping[str, t.Any]) -> list[str]:
    """The names of the components, dependencies first."""
    if not isinstance(components, t.Mapping):
        raise AnsibleFilterError(f"dependency_order needs a mapping of components, not {type(components).__name__}")
    try:
        return dependencies.dependency_order(dependencies.declared(components))
    except RunbookError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filter P(sre.runbooks.dependency_order#filter)."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"dependency_order": dependency_order}
