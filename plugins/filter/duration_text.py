# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: duration_text
short_description: A duration as people read it
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Writes V(12 s), V(3 m 05 s), V(4 h), V(1 d 04 h).
options:
  _input:
    description: A number of seconds, or a duration such as V(90m).
    type: raw
    required: true
seealso:
  - plugin: sre.runbooks.duration_seconds
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show how long something took
  ansible.builtin.debug:
    msg: "{{ 185 | sre.runbooks.duration_text }}"
    # 3 m 05 s
"""

RETURN = r"""
_value:
  description: The duration.
  type: str
"""

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._runs import words


def duration_text(duration: t.Any) -> str:
    """The duration for people."""
    try:
        return words.duration_text(parse_duration(duration))
    except RunbookError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filter P(sre.runbooks.duration_text#filter)."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"duration_text": duration_text}
