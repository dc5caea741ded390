# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores by their playbook stop the component's consumers and bring them back, whatever happens in between."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import typing as t

import pytest

from tests.servers.kubernetes import workloads
from tests.servers.kubernetes.api import Object, wait
from tests.servers.kubernetes.fixtures import kubernetes_cluster, kubernetes_namespace
from tests.servers.kubernetes.server import KubernetesServer
from tests.servers.kubernetes.site import COMPONENT, Site, config_map
from tests.servers.playbook import start_playbook

__all__ = ["kubernetes_cluster", "kubernetes_namespace"]

#: Where a consumer never comes back, and yet has to be stopped: long enough for that on a machine that stops for a while.
SHORTER = "--extra-vars=component_consumers_timeout=20s"


class Shop:
    """A backed-up namespace of one ConfigMap, and a consumer of it in another namespace."""

    def __init__(self, cluster: KubernetesServer, namespace: str, directory: pathlib.Path) -> None:
        self.api, self.namespace, self.front = cluster.api, namespace, f"{namespace}-front"
        self._directory = directory
        self.api.create(config_map("settings", namespace, colour="green"))
        cluster.make_namespace(self.front)
        for place in (namespace, self.front):
            self.api.create(config_map("sre-runbooks-environment", place, environment="local"))
        self.api.create(workloads.deployment("web", self.front, 2))
        self.api.ready("Deployment", "web", self.front)
        self.site = Site(cluster, namespace, directory)
        self.site.back_up()
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "environment_name": "local",
            "repository_url": self.site.url,
            "repository_encryption_recipients": [self.site.recipient],
            "repository_encryption_identity_file": str(self.site.identity_file),
            "run_report_dir": str(directory / "reports"),
            "component_engine": "kubernetes",
            "component_kubernetes_kubeconfig": cluster.kubeconfig,
            "component_kubernetes_namespace": namespace,
            "component_consumers": [{"kind": "Deployment", "name": "web", "namespace": self.front}],
            "component_consumers_timeout": "120s",
        }
        groups = {"components": {"children": {"kubernetes": {"hosts": {COMPONENT: {}}}}}}
        self._inventory = directory / "hosts.yml"
        self._inventory.write_text(json.dumps({"all": {"vars": variables, "children": groups}}), encoding="utf-8")

    def damage(self) -> None:
        self.api.patch(config_map("settings", self.namespace), {"data": {"colour": "red"}})

    def break_web(self) -> None:
        """It never comes up again."""
        broken = [{"name": "app", "image": "test/image-missing:1"}]
        strategy = {"type": "Recreate", "rollingUpdate": None}
        self.api.patch(self.web, {"spec": {"template": {"spec": {"containers": broken}}, "strategy": strategy}})

    @property
    def colour(self) -> str:
        return str(self.api.get("v1", "ConfigMap", "settings", self.namespace)["data"]["colour"])

    @property
    def web(self) -> Object:
        return self.api.get("apps/v1", "Deployment", "web", self.front)

    def start_restore(self, *arguments: str) -> subprocess.Popen[str]:
        return self.start("restore_components", f"--extra-vars=restore_confirm={COMPONENT}", *arguments)

    def start(self, playbook: str, *arguments: str) -> subprocess.Popen[str]:
        return start_playbook(self._inventory, playbook, *arguments)

    def restore(self, *arguments: str) -> tuple[int, str]:
        return ended(self.start_restore(*arguments))

    def rebuild(self, *arguments: str) -> tuple[int, str]:
        return ended(self.start("rebuild_environment", "--extra-vars=rebuild_confirm=local", *arguments))

    def events(self) -> list[str]:
        """The steps of the newest report's timeline."""
        report = max((self._directory / "reports").glob("*Z-*/report.json"), key=os.path.getmtime)
        return [str(event["step"]) for event in t.cast("list[Object]", json.loads(report.read_text())["timeline"])]


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code and everything on the screen."""
    output = process.communicate(timeout=600)[0]
    return process.returncode, output


@pytest.fixture
def shop(kubernetes_cluster: KubernetesServer, kubernetes_namespace: str, tmp_path: pathlib.Path) -> Shop:
    return Shop(kubernetes_cluster, kubernetes_namespace, tmp_path)


def test_consumers_are_stopped_while_their_component_is_restored(shop: Shop) -> None:
    before = shop.web
    shop.damage()
    code, output = shop.restore("--check")
    assert code == 0 and shop.web["metadata"]["generation"] == before["metadata"]["generation"], output
    code, output = shop.restore()
    assert code == 0 and shop.colour == "green", output
    assert "; its consumers were stopped for " in " ".join(output.split())
    after = shop.web
    assert after["spec"] == before["spec"] and after["status"]["availableReplicas"] == 2
    assert after["metadata"]["generation"] == before["metadata"]["generation"] + 2, "down and up once"
    steps = shop.events()
    assert steps.index("stop consumers") < steps.index("start consumers"), steps
    code, output = shop.restore()
    assert code == 0 and f"{COMPONENT} " in output and "changed=0" in output, output
    assert shop.web["metadata"]["generation"] == after["metadata"]["generation"], "not stopped for nothing"


def test_a_killed_restore_is_finished_by_the_next(shop: Shop) -> None:
    """Killed with everything that it had started, while it waits for the consumer's last pods."""
    shop.api.patch(shop.web, {"spec": {"template": {"metadata": {"finalizers": ["example.test/hold"]}}}})
    shop.api.ready("Deployment", "web", shop.front)
    shop.damage()
    process = shop.start_restore()
    wait(lambda: shop.web["spec"]["replicas"] == 0, "the consumer to be stopped", 120)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert shop.colour == "red"
    shop.api.patch(shop.web, {"spec": {"template": {"metadata": {"finalizers": None}}}})
    workloads.let_go(shop.api, shop.front)
    code, output = shop.restore("--extra-vars=component_lease_wait=5m")
    assert code == 0 and shop.colour == "green", output
    assert shop.web["status"]["availableReplicas"] == 2


