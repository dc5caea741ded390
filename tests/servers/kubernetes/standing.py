# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A test cluster that stands until it is told to go: ``tools/kubernetes``, for molecule and for who wants to try.

``up DIRECTORY`` starts one below a new directory, or finds it running, and prints the path of its kubeconfig;
``down DIRECTORY`` stops it and removes the directory. In between, ``snapshots DIRECTORY`` teaches it VolumeSnapshots,
``forward DIRECTORY NAMESPACE PORT:LOCAL [POD ...]`` lets a port of pods be a port of loopback, ``exec DIRECTORY
NAMESPACE [NAME=VALUE ...]`` runs here what is executed in pods of a namespace, with that environment, and ``kubectl
DIRECTORY ARGUMENT ...`` is kubectl as an administrator.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import sys

from tests.servers.kubernetes.api import ApiFault
from tests.servers.kubernetes.parts import command
from tests.servers.kubernetes.server import KubernetesServer

_STATE = "standing.json"


def up(directory: pathlib.Path, nodes: int) -> KubernetesServer:
    """Start one, or find the one that is there.

    :raises SystemExit: when the directory holds anything else.
    """
    if (directory / _STATE).exists():
        found = find(directory)
        with contextlib.suppress(OSError, ApiFault):
            found.api.request("GET", "/readyz")
            return found
        raise SystemExit(f"tools/kubernetes: the cluster below {directory} does not answer; {_DOWN} {directory}")
    if directory.exists() and any(directory.iterdir()):
        raise SystemExit(f"tools/kubernetes: {directory} is not empty, and holds no cluster")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    server = KubernetesServer(directory, tied=False)
    # Remembered before anything runs: also a start that is killed half way can be taken down.
    server.started = lambda: _remember(server)
    try:
        server.start(nodes)
    except BaseException:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
        raise
    return server


def down(directory: pathlib.Path) -> None:
    """Stop it and remove everything; nothing happens where there is none."""
    if not (directory / _STATE).exists():
        if directory.exists():
            raise SystemExit(f"tools/kubernetes: {directory} holds no cluster")
        return
    find(directory).stop()
    shutil.rmtree(directory)


def find(directory: pathlib.Path) -> KubernetesServer:
    """The cluster below a directory."""
    server = KubernetesServer(directory, tied=False)
    server.adopt(json.loads((directory / _STATE).read_text(encoding="utf-8")))
    server.started = lambda: _remember(server)
    return server


def _remember(server: KubernetesServer) -> None:
    fresh = server.directory / f".{_STATE}"
    fresh.write_text(json.dumps(server.state()), encoding="utf-8")
    os.replace(fresh, server.directory / _STATE)


_DOWN = "next: tools/kubernetes down"


def main() -> None:
    parser = argparse.ArgumentParser(prog="tools/kubernetes", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    starting = actions.add_parser("up", help="start a cluster, or find it; prints the path of its kubeconfig")
    starting.add_argument("--nodes", type=int, default=2, help="default: %(default)s")
    stopping = actions.add_parser("down", help="stop a cluster and remove its directory")
    snapshots = actions.add_parser("snapshots", help="let it have VolumeSnapshots")
    forward = actions.add_parser("forward", help="let a port of pods be a port of loopback")
    executing = actions.add_parser("exec", help="run here what is executed in pods of a namespace")
    asking = actions.add_parser("kubectl", help="look at it and change it, as an administrator")
    for action in (starting, stopping, snapshots, forward, executing, asking):
        action.add_argument("directory", type=pathlib.Path)
    forward.add_argument("namespace")
    forward.add_argument("ports", metavar="PORT:LOCAL")
    forward.add_argument("pods", metavar="POD", nargs="*", help="default: every pod of the namespace")
    executing.add_argument("namespace")
    executing.add_argument("environment", metavar="NAME=VALUE", nargs="*")
    asking.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    directory = options.directory.resolve()
    if options.action == "down":
        down(directory)
        return
    if options.action == "up":
        print(up(directory, options.nodes).kubeconfig)
        return
    server = find(directory)
    if options.action == "kubectl":
        call = [*command("kubectl"), f"--kubeconfig={server.kubeconfig}", *options.arguments]
        os.execv(call[0], call)
    if options.action == "snapshots":
        server.serve_snapshots()
    elif options.action == "forward":
        port, local = options.ports.split(":")
        server.map_ports(options.namespace, {int(port): int(local)}, options.pods)
    else:
        environment = dict(pair.split("=", 1) for pair in options.environment)
        server.allow_exec(options.namespace, environment)


if __name__ == "__main__":
    try:
        main()
    except (OSError, RuntimeError, ApiFault) as error:
        sys.exit(f"tools/kubernetes: {error}")
