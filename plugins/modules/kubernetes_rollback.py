#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_rollback
short_description: Roll configuration in Kubernetes back to a recovery point, and its workloads with it
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Makes the named objects, such as a ConfigMap, a Secret or a Deployment, equal to those of a recovery point, starts the
    pods of the Deployments, StatefulSets and DaemonSets anew that read them, and follows these until they are available.
  - When they do not become available within O(timeout), or their controller gives up, everything is put back as it was, the
    pods are started anew once more, and the task fails saying why.
  - What is overwritten is stored first, as a recovery point that RV(kept) names.
  - Killed at any moment and run again, the rollback (or its undoing) is finished. A second run changes nothing.
  - Refuses a namespace that is not marked as this environment's, live objects that would change without O(confirm), and
    fields that cannot be changed, such as those of immutable ConfigMaps.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.repository
  - sre.runbooks.signing
  - sre.runbooks.run
  - sre.runbooks.lease
  - sre.runbooks.encryption
  - sre.runbooks.kubernetes
requirements:
  - kubernetes >= 31
  - zstandard
  - age or pyrage, for encrypted recovery points
options:
  component:
    description:
      - Name of the component whose recovery points are used.
    type: str
    required: true
  namespace:
    description:
      - The namespace of the objects.
    type: str
    required: true
  objects:
    description:
      - Kind and name of each object, such as V(ConfigMap/settings).
    type: list
    elements: str
    required: true
  recovery_point:
    description:
      - The identifier of the recovery point, or V(newest).
    type: str
    default: newest
  before:
    description:
      - Only points that show this moment or an earlier one, in ISO 8601. What was last backed up before a change is what it
        was before the change.
    type: str
  confirm:
    description:
      - Must equal O(component) when live objects would be changed.
    type: str
  timeout:
    description:
      - How long the workloads may take to become available.
    type: str
    default: 5m
seealso:
  - module: sre.runbooks.kubernetes_restore
"""

EXAMPLES = r"""
- name: Take back the settings that were changed after three o'clock
  sre.runbooks.kubernetes_rollback:
    repository: "{{ repository }}"
    environment_name: local
    component: shop_objects
    namespace: shop
    objects:
      - ConfigMap/settings
      - Secret/password
    before: "{{ before }}"
    confirm: shop_objects
    kubeconfig: "{{ kubeconfig }}"
    encryption_recipients: "{{ encryption_recipients }}"
    encryption_identity_file: "{{ encryption_identity_file }}"
"""

RETURN = r"""
message:
  description: What was done, in words.
  returned: success
  type: str
recovery_point:
  description: The point that the objects show, as M(sre.runbooks.recovery_point_info) returns it.
  returned: success
  type: dict
changes:
  description: The objects that were (in check mode, would be) changed, with the fields that differ. Secret values are hidden.
  returned: success
  type: list
  elements: dict
workloads:
  description: The workloads that were (in check mode, would be) rolled out.
  returned: success
  type: list
  elements: str
  sample: [Deployment web]
kept:
  description: The recovery point with what was overwritten; null when nothing was.
  returned: success
  type: str
durations:
  description: Seconds per phase (read, keep what is overwritten, apply, restart, follow).
  returned: success
  type: dict
error:
  description: What went wrong, in parts.
  returned: failure
  type: dict
"""

import contextlib
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._engines.acting import Means
from ansible_collections.sre.runbooks.plugins.module_utils._engines.restoring import restore
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import connect
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.outcome import describe_difference
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.rollback import (
    Rollback,
    RollbackRequest,
    parse_objects,
)
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.scope import scope_from
from ansible_collections.sre.runbooks.plugins.module_utils._module import (
    ENCRYPTION_OPTIONS,
    KUBERNETES_OPTIONS,
    LEASE_OPTIONS,
    REPOSITORY_OPTIONS,
    RUN_OPTIONS,
    SIGNING_OPTIONS,
    run_module,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.age import check_recipients
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import check_component


def request_from(params: dict[str, t.Any]) -> RollbackRequest:
    """The request that the options mean. Raises :class:`InvalidInput`."""
    return RollbackRequest(
        component=check_component(params["component"]),
        namespace=str(scope_from("namespace", params["namespace"], None).namespace),
        objects=parse_objects(params["objects"]),
        recovery_point=params["recovery_point"],
        before=_clock.parse_time(params["before"], "before") if params["before"] else None,
        confirm=params["confirm"],
        timeout=_clock.parse_duration(params["timeout"]),
        recipients=check_recipients(params["encryption_recipients"]),
        run_id=params["run_id"],
        lease_ttl=_clock.parse_duration(params["lease_ttl"]),
        lease_wait=_clock.parse_duration(params["lease_wait"]),
    )


def work(module: AnsibleModule) -> dict[str, t.Any]:
    request = request_from(module.params)
    with contextlib.closing(connect(module.params)) as cluster:

        def make(means: Means) -> Rollback:
            return Rollback(request, means.repository, cluster, means.identities, means.phases, means.progress)

        return restore(module, request.component, make, describe_difference)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **REPOSITORY_OPTIONS,
            **SIGNING_OPTIONS,
            **RUN_OPTIONS,
            **LEASE_OPTIONS,
            **ENCRYPTION_OPTIONS,
            **KUBERNETES_OPTIONS,
            "component": {"type": "str", "required": True},
            "namespace": {"type": "str", "required": True},
            "objects": {"type": "list", "elements": "str", "required": True},
            "recovery_point": {"type": "str", "default": "newest"},
            "before": {"type": "str"},
            "confirm": {"type": "str"},
            "timeout": {"type": "str", "default": "5m"},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
