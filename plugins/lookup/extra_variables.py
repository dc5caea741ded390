# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: extra_variables
short_description: Names of the variables that were given with -e
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Tells what somebody typed for this run, a form or a file that C(-e) names included, from what an inventory has for all of
    them. Values are not returned.
options: {}
"""

EXAMPLES = r"""
- name: Show what was given for this run only
  ansible.builtin.debug:
    msg: "{{ query('sre.runbooks.extra_variables') }}"
"""

RETURN = r"""
_raw:
  description: The names, sorted.
  type: list
  elements: str
"""

import typing as t

from ansible.plugins.lookup import LookupBase
from ansible.utils.vars import load_extra_vars


class LookupModule(LookupBase):  # type: ignore[misc]
    """The lookup P(sre.runbooks.extra_variables#lookup)."""

    def run(self, terms: list[str], variables: dict[str, t.Any] | None = None, **options: t.Any) -> list[str]:
        """The names; without terms."""
        return sorted(str(name) for name in load_extra_vars(self._loader))
