# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: whole_commands
short_description: A message whose commands to run next can be pasted
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Completes C(ansible-playbook sre.runbooks.NAME …) and C(the same command) in a message with the inventory, the limit, the
    vaults and the variables of the command that is running, as modules of this collection do. Values that may be secret are
    left out.
options:
  _input:
    description: The message.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Say what to do
  ansible.builtin.debug:
    msg: "{{ 'next: ansible-playbook sre.runbooks.check_health' | sre.runbooks.whole_commands }}"
    # next: ansible-playbook -i inventories/production sre.runbooks.check_health
"""

RETURN = r"""
_value:
  description: The message with whole commands; as it was where nobody typed one, as in AWX.
  type: str
"""

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._runs.commands import completed
from ansible_collections.sre.runbooks.plugins.plugin_utils.commands import current_invocation


def whole_commands(text: t.Any) -> str:
    """The text, completed."""
    return str(completed(str(text), current_invocation()))


class FilterModule:
    """The filter P(sre.runbooks.whole_commands#filter)."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"whole_commands": whole_commands}
