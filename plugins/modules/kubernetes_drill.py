#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_drill
short_description: Prove that a recovery point of a Kubernetes namespace can be restored, and how long it takes
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Restores the newest recovery point into a namespace of another name, compares every field of every object with what was
    recorded, and writes the proofs C(restored) and C(asserted) with the time.
  - References to the recorded namespace (namespaces, accounts, names such as C(db.shop.svc)) are rewritten, so that what
    runs there speaks with itself. Services get no address outside, ingresses a class and hosts that nobody serves, claims
    new volumes or none, never the recorded ones. Annotations that ask for records in DNS or for certificates are left
    out. CronJobs and Jobs are suspended, and nothing else runs either (see O(run_workloads)).
  - What belongs to no namespace is left out, and RV(left_out) says so.
  - Custom resources are only tried (see O(custom_resources)), since their controllers may act far outside of the cluster.
  - The namespace is removed in every case. What a killed drill left is told by its label C(sre.runbooks/drill) and removed
    by the next one.
  - Nothing is done while a recovery point of the component was asserted within O(drill_interval).
  - Proofs are bookkeeping, so the task never says C(changed).
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.attributes.bookkeeping
  - sre.runbooks.repository
  - sre.runbooks.signing
  - sre.runbooks.run
  - sre.runbooks.encryption
  - sre.runbooks.drill
  - sre.runbooks.kubernetes
requirements:
  - kubernetes >= 31
  - zstandard
  - age or pyrage, for encrypted recovery points
options:
  custom_resources:
    description:
      - V(dry_run) has the API server check them and compares what it would have stored.
      - V(create) creates them. What their controllers then do, such as ordering certificates, is real.
    type: str
    choices: [dry_run, create]
    default: dry_run
  run_workloads:
    description:
      - Whether workloads have as many replicas as recorded, or none. What runs may speak with what is live, since values of
        Secrets, short names such as C(db.shop) and addresses outside of the namespace are not rewritten.
    type: bool
    default: false
  jobs:
    description:
      - Number of objects applied or compared at once.
    type: int
    default: 8
  timeout:
    description:
      - How long to wait for the namespace to be removed, and for webhooks, each.
    type: str
    default: 5m
  helper_image:
    description:
      - Image of the pod that writes files into claims. It needs a shell and C(tar).
    type: str
    default: busybox:1.37
notes:
  - The drill may run in another cluster than the component's, where the definitions of its custom resources must be.
seealso:
  - module: sre.runbooks.kubernetes_backup
  - module: sre.runbooks.kubernetes_restore
"""

EXAMPLES = r"""
- name: Prove once a day that the namespace can be restored
  sre.runbooks.kubernetes_drill:
    repository: "{{ repository }}"
    environment_name: local
    component: shop_objects
    drill_interval: 1d
    rto: 10m
    kubeconfig: "{{ kubeconfig }}"
    encryption_identity_file: "{{ encryption_identity_file }}"
"""

RETURN = r"""
message:
  description: What was found out, in words.
  returned: success
  type: str
skipped_reason:
  description: Why nothing was done; empty when something was.
  returned: success
  type: str
recovery_point:
  description: The point, as M(sre.runbooks.recovery_point_info) returns it.
  returned: success
  type: dict
rto_measured_s:
  description: Seconds that the restore took, from reading the first object to the last comparison; of the last drill when skipped.
  returned: when not in check mode
  type: float
rto_met:
  description: Whether that is within O(rto); null without one.
  returned: when not in check mode
  type: bool
durations:
  description: Seconds per phase (make a namespace, read, rewrite, apply, assert, remove the namespace).
  returned: when a drill took place
  type: dict
hardware:
  description: On what it was measured.
  returned: when not in check mode
  type: dict
server_version:
  description: Version of the API server.
  returned: when a drill took place
  type: str
namespace:
  description: The namespace that was used, and is gone.
  returned: when a drill took place
  type: str
left_out:
  description: Objects that were not restored, and why; at most 100.
  returned: when a drill took place
  type: list
  elements: str
proof:
  description: What was compared; V(tried) counts what the API server only checked.
  returned: when a drill took place
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
from ansible_collections.sre.runbooks.plugins.module_utils._engines.acting import Means, require_jobs
from ansible_collections.sre.runbooks.plugins.module_utils._engines.drilling import DRILL_OPTIONS, drill, wanted
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import connect
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.drill import DrillRequest, KubernetesDrill
from ansible_collections.sre.runbooks.plugins.module_utils._module import (
    ENCRYPTION_OPTIONS,
    KUBERNETES_OPTIONS,
    run_module,
)


def request_from(params: dict[str, t.Any]) -> DrillRequest:
    """The request that the options mean. Raises :class:`InvalidInput`."""
    return DrillRequest(
        **wanted(params),
        jobs=require_jobs(params["jobs"]),
        timeout=_clock.parse_duration(params["timeout"]),
        custom_resources=params["custom_resources"],
        run_workloads=params["run_workloads"],
        helper_image=params["helper_image"],
    )


def work(module: AnsibleModule) -> dict[str, t.Any]:
    request = request_from(module.params)
    with contextlib.closing(connect(module.params)) as cluster:

        def make(means: Means) -> KubernetesDrill:
            return KubernetesDrill(request, means.repository, cluster, means.identities, means.phases, means.progress)

        return drill(module, request.component, make)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **DRILL_OPTIONS,
            **ENCRYPTION_OPTIONS,
            **KUBERNETES_OPTIONS,
            "custom_resources": {"type": "str", "choices": ["dry_run", "create"], "default": "dry_run"},
            "run_workloads": {"type": "bool", "default": False},
            "jobs": {"type": "int", "default": 8},
            "timeout": {"type": "str", "default": "5m"},
            "helper_image": {"type": "str", "default": "busybox:1.37"},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
