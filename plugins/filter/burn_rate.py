# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: burn_rate
short_description: How many times faster than allowed an error budget is used
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - At V(1) the budget lasts exactly for the window of the objective; at V(14.4) a month's budget lasts for two days.
  - Refuses what is no share, such as the null of an SLI that is unknown, since nothing follows from that.
positional: target
options:
  _input:
    description: The share of good events, from 0 to 1.
    type: float
    required: true
  target:
    description: The share that is wanted, more than 0 and less than 1.
    type: float
    required: true
seealso:
  - plugin: sre.runbooks.error_budget
    plugin_type: filter
  - module: sre.runbooks.objective_info
"""

EXAMPLES = r"""
- name: Refuse to deploy while the budget burns
  ansible.builtin.assert:
    that: 0.9998 | sre.runbooks.burn_rate(0.9995) < 1
"""

RETURN = r"""
_value:
  description: The rate.
  type: float
"""

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._objectives import calculation


def burn_rate(sli: t.Any, target: t.Any) -> float:
    """The rate."""
    try:
        return calculation.burn_rate(*calculation.shares(sli, target))
    except RunbookError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filter P(sre.runbooks.burn_rate#filter)."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"burn_rate": burn_rate}
