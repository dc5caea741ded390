# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A namespace of many mixed objects, backed up and restored, against what people do with kubectl, on a real API server."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time
import typing as t

import pyrage

from benchmarks.measure import Result, paired
from tests.servers.kubernetes import objects
from tests.servers.kubernetes.api import Api
from tests.servers.kubernetes.parts import command
from tests.servers.kubernetes.server import KubernetesServer, running_cluster

_ROOT = pathlib.Path(__file__).resolve().parent.parent
#: The fewer are enough to fill every buffer, so that the two differ by what an object costs.
_MANY, _FEW = 10_000, 5_000
#: What is asked for by name, since ``kubectl get all`` leaves most of it out.
_KINDS = ",".join(f"{kind.lower()}s" if kind != "Ingress" else "ingresses" for kind in objects.SHARES).replace(
    "networkpolicys", "networkpolicies"
)
#: The module as Ansible would run it, with its peak of memory behind it; ru_maxrss would start from who forked us.
_RUNNER = """
import importlib, json, pathlib, sys
from ansible.module_utils.testing import patch_module_args
name, params = json.load(sys.stdin)
module = importlib.import_module("ansible_collections.sre.runbooks.plugins.modules." + name)
try:
    with patch_module_args(params):
        module.main()
finally:
    sys.stdout.flush()
    status = pathlib.Path("/proc/self/status").read_text()
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024, file=sys.stderr)
"""


class Call(t.NamedTuple):
    """A module's call: its result, how long it took, and its process's peak of memory in MiB."""

    result: dict[str, t.Any]
    seconds: float
    peak: float


class KubernetesBench:
    """A cluster with two namespaces, of 10,000 and of 5,000 objects, and an encrypted repository."""

    def __init__(self, directory: pathlib.Path, runs: int, many: int = _MANY, few: int = _FEW) -> None:
        self.cluster: KubernetesServer
        self.directory = directory
        self.runs = runs
        self.counts = {"many": many, "few": few}
        identity = pyrage.x25519.Identity.generate()
        self.recipient = str(identity.to_public())
        self.identity_file = directory / "identity"
        self.identity_file.touch(mode=0o600)
        self.identity_file.write_text(f"{identity}\n", encoding="utf-8")

    def results(self) -> list[Result]:
        """Backup, restore, and the memory of both."""
        with running_cluster() as cluster:
            self.cluster = cluster
            for namespace, count in self.counts.items():
                objects.fill(cluster.api, namespace, count)
            _settle(cluster.api, "many", self.counts["many"])
            self._call("repository", {"state": "present"})
            return [*self._backup(), *self._restore()]

    def _backup(self) -> list[Result]:
        peaks: dict[str, list[float]] = {namespace: [] for namespace in self.counts}

        def back_up(namespace: str) -> float:
            call = self._call("kubernetes_backup", self._scoped(namespace, force=True))
            peaks[namespace].append(call.peak)
            return call.seconds

        def by_hand() -> float:
            return self._kubectl("-n", "many", "get", _KINDS, "-o", "yaml", output=self.directory / "by-hand.yaml")

        many = self.counts["many"]
        name = f"kubernetes_backup_{many}_objects"
        timed = paired(name, "s", "kubectl get -o yaml, unencrypted", self.runs, lambda: back_up("many"), by_hand)
        back_up("few")
        return [timed, self._memory("backup", max(peaks["many"]), max(peaks["few"]))]

    def _restore(self) -> list[Result]:
        """One pair: by hand, 10,000 objects take minutes."""
        calls = {}
        for namespace in ("few", "many"):
            _delete(self.cluster.api, namespace)
            calls[namespace] = self._call("kubernetes_restore", self._scoped(namespace, confirm=f"{namespace}_objects"))
            found = calls[namespace].result
            if found["proof"]["fields_different"]:
                raise SystemExit(f"benchmarks: fields differ after the restore: {found['proof']}")
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects.mixed(self.counts["many"], "many"))}
        source = self.directory / "by-hand.json"
        source.write_text(json.dumps(listed), encoding="utf-8")
        _delete(self.cluster.api, "many")
        theirs = self._kubectl("create", "namespace", "many")
        theirs += self._kubectl("apply", "--server-side", "-f", str(source))
        ours, name = calls["many"].seconds, f"kubernetes_restore_{self.counts['many']}_objects"
        against = "kubectl apply --server-side, nothing compared"
        timed = Result(name, "s", round(ours, 3), round(theirs, 3), round(ours / theirs, 4), 1, against)
        return [timed, self._memory("restore", calls["many"].peak, calls["few"].peak)]

    def _memory(self, action: str, many: float, few: float) -> Result:
        name = f"kubernetes_{action}_memory_{self.counts['many']}_objects"
        against = f"the same process with {self.counts['few']}"
        return Result(name, "MiB peak", round(many, 1), round(few, 1), round(many / few, 4), 1, against)

    def _scoped(self, namespace: str, **more: t.Any) -> dict[str, t.Any]:
        given = {"component": f"{namespace}_objects", "namespace": namespace, "kubeconfig": self.cluster.kubeconfig}
        keys = {"encryption_recipients": [self.recipient]}
        if "confirm" in more:
            keys["encryption_identity_file"] = str(self.identity_file)
        return {**given, **keys, **more}

    def _call(self, module: str, params: dict[str, t.Any]) -> Call:
        everything = {"repository": f"file://{self.directory}/repository", "environment_name": "bench", **params}
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", _RUNNER],
            input=json.dumps([module, everything]),
            env={**os.environ, "PYTHONPATH": str(_ROOT / ".local" / "collections")},
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - began
        if done.returncode != 0:
            raise SystemExit(f"benchmarks: {module} failed: {done.stdout[-4000:]} {done.stderr[-2000:]}")
        return Call(json.loads(done.stdout), seconds, float(done.stderr.split()[-1]))

    def _kubectl(self, *arguments: str, output: pathlib.Path | None = None) -> float:
        """Run it; seconds."""
        began = time.perf_counter()
        with (output or pathlib.Path(os.devnull)).open("wb") as file:
            call = [*command("kubectl"), f"--kubeconfig={self.cluster.kubeconfig}", *arguments]
            subprocess.run(call, stdout=file, check=True, env={**os.environ, "HOME": str(self.directory)})
            if output:
                os.fsync(file.fileno())
        return time.perf_counter() - began


def _delete(api: Api, namespace: str) -> None:
    api.delete("v1", "Namespace", namespace, gone_s=600)


def _settle(api: Api, namespace: str, count: int) -> None:
    """Until the controllers have followed: an endpoint slice a service, a replica set a deployment."""
    wanted = {("discovery.k8s.io/v1", "EndpointSlice"): "Service", ("apps/v1", "ReplicaSet"): "Deployment"}
    end = time.monotonic() + 300
    for (version, kind), of in wanted.items():
        while len(api.list(version, kind, namespace)) < count * objects.SHARES[of] // 100:
            if time.monotonic() > end:
                raise SystemExit(f"benchmarks: the controllers did not follow within 300 s ({kind})")
            time.sleep(0.5)
