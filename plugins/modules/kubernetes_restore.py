#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_restore
short_description: Make the objects of a Kubernetes namespace, or of another part of a cluster, equal to a recovery point
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Reads the recovery point back and proves it whole, compares every recorded object with the live one, applies what
    differs, and compares again. The end is a comparison of every field, and that is the proof.
  - Objects are applied in the order in which they need each other (definitions, namespaces, accounts and roles, volumes,
    configuration, services, custom resources, workloads, admission webhooks last), those of one class side by side, with
    server-side apply as C(sre-runbooks). Where a live object has fields that the recovery point does not have, it is
    replaced, so that these go.
  - What would be overwritten or deleted is stored first, as a recovery point that RV(kept) names and O(recovery_point)
    brings back. It counts neither as the component's newest point nor as a backup.
  - Refuses beforehand, with nothing touched, a cluster or namespace that is marked as another environment's
    (M(sre.runbooks.kubernetes_environment_marker)), one that is not marked and holds something, live objects that would be
    overwritten without O(confirm), kinds that the cluster does not serve, and fields that cannot be changed (see
    O(conflicts)). The API server itself is asked, in dry runs.
  - When the newest point turns out to be damaged the next older one is tried, and RV(choices) says what each choice loses.
  - Killed at any moment and run again, it does what is left. A second run changes nothing while the objects are as recorded.
  - Live objects that the recovery point does not have are reported, and only deleted with O(prune).
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.repository
  - sre.runbooks.signing
  - sre.runbooks.run
  - sre.runbooks.lease
  - sre.runbooks.encryption
  - sre.runbooks.restore
  - sre.runbooks.kubernetes
requirements:
  - kubernetes >= 31
  - zstandard
  - age or pyrage, for encrypted recovery points
options:
  scope:
    description:
      - What the component is, as in M(sre.runbooks.kubernetes_backup). A point of another scope is refused.
    type: str
    choices: [namespace, selection, cluster]
    default: namespace
  namespace:
    description:
      - The component's namespace. Required with O(scope=namespace).
    type: str
  selector:
    description:
      - The component's labels. Required with O(scope=selection).
    type: str
  before:
    description:
      - Only points that show this moment or an earlier one, in ISO 8601.
    type: str
  target_namespace:
    description:
      - Restore into this namespace and leave the recorded one alone. References to the recorded one (namespaces, accounts,
        names such as C(db.shop.svc)) follow; what belongs to no namespace is left out.
    type: str
  conflicts:
    description:
      - What to do with objects that the server does not let be changed to what was recorded, and with kinds that it does
        not serve. V(refuse) reports them field by field and changes nothing.
      - V(skip) leaves them as they are.
      - V(recreate) deletes such objects and makes them anew; not those that hold data (claims, volumes, namespaces,
        definitions, and what claims would be deleted with), and not kinds that are not served.
    type: str
    choices: [refuse, skip, recreate]
    default: refuse
  prune:
    description:
      - Delete live objects of the recorded kinds that the recovery point does not have, but for claims, volumes,
        definitions, and what claims would be deleted with, as with some StatefulSets. Needs O(confirm).
    type: bool
    default: false
  jobs:
    description:
      - Number of objects compared or applied at once.
    type: int
    default: 8
  timeout:
    description:
      - How long to wait for a definition to be served, for an object or namespace that is being deleted to be gone, and for
        webhooks that come back with the restore, each.
    type: str
    default: 2m
  volumes:
    description:
      - Which claims get the content that the recovery point has of them.
      - With V(all), the files of a claim are compared with the recovery point's, and replaced where they differ; what the
        claim held is kept in it. No pod may have the claim then. Live claims that were recorded as snapshots are refused,
        unless they were made from this very snapshot.
      - With V(missing), claims that hold something keep it. With O(only_missing) that is always so.
    type: str
    choices: [all, missing]
    default: all
  check_mode_pods:
    description:
      - In check mode too, make the pods that comparing the files of a claim takes when no pod has it; they are removed again.
        Without, check mode makes nothing, and warns of claims that it did not compare.
    type: bool
    default: false
  helper_image:
    description:
      - Image of the pod that writes files into claims, when no pod has them mounted. It needs a shell and C(tar).
    type: str
    default: busybox:1.37
  release:
    description:
      - Remove what former restores put aside in the volumes of the namespace, instead of restoring.
      - What they overwrote of objects is in recovery points of C(<component>--before), which
        M(sre.runbooks.recovery_point_expire) removes.
    type: bool
    default: false
notes:
  - O(force) changes nothing here, since what is live is compared every time.
  - A finished Job is not brought back, as it would run again.
  - The content of Secrets is in no result, no diff and no message.
seealso:
  - module: sre.runbooks.kubernetes_backup
  - module: sre.runbooks.kubernetes_drill
  - module: sre.runbooks.kubernetes_environment_marker
"""

EXAMPLES = r"""
- name: Bring a namespace back
  sre.runbooks.kubernetes_restore:
    repository: "{{ repository }}"
    environment_name: local
    component: shop_objects
    namespace: shop
    confirm: shop_objects
    kubeconfig: "{{ kubeconfig }}"
    encryption_recipients: "{{ encryption_recipients }}"
    encryption_identity_file: "{{ encryption_identity_file }}"

- name: Look at yesterday's objects beside today's
  sre.runbooks.kubernetes_restore:
    repository: "{{ repository }}"
    environment_name: local
    component: shop_objects
    namespace: shop
    target_namespace: shop-yesterday
    kubeconfig: "{{ kubeconfig }}"
    encryption_identity_file: "{{ encryption_identity_file }}"
