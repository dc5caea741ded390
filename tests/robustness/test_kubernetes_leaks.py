# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What acts on Kubernetes and Terraform at -vvvv with known tokens, keys, Secrets and states: none appears anywhere.

Not in output, command lines, files, reports and the repository, nor in objects of the cluster that are no Secrets.
"""

from __future__ import annotations

import base64
import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest

from tests.robustness.test_leaks import KUBERNETES_PLAYBOOKS, ArgvWatch
from tests.servers.kubernetes.api import Object
from tests.servers.kubernetes.faults import FaultyApi
from tests.servers.kubernetes.server import KubernetesServer
from tests.servers.kubernetes.site import COMPONENT, SECRET, Site, config_map, secret
from tests.servers.kubernetes_component import pod_template
from tests.servers.terraform import NAME, PASSWORD, Configuration, state_server
from tools.local_environment import ROOT

#: What replaced the recorded Secret and state, and is live when they are restored.
LIVE = "another-password-that-nobody-may-see"
STATE, LIVE_STATE = "a-value-in-a-state-that-nobody-may-see", "a-live-value-in-a-state-that-nobody-may-see"
CLAIM = "files"


class Leaky:
    """A namespace and a state as components of one inventory, each with secrets."""

    def __init__(self, cluster: KubernetesServer, namespace: str, path: pathlib.Path, state: Configuration) -> None:
        self.api, self.namespace, self.path, self.state = cluster.api, namespace, path, state
        self.site = Site(cluster, namespace, path)
        template = pod_template("web")
        template["spec"]["containers"][0]["envFrom"] = [{"secretRef": {"name": "credentials"}}]
        web = {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template}
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        metadata = {"namespace": namespace}
        self.api.create(
            secret("credentials", namespace, password=SECRET),
            config_map("settings", namespace, colour="red"),
            config_map("sre-runbooks-environment", namespace, environment="local"),
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", **metadata}, "spec": web},
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": CLAIM, **metadata},
                "spec": claim,
            },
        )
        self.api.ready("Deployment", "web", namespace)
        state.apply(a=STATE)
        cluster.kubectl(
            "create", "clusterrolebinding", f"leak-{namespace}", "--clusterrole=cluster-admin",
            f"--serviceaccount={namespace}:backup",
        )  # fmt: skip
        cluster.kubeconfig_for_service_account(namespace, "backup")
        cluster.await_rights()
        self.token = cluster.api.token(namespace, "backup")
        self.token_file = path / "token"
        self.token_file.write_text(self.token)
        self.token_file.chmod(0o600)
        self.hidden = (self.token_file, self.site.identity_file)

    def known(self) -> list[bytes]:
        values = [SECRET, LIVE]
        found = [*values, *(base64.b64encode(value.encode()).decode() for value in values)]
        found += [self.token, self.site.identity_file.read_text().strip(), STATE, LIVE_STATE, PASSWORD]
        return [text.encode() for text in found]

    def spoil(self) -> None:
        encoded = base64.b64encode(LIVE.encode()).decode()
        self.api.patch(secret("credentials", self.namespace), {"data": {"password": encoded}})
        self.api.patch(config_map("settings", self.namespace), {"data": {"colour": "blue"}})

    def freeze(self) -> None:
        """Spoilt, and so that the server refuses to change it back, in words of its own."""
        self.spoil()
        self.api.patch(secret("credentials", self.namespace), {"immutable": True})

    def apply(self) -> None:
        self.state.apply(a=LIVE_STATE)

    def inventory(self, **changes: t.Any) -> str:
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "environment_name": "local",
            "repository_url": self.site.url,
            "repository_encryption_recipients": [self.site.recipient],
            "repository_encryption_identity_file": str(self.site.identity_file),
            "run_report_dir": str(self.path / "reports"),
            "component_rpo": "1h",
        }
        kubernetes = {
            "component_engine": "kubernetes",
            "component_kubernetes_namespace": self.namespace,
            "component_kubernetes_host": self.site.cluster.url,
            "component_kubernetes_ca_cert": self.site.cluster.ca,
            "component_kubernetes_volumes": "none",
            **changes,
        }
        terraform = {
            "component_engine": "terraform",
            "component_terraform_dir": str(self.state.path),
            "component_terraform_program": self.state.binary,
            "component_terraform_environment_file": str(self.state.variables),
        }
        groups = {
            "kubernetes": {"hosts": {COMPONENT: {}}, "vars": kubernetes},
            "terraform": {"hosts": {NAME: {}}, "vars": terraform},
        }
        path = self.path / "hosts.yml"
        path.write_text(json.dumps({"all": {"vars": variables, "children": {"components": {"children": groups}}}}))
        return str(path)

    def play(self, playbook: str, arguments: t.Sequence[str], changes: dict[str, t.Any]) -> tuple[int, bytes]:
        temporary = self.path / "tmp"
        temporary.mkdir(exist_ok=True)
        done = subprocess.run(
            [
                os.path.join(os.path.dirname(sys.executable), "ansible-playbook"), "-vvvv", "--diff",
                "-i", self.inventory(**changes), f"sre.runbooks.{playbook}", *arguments,
            ],
            cwd=self.path,
            env={
                **os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".local" / "collections"),
                "ANSIBLE_LOCAL_TEMP": str(temporary), "ANSIBLE_REMOTE_TEMP": str(temporary), "TMPDIR": str(temporary),
                "K8S_AUTH_API_KEY": "" if changes else self.token,
            },
            capture_output=True,
            timeout=600,
            check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def files(self) -> t.Iterator[pathlib.Path]:
        for path in self.path.rglob("*"):
            if path.is_file() and path not in self.hidden:
                yield path

    def objects(self) -> list[Object]:
        kinds = (("v1", "ConfigMap"), ("v1", "Event"), ("apps/v1", "Deployment"), ("v1", "Namespace"), ("v1", "Pod"))
        return [item for version, kind in kinds for item in self.api.list(version, kind)]


class Call(t.NamedTuple):
    """A playbook; ``code``: how it has to end; ``first``: what happens before."""

    playbook: str
    arguments: t.Sequence[str] = ()
    changes: t.Mapping[str, t.Any] = {}
    code: int = 0
    first: t.Callable[[Leaky], object] = lambda _leaky: None


def life(leaky: Leaky, weather: FaultyApi) -> list[Call]:
    """By a token in the environment and by one in a file, in fair weather and when the token expires in the middle."""
    by_file = {"component_kubernetes_api_key_file": str(leaky.token_file)}
    objects, state = ["--limit", COMPONENT], ["--limit", NAME]
    restore = [*objects, "-e", f"restore_confirm={COMPONENT}"]
    roll_back = [
        *objects,
        "-e",
        '{"roll_back_objects": ["Secret/credentials"]}',
        "-e",
        f"roll_back_confirm={COMPONENT}",
    ]
    expand = [*objects, "-e", f"expand_volume_claim={CLAIM} expand_volume_size=2Gi expand_volume_confirm={CLAIM}"]
    bad = {**by_file, "component_kubernetes_host": weather.url}
    return [
        Call("prepare_repository", changes=by_file),
        Call("back_up_components"),
        Call("back_up_components", [*objects, "-e", "backup_force=true"], bad, 2),
        Call("drill_restores", ["-e", "drill_force=true"], by_file),
        Call("restore_components", restore, by_file, first=Leaky.spoil),
        Call("roll_back_configuration", roll_back, by_file, first=Leaky.spoil),
        Call("restore_components", [*state, "-e", f"restore_confirm={NAME}", "-e", "restore_force=true"], first=Leaky.apply),
        Call("restore_components", restore, by_file, 2, first=Leaky.freeze),
        Call("expand_volume", expand, by_file),
        Call("release_lease", objects),
    ]  # fmt: skip


@pytest.fixture
def leaky(
    kubernetes_cluster: KubernetesServer,
    kubernetes_namespace: str,
    tmp_path: pathlib.Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> t.Iterator[Leaky]:
    with state_server() as server:
        # Elsewhere: a configuration and its cache hold what they hold.
        state = Configuration(tmp_path_factory.mktemp("terraform") / "network", server)
        yield Leaky(kubernetes_cluster, kubernetes_namespace, tmp_path, state)


def test_no_secret_anywhere(leaky: Leaky, faulty_api: FaultyApi, results: t.Callable[[str, int, int], None]) -> None:
    faulty_api.plan(401, "GET .*configmaps", at=1, times=1000)
    secrets = leaky.known()
    calls = life(leaky, faulty_api)
    assert set(KUBERNETES_PLAYBOOKS) <= {call.playbook for call in calls}
    watch = ArgvWatch(secrets)
    watch.start()
    hits: list[str] = []
    for call in calls:
        call.first(leaky)
        code, output = leaky.play(call.playbook, call.arguments, dict(call.changes))
        assert code == call.code, f"{call}: {output[-4000:].decode()}"
        hits += [f"output of {call.playbook}: {secret!r}" for secret in secrets if secret in output]
    watch.ended.set()
    watch.join()
    hits += [f"argv {argv!r}" for argv in watch.hits]
    for path in leaky.files():
        content = path.read_bytes()
        hits += [f"file {path}" for secret in secrets if secret in content]
    objects = [json.dumps(item).encode() for item in leaky.objects()]
    hits += [f"object {text[:200]!r}" for text in objects for secret in secrets if secret in text]
    assert len(leaky.site.points()) == 1 and watch.seen > 1000
    results("leak (Kubernetes, Terraform)", len(calls), len(hits))
    assert not hits, "\n".join(sorted(set(hits)))
