#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: environment_marker
short_description: Have a PostgreSQL server know which environment it belongs to
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Writes the environment's name into the schema C(sre_runbooks) of the maintenance database (O(login_db)), outside
    everything that a restore replaces. M(sre.runbooks.postgresql_restore) refuses a server whose marker names another
    environment, and one without a marker unless it is empty.
  - Marking an empty server needs nothing more. A server with content is only marked with O(confirm), and another
    environment's marker is only replaced when O(replaces) names it as well.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.postgresql
requirements:
  - psycopg >= 3.1
options:
  state:
    description:
      - V(present) makes sure that the server holds the marker.
    type: str
    choices: [present]
    default: present
  environment_name:
    description:
      - The name of the environment that the inventory describes.
      - Falls back to the environment variable E(SRE_RUNBOOKS_ENVIRONMENT).
    type: str
    required: true
  confirm:
    description:
      - Must equal O(environment_name) when the server has content and is not marked as that environment's yet.
    type: str
  replaces:
    description:
      - Must name the environment that the server is marked as, when that is another one.
    type: str
seealso:
  - module: sre.runbooks.postgresql_restore
  - module: sre.runbooks.kubernetes_environment_marker
"""

EXAMPLES = r"""
- name: Adopt a server that already has content
  sre.runbooks.environment_marker:
    state: present
    environment_name: "{{ environment_name }}"
    confirm: "{{ environment_name }}"
    login_host: "{{ login_host }}"
    login_port: "{{ login_port }}"
    login_user: "{{ login_user }}"
    login_password_file: "{{ login_password_file }}"
"""

RETURN = r"""
environment:
  description: The environment that the server is (in check mode, would be) marked as.
  returned: success
  type: str
  sample: staging
previous:
  description: The environment that it was marked as before; null when there was no marker.
  returned: success
  type: str
content:
  description: What the server holds, such as V(database flights); empty for an empty server. At most 100 entries.
  returned: success
  type: list
  elements: str
stamped:
  description: When the marker was written; null when it is not there yet.
  returned: success
  type: str
  sample: "2026-11-21T05:10:00.000000Z"
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule, env_fallback

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_time
from ansible_collections.sre.runbooks.plugins.module_utils._module import POSTGRESQL_OPTIONS, run_module
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import address_from, connect
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.marker import content_found, read_marker, stamp
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.adoption import Adoption


def work(module: AnsibleModule) -> dict[str, t.Any]:
    adoption, address = Adoption.asked(module.params), address_from(module.params)
    name = adoption.environment
    with connect(address) as session:
        marker = read_marker(session)
        content = content_found(session, lambda database: connect(address, database))
        changed = marker is None or marker.name != name
        if changed:
            adoption.require_permission(f"the server at {address.place}", marker.name if marker else None, content)
            if not module.check_mode:
                stamp(session, name)
        after = marker if module.check_mode else read_marker(session)
    return {
        "changed": changed,
        "environment": name,
        "previous": marker.name if marker else None,
        "content": content[:100],
        "stamped": format_time(after.stamped) if after else None,
        "diff": {"before": {"environment": marker.name if marker else None}, "after": {"environment": name}},
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present"], "default": "present"},
            "environment_name": {
                "type": "str",
                "required": True,
                "fallback": (env_fallback, ["SRE_RUNBOOKS_ENVIRONMENT"]),
            },
            "confirm": {"type": "str"},
            "replaces": {"type": "str"},
            **POSTGRESQL_OPTIONS,
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
