#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_consumers
short_description: Have the workloads that use a component stopped, or as they were before
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Stops workloads in Kubernetes before the component that they use is restored, and makes them what they were afterwards.
  - What a workload was is written into annotations of its own object by the request that stops it, so that a later call
    finishes what a killed one began. A second stop remembers nothing anew, unless somebody started the workload meanwhile.
  - A workload that several components hold comes back when the last of them lets it go.
  - Deployments, StatefulSets and ReplicaSets are scaled to 0. CronJobs are suspended, and Jobs of theirs that run are waited
    for. DaemonSets are given a node selector that no node satisfies.
  - A HorizontalPodAutoscaler leaves alone what is scaled to 0; one that scales from 0, and a ScaledObject of KEDA, is paused.
  - Everything is looked up before anything is touched.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.kubernetes
requirements:
  - kubernetes >= 31
options:
  state:
    description:
      - V(stopped) makes sure that no pod of the consumers is left.
      - V(started) makes sure that those which were stopped for O(component) are what they were, and that all are available.
    type: str
    choices: [started, stopped]
    required: true
  component:
    description:
      - The component that they use.
    type: str
    required: true
  environment_name:
    description:
      - The environment that the inventory describes. A namespace whose ConfigMap C(sre-runbooks-environment) names
        another one is refused, and with O(state=stopped) one that has no such ConfigMap.
      - Falls back to the environment variable E(SRE_RUNBOOKS_ENVIRONMENT).
    type: str
    required: true
  consumers:
    description:
      - The workloads. A namespace that does not exist any more runs nothing, so its workloads count as stopped.
    type: list
    elements: dict
    required: true
    suboptions:
      kind:
        description:
          - Kind of the workload.
        type: str
        choices: [Deployment, StatefulSet, CronJob, DaemonSet, ReplicaSet]
        required: true
      name:
        description:
          - Its name. Either this or O(consumers[].selector).
        type: str
      selector:
        description:
          - A label selector, for all workloads of the kind that it selects.
        type: str
      namespace:
        description:
          - Its namespace. By default O(namespace).
        type: str
      required:
        description:
          - Whether it is an error that there is no such workload in an existing namespace.
        type: bool
        default: true
  namespace:
    description:
      - Namespace of consumers that name none.
    type: str
  timeout:
    description:
      - How long all of them may take, such as V(5m).
    type: str
    default: 5m
  progress_path:
    description:
      - File for the progress of the work, for the action plugin of the same name.
    type: path
seealso:
  - module: sre.runbooks.postgresql_restore
"""

EXAMPLES = r"""
- name: Stop what uses the database
  sre.runbooks.kubernetes_consumers:
    state: stopped
    component: orders_db
    environment_name: local
    kubeconfig: "{{ kubeconfig }}"
    namespace: shop
    consumers:
      - kind: Deployment
        name: orders-api
      - kind: CronJob
        selector: app=orders

- name: Bring it back
  sre.runbooks.kubernetes_consumers:
    state: started
    component: orders_db
    environment_name: local
    kubeconfig: "{{ kubeconfig }}"
    namespace: shop
    consumers:
      - kind: Deployment
        name: orders-api
      - kind: CronJob
        selector: app=orders
"""

RETURN = r"""
message:
  description: What was done, in a sentence.
  returned: success
  type: str
  sample: "stopped Deployment shop/orders-api (3)"
consumers:
  description: Each workload that is there.
  returned: success
  type: list
  elements: dict
  contains:
    kind: {description: Its kind., type: str}
    namespace: {description: Its namespace., type: str}
    name: {description: Its name., type: str}
    outcome: {description: "V(stopped), V(started), V(held) by another component, or V(unchanged).", type: str}
    before: {description: "What it was, a count of replicas or V(stopped).", type: str}
    after: {description: "What it is, or in check mode would be.", type: str}
    held_for: {description: The components for which it is stopped., type: list, elements: str}
    autoscalers: {description: What scales it and was paused or resumed., type: list, elements: str}
    problem: {description: Always null where the module succeeded., type: str}
diff:
  description: What each was and is.
  returned: success
  type: dict
error:
  description: What went wrong, in parts.
  returned: failure
  type: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule, env_fallback

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import connect
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.consumer_declaration import declared_from
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.consumers import Consumer, Consumers
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.stopping import CONSUMER_KINDS
from ansible_collections.sre.runbooks.plugins.module_utils._module import KUBERNETES_OPTIONS, run_module
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import (
    check_component,
    check_environment,
)


def _sentence(found: list[Consumer], check: bool) -> str:
    words = []
    for outcome in ("stopped", "started", "held"):
        some = [one for one in found if one.outcome == outcome]
        if some:
            said = {"held": "still held by another component:"}.get(
                outcome, f"would be {outcome}:" if check else outcome
            )
            of = {"stopped": "before", "started": "after", "held": "after"}[outcome]
            words.append(f"{said} " + ", ".join(f"{one} ({getattr(one, of)})" for one in some))
    return "; ".join(words) or "every consumer is as it should be"


def _work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    declared = [
        declared_from(raw, position, params["namespace"]) for position, raw in enumerate(params["consumers"], start=1)
    ]
    component, environment = check_component(params["component"]), check_environment(params["environment_name"])
    timeout = parse_duration(params["timeout"])
    with connect(params) as cluster, Progress(params["progress_path"], what="looking for consumers") as progress:
        consumers = Consumers(cluster, component, environment, timeout, progress)
        act = consumers.stop if params["state"] == "stopped" else consumers.start
        found = act(declared, module.check_mode)
    for warning in consumers.warnings:
        module.warn(warning)
    return {
        "changed": any(one.changed for one in found),
        "message": _sentence(found, module.check_mode),
        "consumers": [one.facts() for one in found],
        "diff": {
            "before": {str(one): one.before for one in found},
            "after": {str(one): one.after for one in found},
        },
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["started", "stopped"], "required": True},
            "component": {"type": "str", "required": True},
            "environment_name": {
                "type": "str",
                "required": True,
                "fallback": (env_fallback, ["SRE_RUNBOOKS_ENVIRONMENT"]),
            },
            "consumers": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "kind": {"type": "str", "choices": list(CONSUMER_KINDS), "required": True},
                    "name": {"type": "str"},
                    "selector": {"type": "str"},
                    "namespace": {"type": "str"},
                    "required": {"type": "bool", "default": True},
                },
            },
            "namespace": {"type": "str"},
            "timeout": {"type": "str", "default": "5m"},
            "progress_path": {"type": "path"},
            **KUBERNETES_OPTIONS,
        },
        supports_check_mode=True,
    )
    run_module(module, _work)


if __name__ == "__main__":
    main()
