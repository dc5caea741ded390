# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: dependency_waves
short_description: Components in waves that can be brought up together
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Each component depends only on components of earlier waves; within a wave the order is alphabetical.
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
  - plugin: sre.runbooks.dependency_order
    plugin_type: filter
  - plugin: sre.runbooks.component_waves
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show what can be rebuilt at the same time
  ansible.builtin.debug:
    msg: "{{ components | sre.runbooks.dependency_waves }}"
    # [['cache', 'flights_db'], ['flights_api']]
  vars:
    components:
      flights_api:
        depends_on: [flights_db, cache]
      flights_db: {}
      cache: {}
"""

RETURN = r"""
_value:
  description: Lists of names.
  type: list
  elements: list
"""

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._runs import dependencies


def dependency_waves(components: t.Mapping[str, t.Any]) -> list[list[str]]:
    """The names of the components in waves."""
    if not isinstance(components, t.Mapping):
        raise AnsibleFilterError(f"dependency_waves needs a mapping of components, not {type(components).__name__}")
    try:
        return dependencies.dependency_waves(dependencies.declared(components))
    except RunbookError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filter P(sre.runbooks.dependency_waves#filter)."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"dependency_waves": dependency_waves}
