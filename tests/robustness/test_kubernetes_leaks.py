# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups of Kubernetes at -vvvv with known tokens, keys and Secrets: none appears in output, argv, files or reports."""

from __future__ import annotations

import base64
import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest

from tests.robustness.test_leaks import ArgvWatch
from tests.servers.kubernetes.faults import FaultyApi
from tests.servers.kubernetes.server import KubernetesServer
from tests.servers.kubernetes.site import COMPONENT, SECRET, Site, secret
from tools.local_environment import ROOT


@pytest.fixture
def site(kubernetes_cluster: KubernetesServer, kubernetes_namespace: str, tmp_path: pathlib.Path) -> Site:
    site = Site(kubernetes_cluster, kubernetes_namespace, tmp_path)
    kubernetes_cluster.api.create(secret("credentials", kubernetes_namespace, password=SECRET))
    return site


def write_inventory(site: Site, directory: pathlib.Path, **changes: t.Any) -> pathlib.Path:
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "environment_name": "local",
        "repository_url": site.url,
        "repository_encryption_recipients": [site.recipient],
        "repository_encryption_identity_file": str(site.identity_file),
        "run_report_dir": str(directory / "reports"),
        "component_engine": "kubernetes",
        "component_rpo": "1h",
        "component_kubernetes_namespace": site.namespace,
        "component_kubernetes_host": site.cluster.url,
        "component_kubernetes_ca_cert": site.cluster.ca,
        "component_kubernetes_volumes": "none",
        **changes,
    }
    path = directory / "hosts.yml"
    groups = {"components": {"children": {"kubernetes": {"hosts": {COMPONENT: {}}}}}}
    path.write_text(json.dumps({"all": {"vars": variables, "children": groups}}))
    return path


def test_no_secret_of_a_cluster_anywhere(
    site: Site, faulty_api: FaultyApi, results: t.Callable[[str, int, int], None], tmp_path: pathlib.Path
) -> None:
    """By a token in the environment and by one in a file, in fair weather and when the token expires in the middle."""
    cluster = site.cluster
    cluster.kubectl(
        "create", "clusterrolebinding", f"leak-{site.namespace}", "--clusterrole=cluster-admin",
        f"--serviceaccount={site.namespace}:backup",
    )  # fmt: skip
    cluster.kubeconfig_for_service_account(site.namespace, "backup")
    token = cluster.api.token(site.namespace, "backup")
    token_file = tmp_path / "token"
    token_file.write_text(token)
    by_file = {"component_kubernetes_api_key_file": str(token_file)}
    weather = {"component_kubernetes_host": faulty_api.url}
    faulty_api.plan(401, "GET .*configmaps", at=1, times=1000)
    calls: list[tuple[str, list[str], dict[str, t.Any], int]] = [
        ("prepare_repository", [], by_file, 0),
        ("back_up_components", [], {}, 0),
        ("back_up_components", ["-e", "backup_force=true"], by_file, 0),
        ("back_up_components", ["-e", "backup_force=true"], {**by_file, **weather}, 2),
    ]
    known = [SECRET, base64.b64encode(SECRET.encode()).decode(), token, site.identity_file.read_text().strip()]
    secrets = [text.encode() for text in known]
    watch = ArgvWatch(secrets)
    watch.start()
    hits: list[str] = []
    for playbook, arguments, changes, code in calls:
        done = subprocess.run(
            [
                os.path.join(os.path.dirname(sys.executable), "ansible-playbook"), "-vvvv", "--diff",
                "-i", str(write_inventory(site, tmp_path, **changes)), f"sre.runbooks.{playbook}", *arguments,
            ],
            cwd=tmp_path,
            env={
                **os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".local" / "collections"),
                "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp"), "K8S_AUTH_API_KEY": "" if changes else token,
            },
            capture_output=True,
            timeout=300,
            check=False,
        )  # fmt: skip
        output = done.stdout + done.stderr
        assert done.returncode == code, output[-4000:].decode()
        hits += [f"output of {playbook}" for secret in secrets if secret in output]
    watch.ended.set()
    watch.join()
    hits += [f"argv {argv!r}" for argv in watch.hits]
    for path in tmp_path.rglob("*"):
        if path.is_file() and path not in (token_file, site.identity_file):
            content = path.read_bytes()
            hits += [f"file {path}" for secret in secrets if secret in content]
    assert len(site.points()) == 2
    results("leak (Kubernetes)", len(calls), len(hits))
    assert not hits, "\n".join(sorted(set(hits)))
