# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Workloads for tests, as small as the API takes them, each with the label ``app`` of its own name."""

from __future__ import annotations

from tests.servers.kubernetes.api import Api, ApiFault, Object, wait

#: A schedule that comes during no test: in the night of a leap day.
SELDOM = "0 3 29 2 *"


def deployment(name: str, namespace: str, replicas: int = 1, image: str = "test/app:1") -> Object:
    return _workload("Deployment", name, namespace, image, replicas=replicas)


def stateful_set(name: str, namespace: str, replicas: int = 1, image: str = "test/app:1") -> Object:
    return _workload("StatefulSet", name, namespace, image, replicas=replicas, serviceName=name)


def daemon_set(name: str, namespace: str, image: str = "test/app:1") -> Object:
    return _workload("DaemonSet", name, namespace, image)


def job(name: str, namespace: str, image: str = "test/app:1") -> Object:
    item = {"apiVersion": "batch/v1", "kind": "Job", "metadata": _metadata(name, namespace)}
    return {**item, "spec": {"backoffLimit": 0, "template": _template(name, image, restartPolicy="Never")}}


def cron_job(name: str, namespace: str, image: str = "test/app:1") -> Object:
    spec = {"schedule": SELDOM, "jobTemplate": {"spec": job(name, namespace, image)["spec"]}}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": _metadata(name, namespace), "spec": spec}


def _workload(kind: str, name: str, namespace: str, image: str, **spec: object) -> Object:
    chosen = {"selector": {"matchLabels": {"app": name}}, "template": _template(name, image), **spec}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": _metadata(name, namespace), "spec": chosen}


def _metadata(name: str, namespace: str) -> Object:
    return {"name": name, "namespace": namespace, "labels": {"app": name}}


def _template(name: str, image: str, **spec: object) -> Object:
    containers = [{"name": "app", "image": image}]
    return {"metadata": {"labels": {"app": name}}, "spec": {"containers": containers, **spec}}


def let_go(api: Api, namespace: str) -> None:
    """Take the finalizers from the namespace's pods, until no pod has any; one that is gone meanwhile needs it no more."""

    def done() -> bool:
        held = [pod for pod in api.list("v1", "Pod", namespace) if pod["metadata"].get("finalizers")]
        for pod in held:
            try:
                api.patch(pod, {"metadata": {"finalizers": None}})
            except ApiFault as fault:
                if fault.status not in (404, 409):
                    raise
        return not held

    wait(done, f"the pods of {namespace} to be let go")
