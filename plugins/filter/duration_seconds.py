# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: duration_seconds
short_description: Seconds in a duration such as 1h30m
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Understands V(90), V(15m), V(1h30m), V(2d), V(1w); fails for anything else.
options:
  _input:
    description: A number of seconds, or a duration with units C(w), C(d), C(h), C(m), C(s).
    type: raw
    required: true
seealso:
  - plugin: sre.runbooks.duration_text
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show half of an RPO in seconds
  ansible.builtin.debug:
    msg: "{{ ('1h30m' | sre.runbooks.duration_seconds) / 2 }}"
    # 2700.0
"""

RETURN = r"""
_value:
  description: Seconds.
  type: float
"""

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError


def duration_seconds(duration: t.Any) -> float:
    """Seconds in a duration."""
    try:
        return parse_duration(duration)
    except RunbookError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filter P(sre.runbooks.duration_seconds#filter)."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"duration_seconds": duration_seconds}
