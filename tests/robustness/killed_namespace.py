# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A namespace with a recovery point, whose modules run in processes that can be killed, and what must hold afterwards."""

from __future__ import annotations

import base64
import pathlib
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import marker
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.content import read_content
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.scratch_namespace import LABEL
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.stopping import STOPPED_FOR, WAYS
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.volume_pod import HELPER_LABEL, helper_name
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Identities
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.kept import before_component
from ansible_collections.sre.runbooks.plugins.module_utils._repository.layout import layout_failures
from ansible_collections.sre.runbooks.plugins.module_utils._repository.lease_state import current_lease
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points
from tests.robustness.module_process import Kill, ModuleProcess, Outcome
from tests.servers.kubernetes import workloads
from tests.servers.kubernetes.api import Object
from tests.servers.kubernetes.server import KubernetesServer
from tests.servers.kubernetes.site import config_map, secret
from tests.servers.kubernetes_component import NAME, KubernetesComponent

CLAIM = "files"
ROLLED_BACK = ["ConfigMap/settings", "Secret/password"]


class KilledNamespace:
    """Everything that restores, drills and rollbacks act upon, as small as it goes, backed up once."""

    def __init__(
        self, cluster: KubernetesServer, namespace: str, path: pathlib.Path, modules: ModuleProcess, volume: bool
    ) -> None:
        self.component = KubernetesComponent(cluster, namespace, path)
        self.api, self.namespace, self.modules = cluster.api, namespace, modules
        self.turn = 0
        web = workloads.deployment("web", namespace, 2)
        web["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "settings"}}]
        web["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 0
        ports = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": namespace}}
        self.api.create(
            config_map("settings", namespace, colour="red"),
            config_map("more", namespace, colour="red"),
            secret("password", namespace, password="recorded"),
            {**service, "spec": ports},
            web,
        )
        self.component.mark()
        self.api.ready("Deployment", "web", namespace)
        self.volume: pathlib.Path | None = None
        if volume:
            claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
            metadata = {"name": CLAIM, "namespace": namespace}
            self.api.create({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": claim})
            self.component.await_bound(CLAIM)
            self.volume = cluster.claim_directory(namespace, CLAIM)
            cluster.allow_exec(namespace, pods=[helper_name(CLAIM)], work_dir=str(self.volume))
            (self.volume / "data").write_text("recorded")
        self.point = self.component.back_up(volumes="files" if volume else "none")
        self.recorded = self.component.content()

    def call(self, module: str, kill: Kill | None = None, **params: t.Any) -> Outcome:
        component = self.component
        own = {"environment_name": "local", "component": NAME, "kubeconfig": component.kubeconfig}
        return self.modules.call(module, {**own, **params}, kill)

    def in_repository(self, module: str, kill: Kill | None, **params: t.Any) -> Outcome:
        """A module that takes the component's lease and its keys."""
        place = {"repository": self.component.url, "namespace": self.namespace}
        given = {**place, "lease_wait": "1m", **self.component.keys, **params}
        return self.call(module, kill, **given)

    # -- what is disturbed -------------------------------------------------------------------------------------------

    def back_up(self, kill: Kill | None = None, force: bool = True) -> Outcome:
        return self.in_repository("kubernetes_backup", kill, force=force, volumes="files")

    def restore(self, kill: Kill | None = None) -> Outcome:
        return self.in_repository("kubernetes_restore", kill, confirm=NAME, prune=True, timeout="120s")

    def roll_back(self, kill: Kill | None = None) -> Outcome:
        return self.in_repository("kubernetes_rollback", kill, confirm=NAME, objects=ROLLED_BACK, timeout="120s")

    def drill(self, kill: Kill | None = None, interval: str = "0") -> Outcome:
        given = {"repository": self.component.url, "encryption_identity_file": str(self.component.identity_file)}
        return self.call("kubernetes_drill", kill, drill_interval=interval, timeout="120s", **given)

    def consume(self, state: str, kill: Kill | None = None) -> Outcome:
        consumers = [{"kind": "Deployment", "name": "web"}]
        return self.call("kubernetes_consumers", kill, state=state, namespace=self.namespace, consumers=consumers)

    # -- what is done beforehand -------------------------------------------------------------------------------------

    def spoil(self) -> None:
        """Something of everything: changed, gone, added; another value each time."""
        self.turn += 1
        value = base64.b64encode(f"live-{self.turn}".encode()).decode()
        self.api.patch(config_map("settings", self.namespace), {"data": {"colour": f"live-{self.turn}"}})
        self.api.patch(secret("password", self.namespace), {"data": {"password": value}})
        self.api.delete("v1", "ConfigMap", "more", self.namespace)
        if self.turn % 3 == 1:  # with nothing to delete, the volume may be all that is left to do
            self.api.create(config_map("stranger", self.namespace, turn=str(self.turn)))
        if self.volume is not None:
            (self.volume / "data").write_text(f"live-{self.turn}")

    def spoil_configuration(self) -> None:
        self.turn += 1
        value = base64.b64encode(f"live-{self.turn}".encode()).decode()
        self.api.patch(config_map("settings", self.namespace), {"data": {"colour": f"live-{self.turn}"}})
        self.api.patch(secret("password", self.namespace), {"data": {"password": value}})

    def delete(self) -> None:
        self.component.delete_namespace()

    # -- what must hold ----------------------------------------------------------------------------------------------

    def restored(self) -> list[str]:
        """All is as recorded, what a claim holds as well."""
        live = self.component.content()
        different = [name for name in {*live, *self.recorded} if live.get(name) != self.recorded.get(name)]
        problems = [f"not as recorded: {name}" for name in sorted(different)]
        if self.volume is not None and (self.volume / "data").read_text() != "recorded":
            problems.append("the volume holds something else")
        return problems

    def restored_and_kept(self) -> list[str]:
        return [*self.restored(), *self.kept()]

    def kept(self) -> list[str]:
        """What was overwritten is in a point that was kept."""
        wanted = f"live-{self.turn}"
        for point in list_points(self.component.repository, before_component(NAME)).points:
            content = read_content(self.component.repository, point, Identities(file=str(self.component.identity_file)))
            for kind, items in content.items():
                for name, item in items.items():
                    if (kind.kind, name.name) == ("ConfigMap", "settings") and wanted in item.raw.decode():
                        return []
        return [f"what was live ({wanted}) is in no recovery point that was kept"]

    def rolled_back(self) -> list[str]:
        """As recorded, and pods that were started after the configuration was."""
        problems = self.restored_configuration()
        changed = self.component.get("v1", "ConfigMap", "settings")["metadata"]["managedFields"]
        moment = max(entry["time"] for entry in changed)
        pods = self.api.list("v1", "Pod", self.namespace, labelSelector="app=web")
        living = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
        if any(pod["metadata"]["creationTimestamp"] < moment for pod in living):
            problems.append("a pod reads the former configuration")
        if marker.read_note(self._cluster(), self.namespace, f"rollback.{NAME}") is not None:
            problems.append("the note of a rollback that is under way is still there")
        return problems

    def restored_configuration(self) -> list[str]:
        live = self.component.content()
        named = [name.replace("/", " ") for name in ROLLED_BACK]
        return [f"not as recorded: {name}" for name in named if live.get(name) != self.recorded[name]]

    def stopped(self) -> list[str]:
        web = self.component.get("apps/v1", "Deployment", "web")
        former = web["metadata"]["annotations"].get(WAYS["Deployment"].remembered)
        return (
            [] if (web["spec"]["replicas"], former) == (0, "2") else [f"{web['spec']['replicas']} pods, was {former}"]
        )

    def started(self) -> list[str]:
        web = self.component.get("apps/v1", "Deployment", "web")
        noted = [name for name in web["metadata"].get("annotations") or {} if name.startswith("sre.runbooks/")]
        problems = [f"{STOPPED_FOR} and the like are left: {noted}"] if noted else []
        return problems if web["spec"]["replicas"] == 2 else [*problems, f"{web['spec']['replicas']} pods"]

    def taken(self) -> list[str]:
        newest = self.component.newest()
        (entry,) = newest.content["kubernetes"]["volumes"]
        return [] if entry["files"] == 1 else [f"the volume was taken as {entry}"]

    def nothing_changed(self) -> list[str]:
        """For drills: what is live is none of their business."""
        live = self.component.content()
        return [] if live == self.recorded else ["a drill changed what is live"]

    def left(self) -> list[str]:
        """What must not be there when nothing runs."""
        repository = self.component.repository
        problems = layout_failures(repository)
        for component in (NAME, before_component(NAME)):
            listing = list_points(repository, component)
            problems += [f"damaged: {point.point_id}: {point.reason}" for point in listing.damaged]
            problems += [f"never finished: {point_id}" for point_id in listing.incomplete]
        lease = current_lease(repository, NAME)
        if lease is not None and lease.held(repository.store.now()):
            problems.append(f"the lease is held still: {lease}")
        drills = [item for item in self.api.list("v1", "Namespace") if LABEL in (item["metadata"].get("labels") or {})]
        problems += [f"left: namespace {item['metadata']['name']}" for item in drills]
        pods: list[Object] = self.api.list("v1", "Pod", self.namespace, labelSelector=HELPER_LABEL)
        return problems + [f"left: pod {item['metadata']['name']}" for item in pods]

    def _cluster(self) -> t.Any:
        from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import connect

        return connect({"kubeconfig": self.component.kubeconfig})
