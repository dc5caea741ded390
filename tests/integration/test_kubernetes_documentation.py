# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""README's quick start on Kubernetes: its commands run as they are written, with its inventory, on a real control plane."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import textwrap

import pytest

from tests.servers.kubernetes import workloads
from tests.servers.kubernetes.fixtures import kubernetes_cluster
from tests.servers.kubernetes.server import ROOT, KubernetesServer
from tests.servers.kubernetes.site import config_map, secret
from tests.servers.s3 import program

__all__ = ["kubernetes_cluster"]

README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(step: str) -> str:
    """The commands of one step, as they are written."""
    found = re.search(rf"^ *<!-- quick start: {step} -->\n *```sh\n(.*?)^ *```$", README, re.DOTALL | re.MULTILINE)
    assert found, f"the README has no step {step!r}"
    return textwrap.dedent(found[1])


def inventory(repository: pathlib.Path) -> str:
    found = re.search(r"in `inventories/shop/hosts.yml`:\n *```yaml\n(.*?)^ *```$", README, re.DOTALL | re.MULTILINE)
    assert found
    written = textwrap.dedent(found[1])
    assert "file:///srv/recovery-points" in written
    return written.replace("file:///srv/recovery-points", f"file://{repository}")


class Shell:
    """A checkout's directory in which commands find kubectl, ansible-playbook and the administrator's kubeconfig."""

    def __init__(self, cluster: KubernetesServer, directory: pathlib.Path) -> None:
        self._directory = directory
        tools = directory / "tools"
        tools.mkdir()
        kubectl = tools / "kubectl"
        kubectl.write_text(f'#!/bin/sh\nexec {program("kubernetes")} kubectl "$@"\n', encoding="utf-8")
        kubectl.chmod(0o755)
        (directory / "extensions").symlink_to(ROOT / "extensions")
        self._environment = {
            "PATH": f"{tools}:{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(directory),
            "KUBECONFIG": cluster.kubeconfig,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".local" / "collections"),
            "ANSIBLE_NOCOLOR": "1",
            "LANG": "C.UTF-8",
        }

    def run(self, text: str) -> str:
        """Everything on the screen."""
        done = subprocess.run(
            ["/bin/bash", "-euxc", text],
            cwd=self._directory,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


@pytest.mark.slice
def test_the_quick_start_brings_a_namespace_back(kubernetes_cluster: KubernetesServer, tmp_path: pathlib.Path) -> None:
    api = kubernetes_cluster.api
    kubernetes_cluster.make_namespace("shop", {"team": "orders"})
    api.create(
        workloads.deployment("api", "shop", 2),
        config_map("settings", "shop", colour="green"),
        secret("token", "shop", value="a-secret-of-the-shop"),
    )
    api.ready("Deployment", "api", "shop")
    shell = Shell(kubernetes_cluster, tmp_path)
    shell.run(commands("prepare"))
    (tmp_path / "inventories" / "shop" / "hosts.yml").write_text(inventory(tmp_path / "repository"), encoding="utf-8")
    # None of the keys is where Ansible would read it for a host.
    assert re.findall(r"[|]--([^@\s]+)$", shell.run("ansible-inventory -i inventories/shop --graph"), re.MULTILINE) == [
        "shop_objects"
    ]
    output = shell.run(commands("back up"))
    recaps = re.findall(r"^shop_objects .*changed=(\d+)", output, re.MULTILINE)
    assert int(recaps[-2]) > 0 and int(recaps[-1]) == 0, output
    output = shell.run(commands("restore"))
    assert "a-secret-of-the-shop" not in output
    assert api.get("v1", "Namespace", "shop")["metadata"]["labels"]["team"] == "orders"
    assert api.get("v1", "ConfigMap", "settings", "shop")["data"] == {"colour": "green"}
    assert api.get("v1", "Secret", "token", "shop")["data"]
    assert api.ready("Deployment", "api", "shop")["spec"]["replicas"] == 2


def test_keys_beside_the_inventory_are_refused_and_not_shown(tmp_path: pathlib.Path) -> None:
    directory = tmp_path / "inventory"
    directory.mkdir()
    (directory / "hosts.yml").write_text(inventory(tmp_path / "repository"), encoding="utf-8")
    token = "eyJhbGciOiJFUzI1NiIsImtpZCI6InU4.of-the-shop.a-signature"
    (directory / "backup.token").write_text(token, encoding="utf-8")
    done = subprocess.run(
        [pathlib.Path(sys.executable).parent / "ansible-playbook", "-i", directory, "sre.runbooks.prepare_repository"],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".local" / "collections"), "ANSIBLE_NOCOLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 2 and "1 of the inventory's hosts are keys or tokens" in done.stdout, done.stdout
    assert token not in done.stdout and not (tmp_path / "repository").exists()
