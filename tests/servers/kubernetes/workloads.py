# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Workloads for tests, as small as the API takes them, each with the label ``app`` of its own name."""

from __future__ import annotations

from tests.servers.kubernetes.api import Object


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
    spec = {"schedule": "0 3 * * *", "jobTemplate": {"spec": job(name, namespace, image)["spec"]}}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": _metadata(name, namespace), "spec": spec}


def _workload(kind: str, name: str, namespace: str, image: str, **spec: object) -> Object:
    chosen = {"selector": {"matchLabels": {"app": name}}, "template": _template(name, image), **spec}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": _metadata(name, namespace), "spec": chosen}


def _metadata(name: str, namespace: str) -> Object:
    return {"name": name, "namespace": namespace, "labels": {"app": name}}


def _template(name: str, image: str, **spec: object) -> Object:
    containers = [{"name": "app", "image": image}]
    return {"metadata": {"labels": {"app": name}}, "spec": {"containers": containers, **spec}}
