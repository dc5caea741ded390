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
    so that this lookup fails itself.
options:
  _terms:
    description: The pattern of the runbook's hosts.
    required: true
"""

EXAMPLES = r"""
- name: Name the hosts of a first play
  ansible.builtin.debug:
    msg: "{{ lookup('sre.runbooks.hosts_of_run', 'all') }}"
"""

RETURN = r"""
_raw:
  description: The pattern, or C(localhost).
  type: list
  elements: str
"""

import re
import typing as t

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.plugins.lookup.inventory_hostnames import LookupModule as InventoryHostnames

from ansible_collections.sre.runbooks.plugins.module_utils._runs.commands import completed
from ansible_collections.sre.runbooks.plugins.plugin_utils.commands import current_invocation

_SEPARATORS = re.compile(r"[,:]")


class LookupModule(LookupBase):  # type: ignore[misc]
    """The lookup P(sre.runbooks.hosts_of_run#lookup)."""

    def run(self, terms: list[str], variables: dict[str, t.Any] | None = None, **options: t.Any) -> list[str]:
        """The pattern, or ``localhost``, of the one in ``terms``.

        :raises AnsibleLookupError: the limit leaves none of its hosts.
        """
        (pattern,), known = terms, variables or {}
        there = self._matching(pattern, known)
        limit = str(known.get("ansible_limit") or "")
        parts = [part.strip() for part in _SEPARATORS.split(limit) if part.strip()]
        # Only Ansible itself reads the names in a file.
        if not parts or any(part.startswith("@") for part in parts):
            return [pattern if there else "localhost"]
        if there & self._matching(limit, known):
            return [pattern]
        found = f"nobody of them within --limit {limit}"
        way_on = "see who is there: ansible-inventory --graph"
        if not there:
            found, way_on = f"no such host, with --limit {limit}", "give the path of the inventory with -i"
        told = f"nothing would be done, as no component is left; expected: hosts of {pattern!r}; found: {found}; next: {way_on}"
        raise AnsibleLookupError(str(completed(told, current_invocation())))

    def _matching(self, pattern: str, variables: dict[str, t.Any]) -> set[str]:
        return set(InventoryHostnames(loader=self._loader).run([pattern], variables={"groups": {}, **variables}))
