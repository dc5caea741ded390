# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: error_budget
short_description: How much of an error budget is used and left
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Compares the share of good events with the share that is wanted.
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
  - plugin: sre.runbooks.burn_rate
    plugin_type: filter
  - module: sre.runbooks.objective_info
"""

EXAMPLES = r"""
- name: Show how much is left
  ansible.builtin.debug:
    msg: "{{ (0.9998 | sre.runbooks.error_budget(0.9995)).left }}"
    # 0.6
"""

RETURN = r"""
_value:
  description:
    - RV(_value.total) is the share of bad events that the target allows. RV(_value.used) and RV(_value.left) are shares of
      that budget; what is left is negative when it is overspent.
  type: dict
  contains:
    total: {description: The share of bad events that is allowed., type: float}
    used: {description: The share of the budget that is used., type: float}
    left: {description: The share of the budget that is left., type: float}
"""

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._objectives import calculation


def error_budget(sli: t.Any, target: t.Any) -> dict[str, float]:
    """Total, used and left."""
    try:
        return calculation.error_budget(*calculation.shares(sli, target))
    except RunbookError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filter P(sre.runbooks.error_budget#filter)."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"error_budget": error_budget}