"""

RETURN = r"""
message:
  description: What was done, in words; with a restore, what the chosen recovery point does not hold.
  returned: success
  type: str
recovery_point:
  description: The point that the objects show, as M(sre.runbooks.recovery_point_info) returns it.
  returned: success
  type: dict
objects:
  description: How many objects were (in check mode, would be) created, changed, recreated and deleted, how many are as
    recorded (V(unchanged)), were left as they are (V(skipped)), and are live and not recorded (V(extra)).
  returned: success
  type: dict
  sample: {created: 41, changed: 0, recreated: 0, unchanged: 0, skipped: 0, deleted: 0, extra: 0}
changes:
  description: The objects that are created or changed, with the fields that differ; at most 200.
  returned: success
  type: list
  elements: dict
  sample:
    - object: Deployment shop/web
      action: change
      fields_count: 1
      fields:
        - path: spec.template.spec.containers[name=web].image
          desired: registry.example.com/web:41
          live: registry.example.com/web:42
skipped:
  description: The objects that differ and are left as they are, with the reason; at most 200.
  returned: success
  type: list
  elements: dict
deleted:
  description: Live objects that are deleted with O(prune); at most 200.
  returned: success
  type: list
  elements: str
extra:
  description: Live objects that the recovery point does not have, and that stay; at most 200.
  returned: success
  type: list
  elements: str
unserved:
  description: Recorded kinds that the cluster does not serve.
  returned: success
  type: list
  elements: str
mapped:
  description: Recorded kinds that are restored in another version, since theirs is not served any more.
  returned: success
  type: list
  elements: str
dropped_owners:
  description: Owner references that were dropped, and why; at most 200.
  returned: success
  type: list
  elements: str
volumes:
  description: The claims whose content the recovery point has, with what becomes of it (V(new), V(filled), V(unchanged),
    V(left) as it is, V(unseen) in check mode), how their files differ, and the pods that have the claim.
  returned: success
  type: list
  elements: dict
released:
  description: The claims in which something was removed that former restores had put aside; in check mode, where it may be.
  returned: with O(release)
  type: list
  elements: str
kept:
  description: The recovery point with what was overwritten or deleted; null when nothing was.
  returned: success
  type: str
choices:
  description: The points that were considered, with V(outcome) (chosen, damaged, failed), the reason, and V(loses_s).
  returned: success
  type: list
  elements: dict
durations:
  description: Seconds per phase (read, compare, look at volumes, keep what is overwritten, apply, fill volumes, delete, assert).
  returned: when something was restored
  type: dict
rto_measured_s:
  description: Seconds from the start of the work, lease in hand, to the end of the comparison.
  returned: when something was restored
  type: float
proof:
  description: What was compared at the end.
  returned: when something was restored
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
from ansible_collections.sre.runbooks.plugins.module_utils._engines.restoring import (
    RESTORE_OPTIONS,
    restore_or_release,
    wanted,
)
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import connect
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.outcome import describe_difference
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.restore import Restore
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.scope import SCOPES, scope_from
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.target import RestoreRequest
from ansible_collections.sre.runbooks.plugins.module_utils._module import (
    ENCRYPTION_OPTIONS,
    KUBERNETES_OPTIONS,
    run_module,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.age import check_recipients


def request_from(params: dict[str, t.Any]) -> RestoreRequest:
    """The request that the options mean. Raises :class:`InvalidInput`."""
    return RestoreRequest(
        **wanted(params),
        scope=scope_from(params["scope"], params["namespace"], params["selector"]),
        before=_clock.parse_time(params["before"], "before") if params["before"] else None,
        target_namespace=_target(params),
        conflicts=params["conflicts"],
        prune=params["prune"],
        jobs=require_jobs(params["jobs"]),
        timeout=_clock.parse_duration(params["timeout"]),
        recipients=check_recipients(params["encryption_recipients"]),
        helper_image=params["helper_image"],
        volumes=params["volumes"],
        check_mode_pods=params["check_mode_pods"],
    )


def _target(params: dict[str, t.Any]) -> str | None:
    if not params["target_namespace"]:
        return None
    # The same rules of names, and only what has one namespace can go to another one.
    scope_from("namespace", params["namespace"], None)
    return scope_from("namespace", params["target_namespace"], None).namespace


def work(module: AnsibleModule) -> dict[str, t.Any]:
    request = request_from(module.params)
    with contextlib.closing(connect(module.params)) as cluster:

        def make(means: Means) -> Restore:
            return Restore(request, means.repository, cluster, means.identities, means.phases, means.progress)

        return restore_or_release(module, request.component, make, describe_difference)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **RESTORE_OPTIONS,
            **ENCRYPTION_OPTIONS,
            **KUBERNETES_OPTIONS,
            "scope": {"type": "str", "choices": list(SCOPES), "default": "namespace"},
            "namespace": {"type": "str"},
            "selector": {"type": "str"},
            "before": {"type": "str"},
            "target_namespace": {"type": "str"},
            "conflicts": {"type": "str", "choices": ["refuse", "skip", "recreate"], "default": "refuse"},
            "prune": {"type": "bool", "default": False},
            "jobs": {"type": "int", "default": 8},
            "timeout": {"type": "str", "default": "2m"},
            "volumes": {"type": "str", "choices": ["all", "missing"], "default": "all"},
            "check_mode_pods": {"type": "bool", "default": False},
            "helper_image": {"type": "str", "default": "busybox:1.37"},
            "release": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
