# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook expand_volume as its users play it: in check mode, twice, and where it has to refuse."""

from __future__ import annotations

import json
import pathlib
import re
import sys

import pytest

from tests.servers.kubernetes.api import wait
from tests.servers.kubernetes.fixtures import kubernetes_cluster, kubernetes_namespace
from tests.servers.kubernetes.server import KubernetesServer
from tests.servers.kubernetes.site import Site
from tests.servers.playbook import run_playbook

__all__ = ["kubernetes_cluster", "kubernetes_namespace"]

#: Component → its claim, the claim's class, the size that is wanted, and what confirms it.
CASES = {
    "grows": ("grows", "standard", "2Gi", "grows"),
    "cannot": ("cannot", "fixed", "2Gi", "cannot"),
    "shrinks": ("shrinks", "standard", "512Mi", "shrinks"),
    "unconfirmed": ("unconfirmed", "standard", "2Gi", ""),
}


class Desk:
    """One component for each case, all of one namespace."""

    def __init__(self, cluster: KubernetesServer, namespace: str, directory: pathlib.Path) -> None:
        self.api, self.namespace, self._directory = cluster.api, namespace, directory
        hosts = {}
        for name, (claim, storage, size, confirm) in CASES.items():
            spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
            metadata = {"name": claim, "namespace": namespace}
            item = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata}
            self.api.create({**item, "spec": {**spec, "storageClassName": storage}})
            hosts[name] = {
                "expand_volume_claim": claim,
                "expand_volume_size": size,
                "expand_volume_confirm": confirm,
            }
        for claim in CASES:
            wait(lambda claim=claim: self.size(claim) == "1Gi", f"claim {claim} to be bound")  # type: ignore[misc]
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "environment_name": "local",
            "repository_url": Site(cluster, namespace, directory).url,
            "run_report_dir": str(directory / "reports"),
            "component_engine": "kubernetes",
            "component_kubernetes_kubeconfig": cluster.kubeconfig,
            "component_kubernetes_namespace": namespace,
        }
        groups = {"components": {"children": {"kubernetes": {"hosts": hosts}}}}
        (directory / "hosts.yml").write_text(
            json.dumps({"all": {"vars": variables, "children": groups}}), encoding="utf-8"
        )

    def size(self, claim: str) -> str:
        status = self.api.get("v1", "PersistentVolumeClaim", claim, self.namespace).get("status", {})
        return str((status.get("capacity") or {}).get("storage"))

    def play(self, *arguments: str) -> tuple[int, str]:
        done = run_playbook(self._directory / "hosts.yml", "expand_volume", *arguments)
        return done.returncode, done.stdout


@pytest.fixture
def desk(kubernetes_cluster: KubernetesServer, kubernetes_namespace: str, tmp_path: pathlib.Path) -> Desk:
    return Desk(kubernetes_cluster, kubernetes_namespace, tmp_path)


def recap(output: str) -> dict[str, tuple[int, int]]:
    """Host → tasks that changed something, and that failed."""
    found = re.findall(r"^(\w+) +: ok=\d+ +changed=(\d+) +unreachable=0 +failed=(\d+)", output, re.M)
    return {host: (int(changed), int(failed)) for host, changed, failed in found}


def test_claims_grow_once_and_the_rest_is_refused(desk: Desk) -> None:
    code, output = desk.play("--check")
    assert code != 0 and recap(output)["grows"] == (1, 0), output
    assert recap(output)["cannot"] == recap(output)["shrinks"] == (0, 1), output
    assert {desk.size(claim) for claim in CASES} == {"1Gi"}

    code, output = desk.play()
    assert code != 0 and recap(output)["grows"] == (1, 0), output
    assert {claim: desk.size(claim) for claim in CASES} == {**dict.fromkeys(CASES, "1Gi"), "grows": "2Gi"}
    assert f"claim {desk.namespace}/grows grew from 1Gi to 2Gi" in output
    assert "does not let volumes grow" in output and "allowVolumeExpansion" in output
    assert "a volume never shrinks" in output
    assert "-e expand_volume_confirm=unconfirmed" in output and recap(output)["unconfirmed"] == (0, 1), output

    code, output = desk.play("--limit=grows")
    assert code == 0 and recap(output)["grows"] == (0, 0), output
