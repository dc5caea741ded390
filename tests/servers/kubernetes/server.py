# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real Kubernetes control plane on loopback: etcd, API server, controllers, scheduler, and kwok as every kubelet.

Plain processes of this machine, several control planes side by side, each below a directory of its own. What
``tools/servers kubernetes`` and ``tools/servers kwok`` build is used, or the programs of a release (KUBEBUILDER_ASSETS).
"""

from __future__ import annotations

import collections.abc
import contextlib
import functools
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from ansible_collections.sre.runbooks.plugins.module_utils._process import child_setup
from tests.servers.kubernetes import definitions, metrics, storage
from tests.servers.kubernetes.api import Api, ApiFault, Object, wait
from tests.servers.kubernetes.credentials import Authority, Pair, kubeconfig, write_kubeconfig
from tests.servers.kubernetes.parts import ETCD, PARTS, arguments, command, etcd_request
from tests.servers.kubernetes.processes import Adopted, Process, started
from tests.servers.kubernetes.stages import stages
from tools.local_environment import free_port

ROOT = pathlib.Path(__file__).resolve().parents[3]
_RBAC = "rbac.authorization.k8s.io"
_REVIEWS = "authorization.k8s.io"
_USERS = {
    "admin": ("admin", ("system:masters",)),
    "kube-controller-manager": ("system:kube-controller-manager", ()),
    "kube-scheduler": ("system:kube-scheduler", ()),
    "kwok": ("system:kwok", ("system:masters",)),
    "kubelet-client": ("kube-apiserver-kubelet-client", ("system:masters",)),
}


class KubernetesServer:
    """A control plane below ``directory``, which belongs to it.

    :arg tied: it dies with this process, whatever happens to that; otherwise it stays until :meth:`stop`.
    """

    def __init__(self, directory: pathlib.Path, tied: bool = True) -> None:
        self.directory = directory
        self.tied = tied
        self.port, self.kubelet_port, self.metrics_port = free_port(), free_port(), free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self._processes: dict[str, Process] = {}
        #: Called whenever processes or what is simulated changed.
        self.started: collections.abc.Callable[[], None] = lambda: None
        #: The documents of kwok's configuration beside its stages.
        self._simulated: list[Object] = []

    def start(self, nodes: int = 2, seconds: float = 180) -> None:
        """Up and with ``nodes`` ready nodes when it returns.

        :raises RuntimeError: with the end of the logs, when that takes longer.
        """
        self._prepare()
        for part in PARTS:
            command(part)  # built by the first use, which takes longer than any start
        end = time.monotonic() + seconds
        try:
            for part in PARTS[:2]:
                self.start_part(part)
            self.wait_ready(end - time.monotonic())
            for part in PARTS[2:]:
                self.start_part(part)
            self.api.create(*storage.class_objects())
            for number in range(nodes):
                self.add_node(f"node-{number}")
            for number in range(nodes):
                self.api.ready("Node", f"node-{number}", seconds=end - time.monotonic())
            found = functools.partial(self.api.find, "v1", "ServiceAccount", "default", "default")
            wait(found, "the first service account", end - time.monotonic())
        except (TimeoutError, OSError, ApiFault) as error:
            raise RuntimeError(f"no control plane at {self.url}: {error}\n{self.logs()}") from error

    def stop(self) -> None:
        """End what was started, the last first; the directory stays."""
        for part in list(reversed(self._processes)):
            self.stop_part(part, signal.SIGKILL)

    def start_part(self, part: str) -> None:
        """Start one of PARTS again; see also :meth:`stop_part`."""
        with (self.directory / f"{part}.log").open("ab") as log:
            self._processes[part] = subprocess.Popen(
                [*command(part), *arguments(self, part)],
                cwd=self.directory,
                env={"PATH": os.environ["PATH"], "HOME": str(self.directory), "TMPDIR": str(self.directory)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=child_setup() if self.tied else None,
            )
        self.started()

    def stop_part(self, part: str, with_signal: int = signal.SIGTERM) -> None:
        """End one of PARTS, and what it started, as a fault that a test wants; nothing happens where it does not run."""
        process = self._processes.pop(part, None)
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(with_signal)
        # The API server waits for open watches before it goes; nothing of a test is worth that.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if process.poll() is None or not isinstance(process, Adopted):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)

    def state(self) -> Object:
        """What another process needs to :meth:`adopt` it, as JSON."""
        parts = {part: [process.pid, started(process.pid)] for part, process in self._processes.items()}
        return {"port": self.port, "kubelet_port": self.kubelet_port, "parts": parts, "simulated": self._simulated}

    def adopt(self, state: Object) -> None:
        """Be the cluster that another process started; only new users need the authority's key, which is gone."""
        self.port, self.kubelet_port = state["port"], state["kubelet_port"]
        self.url = f"https://127.0.0.1:{self.port}"
        self._simulated = state["simulated"]
        self._processes = {part: Adopted(*known) for part, known in state["parts"].items()}
        credentials = self.directory / "credentials"
        self.ca = str(credentials / "ca.crt")
        self.serving, *pairs = (
            Pair(str(credentials / f"{name}.crt"), str(credentials / f"{name}.key")) for name in ("server", *_USERS)
        )
        self._pairs = dict(zip(_USERS, pairs, strict=True))
        self.tokens = Pair(str(credentials / "service-accounts.pub"), str(credentials / "service-accounts.key"))
        self.api = Api(self.url, self.ca, self.administrator)

    @property
    def pids(self) -> dict[str, int]:
        """The processes, by part."""
        return {part: process.pid for part, process in self._processes.items()}

    @property
    def kubeconfig(self) -> str:
        """The path of an administrator's kubeconfig."""
        return str(self.directory / "admin.kubeconfig")

    def kubeconfig_for(self, user: str, groups: collections.abc.Sequence[str] = (), namespace: str = "default") -> str:
        """The path of a kubeconfig of a user with a certificate: without rights until a binding gives some."""
        pair = self.authority.client(f"user-{user}", user, groups)
        return self._write_kubeconfig(f"user-{user}", kubeconfig(self.url, self.ca, pair, namespace))

    def kubeconfig_for_service_account(self, namespace: str, name: str, seconds: int = 3600) -> str:
        """The path of a kubeconfig of a service account, which is created where there is none."""
        if not self.api.find("v1", "ServiceAccount", name, namespace):
            account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}
            self.api.create(account)
        token = self.api.token(namespace, name, seconds)
        return self._write_kubeconfig(f"{namespace}-{name}", kubeconfig(self.url, self.ca, token, namespace))

    def write_kubeconfig(self, name: str, token: str | None = None, url: str | None = None) -> str:
        """The path of a kubeconfig of an administrator, or of a token's bearer, that goes to ``url``."""
        return self._write_kubeconfig(name, kubeconfig(url or self.url, self.ca, token or self.administrator))

    @property
    def administrator(self) -> Pair:
        """The certificate that may do everything."""
        return self._pairs["admin"]

    def pair(self, name: str) -> Pair:
        """The certificate of one of the cluster's own users."""
        return self._pairs[name]

    def api_for(self, user: str, groups: collections.abc.Sequence[str] = ()) -> Api:
        return Api(self.url, self.ca, self.authority.client(f"user-{user}", user, groups))

    def kubectl(self, *arguments: str, stdin: bytes = b"", kubeconfig: str | None = None) -> str:
        """Run kubectl as an administrator: its output.

        :raises subprocess.CalledProcessError: when it fails.
        """
        call = [*command("kubectl"), f"--kubeconfig={kubeconfig or self.kubeconfig}", *arguments]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.directory), "TMPDIR": str(self.directory)}
        done = subprocess.run(call, input=stdin, capture_output=True, check=False, env=environment, timeout=300)
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, call, done.stdout, done.stderr.decode())
        return done.stdout.decode()

    def make_namespace(self, name: str, labels: collections.abc.Mapping[str, str] | None = None) -> None:
        """A namespace that is ready for pods."""
        self.api.create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels or {})}}
        )
        wait(lambda: self.api.find("v1", "ServiceAccount", "default", name), f"the service account of {name}")

    def await_rights(self) -> None:
        """Wait until the API server judges by every role and binding that there is.

        It learns of them in their order, kind by kind: once it knows the newest of each kind, it knows the others.
        """
        name = f"rights-{secrets.token_hex(4)}"
        rule = {"apiGroups": ["test.sre.runbooks"], "resources": ["rights"], "verbs": ["get"]}
        made = []
        for prefix, place in (("", {"namespace": "default"}), ("Cluster", {})):
            metadata, reference = {"name": name, **place}, {"apiGroup": _RBAC, "kind": f"{prefix}Role", "name": name}
            subject = {"apiGroup": _RBAC, "kind": "User", "name": f"{prefix}{name}"}
            item = {"apiVersion": f"{_RBAC}/v1", "metadata": metadata}
            made += [
                {**item, "kind": f"{prefix}Role", "rules": [rule]},
                {**item, "kind": f"{prefix}RoleBinding", "roleRef": reference, "subjects": [subject]},
            ]
        self.api.create(*made)

        def may(user: str) -> bool:
            asked = {"group": "test.sre.runbooks", "resource": "rights", "verb": "get", "namespace": "default"}
            review = {"apiVersion": f"{_REVIEWS}/v1", "kind": "SubjectAccessReview"}
            review["spec"] = {"user": user, "resourceAttributes": asked}
            path = f"/apis/{_REVIEWS}/v1/subjectaccessreviews"
            return bool(self.api.request("POST", path, review)["status"]["allowed"])

        wait(lambda: may(name) and may(f"Cluster{name}"), "rights to count")
        for item in made:
            self.api.delete(item["apiVersion"], item["kind"], name, "default", gone_s=0)

    def add_node(self, name: str, labels: collections.abc.Mapping[str, str] | None = None) -> None:
        """A node, which becomes ready at once."""
        own = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", **(labels or {})}
        self.api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": own}})

    def map_ports(
        self, namespace: str, ports: collections.abc.Mapping[int, int], pods: collections.abc.Sequence[str] = ()
    ) -> None:
        """Ports of pods (all of the namespace, unless ``pods`` names some) are ports of loopback: a real server lives there.

        The kubelet starts anew, which ends what runs through it.
        """
        selector = {"matchNamespaces": [namespace], "matchNames": list(pods)}
        forwards = [
            {"ports": [port], "target": {"address": "127.0.0.1", "port": local}} for port, local in ports.items()
        ]
        self._simulate("ClusterPortForward", {"selector": selector, "forwards": forwards})

    def allow_exec(
        self,
        namespace: str,
        environment: collections.abc.Mapping[str, str] | None = None,
        pods: collections.abc.Sequence[str] = (),
        work_dir: str = "",
        user_id: int | None = None,
        containers: collections.abc.Sequence[str] = (),
    ) -> None:
        """What is executed in pods of the namespace runs here, with ``environment`` (PATH among it), in ``work_dir``.

        kwok never closes a command's standard input: one that reads to its end waits for ever.
        The kubelet starts anew, which ends what runs through it.
        """
        given = {"PATH": os.environ["PATH"], **(environment or {})}
        local: Object = {"envs": [{"name": name, "value": value} for name, value in given.items()]}
        if work_dir:
            local["workDir"] = work_dir
        if user_id is not None:
            local["securityContext"] = {"runAsUser": user_id, "runAsGroup": user_id}
        target = {"containers": list(containers), "local": local}
        selector = {"matchNamespaces": [namespace], "matchNames": list(pods)}
        self._simulate("ClusterExec", {"selector": selector, "execs": [target]})

    def set_log(self, namespace: str, pod: str, text: str) -> None:
        """What a pod's containers wrote, each line at the moment of this call."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z", time.gmtime())
        path = self.directory / f"{namespace}-{pod}.pod-log"
        path.write_text("".join(f"{moment} stdout F {line}\n" for line in text.splitlines()), encoding="utf-8")
        selector = {"matchNamespaces": [namespace], "matchNames": [pod]}
        self._simulate("ClusterLogs", {"selector": selector, "logs": [{"logsFile": str(path), "follow": False}]})

    def serve_snapshots(self) -> None:
        """From now on there are VolumeSnapshots, which the storage takes; see ``storage`` for those that fail."""
        definitions.define(self.api, *definitions.snapshot_definitions())
        self.api.apply(storage.snapshot_class())

    def serve_metrics(self) -> None:
        """From now on there is metrics.k8s.io: pods use what their annotations say; see ``metrics``."""
        if "metrics" in self._processes:
            return
        self.start_part("metrics")
        self.api.create(*metrics.registration(self.metrics_port))

        def served() -> bool:
            with contextlib.suppress(ApiFault):
                return bool(self.api.list(f"{metrics.GROUP}/v1beta1", "NodeMetrics"))
            return False

        wait(served, "metrics")

    def volume_directory(self, namespace: str, claim: str) -> pathlib.Path:
        """Where what is in a bound claim's volume really is."""
        bound = self.api.get("v1", "PersistentVolumeClaim", claim, namespace)
        volume = self.api.get("v1", "PersistentVolume", bound["spec"]["volumeName"])
        return self.directory / "volumes" / volume["spec"]["csi"]["volumeHandle"]

    def claim_directory(self, namespace: str, claim: str) -> pathlib.Path:
        """As :meth:`volume_directory`, also of a claim that does not exist yet: a link to its volume, once it has one."""
        return self.directory / "volumes" / "by-claim" / namespace / claim

    def compact(self) -> None:
        """Forget all history now: continued lists and watches of before get 410, as after some minutes elsewhere."""
        revision = self.api.request("GET", "/api/v1/namespaces", limit=1)["metadata"]["resourceVersion"]
        etcd_request(self.directory / "localhost:1", "/v3/kv/compaction", {"revision": revision, "physical": True})

    def logs(self, lines: int = 15) -> str:
        """The ends of all logs, for a failure's message."""
        found = []
        for part in PARTS:
            with contextlib.suppress(FileNotFoundError):
                text = (self.directory / f"{part}.log").read_text(encoding="utf-8", errors="replace")
                found.append(f"--- {part}\n" + "\n".join(line[:400] for line in text.splitlines()[-lines:]))
        return "\n".join(found)

    def _prepare(self) -> None:
        self.authority = Authority(self.directory / "credentials")
        self.ca = self.authority.certificate
        self.serving = self.authority.server("server")
        self.tokens = self.authority.signing_key("service-accounts")
        self._pairs = {name: self.authority.client(name, *who) for name, who in _USERS.items()}
        for name, pair in self._pairs.items():
            self._write_kubeconfig(name, kubeconfig(self.url, self.ca, pair))
        self.api = Api(self.url, self.ca, self._pairs["admin"])
        etcd = {
            "name": "test",
            "data-dir": str(self.directory / "etcd"),
            "listen-client-urls": ETCD,
            "advertise-client-urls": ETCD,
            "listen-peer-urls": "unix://localhost:2",
            "initial-advertise-peer-urls": "unix://localhost:2",
            "initial-cluster": "test=unix://localhost:2",
            "unsafe-no-fsync": True,
            "log-level": "error",
        }
        (self.directory / "etcd.yaml").write_text(json.dumps(etcd), encoding="utf-8")
        self._write_simulation()

    def _simulate(self, kind: str, spec: Object) -> None:
        document = {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": kind, "spec": spec}
        # The first that fits is taken: what is said last counts.
        self._simulated.insert(0, {**document, "metadata": {"name": f"simulated-{len(self._simulated)}"}})
        self._write_simulation()
        self.stop_part("kwok")
        # It has another name each time, and waits for the leases of the nodes to run out otherwise.
        for lease in self.api.list("coordination.k8s.io/v1", "Lease", "kube-node-lease"):
            self.api.delete("coordination.k8s.io/v1", "Lease", lease["metadata"]["name"], "kube-node-lease", gone_s=0)
        self.start_part("kwok")
        self._wait_kubelet()

    def _write_simulation(self) -> None:
        documents = "\n---\n".join(json.dumps(document) for document in [*stages(), *self._simulated])
        (self.directory / "kwok.yaml").write_text(documents + "\n", encoding="utf-8")

    def _wait_kubelet(self) -> None:
        def reached() -> bool:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.kubelet_port), 1):
                return True
            return False

        wait(reached, "kwok")

    def wait_ready(self, seconds: float = 120) -> None:
        """Wait until the API server says that it is ready."""
        end = time.monotonic() + seconds
        while True:
            try:
                self.api.request("GET", "/readyz")
                return
            except (OSError, ApiFault):
                gone = [part for part in PARTS[:2] if self._processes[part].poll() is not None]
                if gone or time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def _write_kubeconfig(self, name: str, content: Object) -> str:
        return write_kubeconfig(self.directory / f"{name.replace(':', '-')}.kubeconfig", content)


@contextlib.contextmanager
def running_cluster(nodes: int = 2) -> collections.abc.Iterator[KubernetesServer]:
    """A new control plane, tied to this process; stopped and deleted at the end."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="srk-"))
    server = KubernetesServer(directory)
    try:
        server.start(nodes)
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
