# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The programs of a test cluster's control plane: where they are, and what each is started with."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pathlib
import socket
import sys
import typing as t

from tests.servers.kubernetes import metrics, storage
from tests.servers.kubernetes.api import Object
from tests.servers.s3 import program

if t.TYPE_CHECKING:
    from tests.servers.kubernetes.server import KubernetesServer

#: In the order of their start; each needs those before it.
PARTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "storage")
#: What a release of Kubernetes, and of etcd, brings.
_RELEASED = (*PARTS[:4], "kubectl")
#: Programs of ours; ``metrics`` only runs where a test asks for it.
_OURS = {"storage": storage.__file__, "metrics": metrics.__file__}
#: A socket ``localhost:1`` in the cluster's directory, where both run: no port that others could reach.
ETCD = "unix://localhost:1"


def command(part: str) -> list[str]:
    """The command of one of PARTS, or of kubectl.

    The five that are Kubernetes' and etcd's own are taken from the directory that KUBEBUILDER_ASSETS names, if it has all
    of them; what ``setup-envtest`` downloads has no controllers.
    """
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and part in _RELEASED and all(os.access(os.path.join(assets, name), os.X_OK) for name in _RELEASED):
        return [os.path.join(assets, part)]
    if part in _OURS:
        return [sys.executable, "-B", str(_OURS[part])]
    return [program("kwok")] if part == "kwok" else [program("kubernetes"), part]


def etcd_request(socket_path: pathlib.Path, path: str, document: Object) -> None:
    """A request to etcd's JSON gateway."""
    connection = http.client.HTTPConnection("localhost", timeout=30)
    connection.sock = socket.socket(socket.AF_UNIX)
    with contextlib.closing(connection):
        # Relative to where it is: longer paths do not fit a socket's address.
        connection.sock.connect(os.path.relpath(socket_path) if len(str(socket_path)) > 100 else str(socket_path))
        connection.request("POST", path, json.dumps(document), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"etcd answered {answer.status} to {path}: {content.decode(errors='replace')[:300]}")


def arguments(server: KubernetesServer, part: str) -> list[str]:
    """What each program is started with."""
    own = str(server.directory / f"{part}.kubeconfig")
    if part == "etcd":
        return ["--config-file=etcd.yaml"]
    if part == "kube-apiserver":
        kubelet = server.pair("kubelet-client")
        return [
            f"--etcd-servers={ETCD}",
            "--bind-address=127.0.0.1",
            f"--secure-port={server.port}",
            f"--tls-cert-file={server.serving.certificate}",
            f"--tls-private-key-file={server.serving.key}",
            f"--client-ca-file={server.ca}",
            "--authorization-mode=RBAC",
            "--anonymous-auth=false",
            "--allow-privileged=true",
            "--service-cluster-ip-range=10.96.0.0/16",
            # No endpoints of its own: an address of loopback is none that a cluster could announce.
            "--endpoint-reconciler-type=none",
            f"--service-account-key-file={server.tokens.certificate}",
            f"--service-account-signing-key-file={server.tokens.key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--kubelet-certificate-authority={server.ca}",
            f"--kubelet-client-certificate={kubelet.certificate}",
            f"--kubelet-client-key={kubelet.key}",
            "--kubelet-preferred-address-types=InternalIP",
            "--enable-aggregator-routing=false",
            "--profiling=false",
            # Lists are continued from what etcd still has: `compact` takes it away.
            "--feature-gates=ListFromCacheSnapshot=false",
        ]
    if part == "kube-controller-manager":
        return [
            f"--kubeconfig={own}",
            "--leader-elect=false",
            "--secure-port=0",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={server.tokens.key}",
            f"--root-ca-file={server.ca}",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
            "--pvclaimbinder-sync-period=1s",
            "--horizontal-pod-autoscaler-sync-period=2s",
        ]
    if part == "storage":
        return [server.url, str(server.directory)]
    if part == "metrics":
        return [server.url, str(server.directory), str(server.metrics_port)]
    if part == "kube-scheduler":
        return [f"--kubeconfig={own}", "--leader-elect=false", "--secure-port=0", "--kube-api-qps=500",
                "--kube-api-burst=1000"]  # fmt: skip
    return [
        f"--kubeconfig={own}",
        "--config=kwok.yaml",
        "--manage-all-nodes=true",
        "--node-ip=127.0.0.1",
        f"--node-port={server.kubelet_port}",
        f"--server-address=127.0.0.1:{server.kubelet_port}",
        f"--tls-cert-file={server.serving.certificate}",
        f"--tls-private-key-file={server.serving.key}",
        "--cidr=10.244.0.0/16",
        "--node-lease-duration-seconds=40",
    ]