def test_a_consumer_that_does_not_come_back_fails_the_run_but_not_the_restore(shop: Shop) -> None:
    shop.damage()
    shop.break_web()
    code, output = shop.restore(SHORTER)
    assert code != 0 and shop.colour == "green", output
    assert "restored, but its consumers did not start" in output and "ImagePullBackOff" in output, output
    assert shop.web["spec"]["replicas"] == 2


def test_a_rebuild_does_not_hide_a_consumer_that_does_not_come_back(shop: Shop) -> None:
    shop.api.delete("v1", "ConfigMap", "settings", shop.namespace)
    shop.break_web()
    code, output = shop.rebuild(SHORTER)
    assert code != 0 and shop.colour == "green", output
    assert "rebuilt, but its consumers did not start" in output and "ImagePullBackOff" in output, output
    assert shop.web["spec"]["replicas"] == 2


def test_why_a_restore_failed_is_said_before_what_the_consumers_did(shop: Shop) -> None:
    """The consumer cannot be stopped: its pods stay. So nothing is restored, and it is started again."""
    shop.api.patch(shop.web, {"spec": {"template": {"metadata": {"finalizers": ["example.test/hold"]}}}})
    wait(lambda: len([pod for pod in pods(shop) if pod["metadata"].get("finalizers")]) == 2, "the held pods")
    shop.damage()
    code, output = shop.restore("--extra-vars=component_consumers_timeout=8s")
    assert code != 0 and shop.colour == "red", output
    assert "did not stop" in output and "pods are not gone" in output
    assert shop.web["spec"]["replicas"] == 2, "brought back all the same"
    workloads.let_go(shop.api, shop.front)


def pods(shop: Shop) -> list[Object]:
    return shop.api.list("v1", "Pod", shop.front)
