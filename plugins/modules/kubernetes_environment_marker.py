#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_environment_marker
short_description: Have a Kubernetes namespace or cluster know which environment it belongs to
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Writes the environment's name into the ConfigMap C(sre-runbooks-environment) of a namespace, or of C(kube-system) for
    what belongs to no namespace. Backups skip it and restores leave it alone. M(sre.runbooks.kubernetes_restore) refuses a
    marker that names another environment, and a namespace with content and no marker.
  - Marking an empty namespace needs nothing more. One with content is only marked with O(confirm), and another
    environment's marker is only replaced when O(replaces) names it as well.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.kubernetes
requirements:
  - kubernetes >= 31
options:
  state:
    description:
      - V(present) makes sure that the marker is there.
    type: str
    choices: [present]
    default: present
  environment_name:
    description:
      - The name of the environment that the inventory describes.
      - Falls back to the environment variable E(SRE_RUNBOOKS_ENVIRONMENT).
    type: str
    required: true
  namespace:
    description:
      - The namespace to mark. Without one, the cluster.
    type: str
  confirm:
    description:
      - Must equal O(environment_name) when there is content and no marker of that environment yet.
    type: str
  replaces:
    description:
      - Must name the environment of the marker, when that is another one.
    type: str
seealso:
  - module: sre.runbooks.kubernetes_restore
  - module: sre.runbooks.environment_marker
"""

EXAMPLES = r"""
- name: Adopt a namespace that already has content
  sre.runbooks.kubernetes_environment_marker:
    environment_name: "{{ environment_name }}"
    namespace: shop
    confirm: "{{ environment_name }}"
    kubeconfig: "{{ kubeconfig }}"
"""

RETURN = r"""
environment:
  description: The environment that the marker names (in check mode, would name).
  returned: success
  type: str
  sample: staging
previous:
  description: The environment that it named before; null when there was no marker.
  returned: success
  type: str
content:
  description: What there is, such as V(Deployment web); empty for an empty namespace. At most 100 entries.
  returned: success
  type: list
  elements: str
stamped:
  description: When the marker was written; null when it is not there yet.
  returned: success
  type: str
  sample: "2026-11-21T05:10:00.000000Z"
"""

import contextlib
import typing as t

from ansible.module_utils.basic import AnsibleModule, env_fallback

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_time
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import connect
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.marker import (
    marker_namespace,
    read_marker,
    require_namespace,
    stamp,
)
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.strangers import content_found
from ansible_collections.sre.runbooks.plugins.module_utils._module import KUBERNETES_OPTIONS, run_module
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.adoption import Adoption


def work(module: AnsibleModule) -> dict[str, t.Any]:
    adoption, wanted = Adoption.asked(module.params), module.params["namespace"] or None
    name, namespace = adoption.environment, marker_namespace(wanted)
    with contextlib.closing(connect(module.params)) as cluster:
        require_namespace(cluster, namespace)
        marker = read_marker(cluster, namespace)
        content = content_found(cluster, wanted)
        previous = (marker.name or None) if marker else None
        changed = previous != name
        if changed:
            adoption.require_permission(f"the namespace {namespace} of {cluster.place}", previous, content)
            if not module.check_mode:
                stamp(cluster, namespace, name)
        after = marker if module.check_mode else read_marker(cluster, namespace)
    return {
        "changed": changed,
        "environment": name,
        "previous": previous,
        "content": content,
        "stamped": format_time(after.stamped) if after and after.stamped else None,
        "diff": {"before": {"environment": previous}, "after": {"environment": name}},
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
            "namespace": {"type": "str"},
            "confirm": {"type": "str"},
            "replaces": {"type": "str"},
            **KUBERNETES_OPTIONS,
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
