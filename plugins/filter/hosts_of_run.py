# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: hosts_of_run
short_description: The hosts of a runbook's first play, and a failure where --limit leaves none
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Ansible skips plays without hosts, and ends as if everything were well. A runbook that would do nothing has to say so and fail.
  - Where the pattern matches nobody, the first play is for C(localhost), whose tasks say so; below a C(--limit) there is no such host,
    so that this filter fails itself.
options:
  _input:
    description: The pattern of the runbook's hosts.
    type: str
    required: true
  there:
    description: The hosts of the inventory that it matches.
    type: list
    elements: str
    required: true
  limit:
    description: What was given as C(--limit); empty without.
    type: str
    default: ''
  within:
    description: The hosts of the inventory that O(limit) matches.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Name the hosts of a first play
  ansible.builtin.debug:
    msg: "{{ 'components' | sre.runbooks.hosts_of_run(['orders_db', 'web1'], 'web1', ['web1']) }}"
    # components
"""

RETURN = r"""
_value:
  description: The pattern, or C(localhost).
  type: str
"""

import re
import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.sre.runbooks.plugins.module_utils._runs.commands import completed
from ansible_collections.sre.runbooks.plugins.plugin_utils.commands import current_invocation

_SEPARATORS = re.compile(r"[,:]")


def hosts_of_run(pattern: t.Any, there: t.Sequence[str], limit: t.Any = "", within: t.Sequence[str] = ()) -> str:
    """The pattern; ``localhost`` where it matches nobody.

    :raises AnsibleFilterError: the limit leaves none of them.
    """
    parts = [part.strip() for part in _SEPARATORS.split(str(limit or "")) if part.strip()]
    # Only Ansible itself reads the names in a file.
    if not parts or any(part.startswith("@") for part in parts):
        return str(pattern) if there else "localhost"
    if set(there) & set(within):
        return str(pattern)
    found = f"nobody of them within --limit {limit}"
    if there:
        way_on = "see who is there: ansible-inventory --graph"
    else:
        found = f"no such host in the inventory, with --limit {limit}"
        way_on = "give the path of the inventory with -i"
    told = f"nothing would be done, as no component is left; expected: hosts of {str(pattern)!r}; found: {found}; next: {way_on}"
    raise AnsibleFilterError(str(completed(told, current_invocation())))


class FilterModule:
    """Ansible asks this class for the filters of the file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"hosts_of_run": hosts_of_run}
