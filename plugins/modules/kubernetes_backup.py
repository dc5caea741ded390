#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_backup
short_description: Make sure that a fresh recovery point of a namespace, or of another part of a cluster, exists
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Takes every object of a namespace, of a selection by labels, or of the cluster's own kinds, custom resources included,
    unless the newest recovery point will still be within the RPO when the next scheduled run ends.
  - Each kind is read as it was at one moment, in pages. Different kinds are not of one moment; the manifest tells the span.
  - Fields that the server sets itself are left out. What controllers make (the pods of a Deployment, endpoints, events) is
    recorded beside, and no restore brings it back.
  - Secrets are only taken into an encrypted recovery point, for O(encryption_recipients).
  - An identity that may not list a kind gets no recovery point, but the rules that it lacks.
  - The manifest is written last. A backup that fails or is killed leaves no recovery point; what it left is removed
    by the next one.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.repository
  - sre.runbooks.signing
  - sre.runbooks.run
  - sre.runbooks.lease
  - sre.runbooks.encryption
  - sre.runbooks.backup
  - sre.runbooks.kubernetes
requirements:
  - kubernetes >= 31
  - zstandard
  - age or pyrage, when O(encryption_recipients) is set
options:
  scope:
    description:
      - V(namespace) is O(namespace) and everything in it.
      - V(selection) is what carries the labels of O(selector), in O(namespace) or everywhere.
      - V(cluster) is what belongs to no namespace, such as custom resource definitions, cluster roles and volumes.
    type: str
    choices: [namespace, selection, cluster]
    default: namespace
  namespace:
    description:
      - The namespace. Required with O(scope=namespace).
    type: str
  selector:
    description:
      - Labels as kubectl takes them, such as V(app=shop). Required with O(scope=selection).
    type: str
  excluded_kinds:
    description:
      - Kinds to leave out, by plural and group, such as V(events) or V(widgets.example.com); V(*.example.com) for a group.
    type: list
    elements: str
    default: []
  secrets:
    description:
      - V(require_encryption) refuses to take Secrets without O(encryption_recipients); V(exclude) leaves them out.
    type: str
    choices: [require_encryption, exclude]
    default: require_encryption
  volumes:
    description:
      - How what the claims of O(namespace) hold is taken, with O(scope=namespace).
      - V(snapshot) lets the cluster keep a VolumeSnapshot, which the recovery point names; V(files) reads the files through
        a pod that has the claim, or through one made for it; V(auto) is the first where the cluster can, else the second;
        V(none) leaves the data to something else.
    type: str
    choices: [auto, snapshot, files, none]
    default: auto
  volumes_by_claim:
    description:
      - "Another choice for single claims, such as C({uploads: files, cache: none})."
    type: dict
    default: {}
  helper_image:
    description:
      - Image of the pod in which files are read where no pod has the claim; it needs C(tar) and C(sha256sum).
    type: str
    default: busybox:1.37
  jobs:
    description:
      - Number of kinds that are read at once.
    type: int
    default: 4
seealso:
  - module: sre.runbooks.recovery_point_verify
  - module: sre.runbooks.postgresql_backup
"""

EXAMPLES = r"""
- name: Make sure that a fresh recovery point of the shop's namespace exists
  sre.runbooks.kubernetes_backup:
    repository: "{{ repository }}"
    environment_name: local
    component: shop_objects
    namespace: shop
    rpo: 1h
    kubeconfig: "{{ kubeconfig }}"
    encryption_recipients: "{{ encryption_recipients }}"

- name: Take what belongs to no namespace, without the nodes' own records
  sre.runbooks.kubernetes_backup:
    repository: "{{ repository }}"
    environment_name: local
    component: cluster_objects
    scope: cluster
    excluded_kinds: [nodes, csinodes.storage.k8s.io]
    kubeconfig: "{{ kubeconfig }}"
"""

RETURN = r"""
recovery_point:
  description: The newest recovery point, just taken or fresh enough; null in check mode when there is none yet.
  returned: success
  type: dict
  sample:
    point_id: 20261121T051000Z-a1b2
    component: shop_objects
    consistency_time: "2026-11-21T05:10:00.000000Z"
    duration_s: 1.9
    level: taken
plan:
  description: What there is, and what of it is taken.
  returned: success
  type: dict
  contains:
    scope:
      description: As given.
      type: str
    namespace:
      description: As given; null without one.
      type: str
    selector:
      description: As given; null without one.
      type: str
    server_version:
      description: Version of the API server.
      type: str
    kinds:
      description: Each kind of which there are objects, and how many at least.
      type: dict
    skipped:
      description: Each kind that is served and not taken, and why.
      type: dict
    size:
      description: Always 0, as it is not known before the objects are read.
      type: int
    estimated_duration_s:
      description: Seconds that the last recovery point took; null when there is none.
      type: float
message:
  description: Why a recovery point was taken (or would be), or why none is needed.
  returned: success
  type: str
removed_incomplete:
  description: Ids of the remains of killed backups that were removed.
  returned: when a recovery point was taken
  type: list
  elements: str
diff:
  description: The newest recovery point before and after.
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

from ansible_collections.sre.runbooks.plugins.module_utils._engines.kubernetes import OBJECT_OPTIONS, engine_from
from ansible_collections.sre.runbooks.plugins.module_utils._engines.taking import BACKUP_OPTIONS, keep_fresh
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import connect
from ansible_collections.sre.runbooks.plugins.module_utils._module import KUBERNETES_OPTIONS, run_module


def work(module: AnsibleModule) -> dict[str, t.Any]:
    with contextlib.closing(connect(module.params)) as cluster:
        return keep_fresh(module, engine_from(module.params, cluster))


def main() -> None:
    module = AnsibleModule(
        argument_spec={**BACKUP_OPTIONS, **KUBERNETES_OPTIONS, **OBJECT_OPTIONS},
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
