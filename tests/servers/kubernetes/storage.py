# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The storage of a test cluster: claims get volumes, which are directories here, and snapshots of them are copies.

It does what a driver's provisioner, resizer and snapshotter do. Run as a program beside the control plane; it asks
again and again rather than watching, which survives every fault of the API server that a test may want.
"""

from __future__ import annotations

import http.client
import os
import pathlib
import shutil
import sys
import time
import typing as t

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[3])]

from tests.servers.kubernetes.api import Api, ApiFault, Object  # noqa: E402  (found through the line above)
from tests.servers.kubernetes.credentials import Pair  # noqa: E402

DRIVER = "storage.test.sre.runbooks"
#: The default class; ``retained`` keeps its volumes when their claims go, ``fixed`` cannot grow.
CLASSES = ("standard", "retained", "fixed")
SNAPSHOT_CLASS = "standard"
#: An annotation of VolumeSnapshots: ``never`` are never ready, ``error`` report one.
FATE = "test.sre.runbooks/snapshot"
_SNAPSHOTS = "snapshot.storage.k8s.io/v1"
_NOT_NOW = (404, 409)


def class_objects() -> list[Object]:
    """The StorageClasses."""
    found = []
    for name in CLASSES:
        metadata: Object = {"name": name}
        if name == CLASSES[0]:
            metadata["annotations"] = {"storageclass.kubernetes.io/is-default-class": "true"}
        found.append(
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": metadata,
                "provisioner": DRIVER,
                "reclaimPolicy": "Retain" if name == "retained" else "Delete",
                "allowVolumeExpansion": name != "fixed",
                "volumeBindingMode": "Immediate",
            }
        )
    return found


def snapshot_class() -> Object:
    return {
        "apiVersion": _SNAPSHOTS,
        "kind": "VolumeSnapshotClass",
        "metadata": {"name": SNAPSHOT_CLASS, "annotations": {f"{_SNAPSHOTS[:-3]}/is-default-class": "true"}},
        "driver": DRIVER,
        "deletionPolicy": "Delete",
    }


class Storage:
    """The simulated driver; ``root`` holds a directory a volume and one a snapshot, named by their handles."""

    def __init__(self, api: Api, root: pathlib.Path) -> None:
        self.api = api
        self.root = root

    def directory(self, handle: str) -> pathlib.Path:
        return self.root / handle

    def act(self) -> None:
        """One round over everything that may wait for us."""
        classes = {
            item["metadata"]["name"]: item
            for item in self.api.list("storage.k8s.io/v1", "StorageClass", resourceVersion=0)
            if item["provisioner"] == DRIVER
        }
        for claim in self.api.list("v1", "PersistentVolumeClaim", resourceVersion=0):
            wanted = classes.get(claim["spec"].get("storageClassName", ""))
            if wanted and "deletionTimestamp" not in claim["metadata"]:
                self._in_turn(self._provide, claim, wanted)
        for volume in self.api.list("v1", "PersistentVolume", resourceVersion=0):
            if volume["spec"].get("csi", {}).get("driver") == DRIVER:
                self._in_turn(self._reclaim, volume)
        if self._serves_snapshots():
            snapshots = self.api.list(_SNAPSHOTS, "VolumeSnapshot")
            for snapshot in snapshots:
                if not (snapshot.get("status") or {}).get("readyToUse"):
                    self._in_turn(self._take, snapshot)
            known = {item["metadata"]["uid"] for item in snapshots}
            for content in self.api.list(_SNAPSHOTS, "VolumeSnapshotContent"):
                self._in_turn(self._forget, content, known)

    def _in_turn(self, step: t.Callable[..., None], *arguments: t.Any) -> None:
        try:
            step(*arguments)
        except ApiFault as fault:
            if fault.status not in _NOT_NOW:  # somebody else was faster; the next round sees it as it is then
                raise
        except (KeyError, IndexError) as error:
            # It is not yet, or no longer, what it was listed as; the others have their turn all the same.
            print(f"{step.__name__}: {error!r}", file=sys.stderr, flush=True)

    def _serves_snapshots(self) -> bool:
        try:
            self.api.path(_SNAPSHOTS, "VolumeSnapshot")
        except (ApiFault, KeyError):
            return False
        return True

    def _provide(self, claim: Object, storage_class: Object) -> None:
        spec, status = claim["spec"], claim.get("status", {})
        wanted = spec["resources"]["requests"]["storage"]
        if spec.get("volumeName"):
            if status.get("phase") == "Bound" and status.get("capacity", {}).get("storage") != wanted:
                volume = self.api.get("v1", "PersistentVolume", spec["volumeName"])
                if volume["spec"].get("csi", {}).get("driver") == DRIVER:
                    self.api.patch(volume, {"spec": {"capacity": {"storage": wanted}}})
                    self.api.patch(claim, {"status": {"capacity": {"storage": wanted}, "conditions": None}}, "status")
            return
        name = f"pvc-{claim['metadata']['uid']}"
        if self.api.find("v1", "PersistentVolume", name):
            return
        source = spec.get("dataSource") or {}
        if source.get("kind") == "VolumeSnapshot":
            snapshot = self.api.find(_SNAPSHOTS, "VolumeSnapshot", source["name"], claim["metadata"]["namespace"])
            state = (snapshot or {}).get("status") or {}
            if not state.get("readyToUse"):
                return
            content = self.api.get(_SNAPSHOTS, "VolumeSnapshotContent", state["boundVolumeSnapshotContentName"])
            self._copy(content["status"]["snapshotHandle"], name)
        else:
            # There already, when the last round was cut off before the server knew of the volume.
            self.directory(name).mkdir(exist_ok=True)
        self._name_by_claim(claim["metadata"], name)
        self.api.create(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": DRIVER}},
                "spec": {
                    "accessModes": spec["accessModes"],
                    "capacity": {"storage": wanted},
                    "persistentVolumeReclaimPolicy": storage_class["reclaimPolicy"],
                    "storageClassName": storage_class["metadata"]["name"],
                    "volumeMode": spec.get("volumeMode", "Filesystem"),
                    "csi": {"driver": DRIVER, "volumeHandle": name},
                    "claimRef": {
                        "apiVersion": "v1",
                        "kind": "PersistentVolumeClaim",
                        "namespace": claim["metadata"]["namespace"],
                        "name": claim["metadata"]["name"],
                        "uid": claim["metadata"]["uid"],
                    },
                },
            }
        )

    def _copy(self, source: str, handle: str) -> None:
        """The directory of one handle as that of another: whole, or not there."""
        if not self.directory(handle).exists():
            partial = self.directory(f".{handle}")
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(self.directory(source), partial, symlinks=True)
            os.rename(partial, self.directory(handle))

    def _name_by_claim(self, metadata: Object, handle: str) -> None:
        """``by-claim/NAMESPACE/CLAIM`` is its volume: there before the claim is bound, and before any pod has it."""
        directory = self.root / "by-claim" / metadata["namespace"]
        directory.mkdir(parents=True, exist_ok=True)
        fresh = directory / f".{metadata['name']}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(self.directory(handle))
        fresh.replace(directory / metadata["name"])

    def _reclaim(self, volume: Object) -> None:
        policy = volume["spec"]["persistentVolumeReclaimPolicy"]
        if volume["status"].get("phase") == "Released" and policy == "Delete":
            name = volume["metadata"]["name"]
            self.api.delete("v1", "PersistentVolume", name, gone_s=0)
            shutil.rmtree(self.directory(volume["spec"]["csi"]["volumeHandle"]), ignore_errors=True)

    def _take(self, snapshot: Object) -> None:
        metadata, source = snapshot["metadata"], snapshot["spec"]["source"]
        fate = metadata.get("annotations", {}).get(FATE)
        if fate == "error":
            self.api.patch(snapshot, {"status": {"readyToUse": False, "error": {"message": "out of space"}}}, "status")
        if fate:
            return
        if "volumeSnapshotContentName" in source:
            content = self.api.find(_SNAPSHOTS, "VolumeSnapshotContent", source["volumeSnapshotContentName"])
            if content is None:
                return
            if "status" not in content:
                handle = content["spec"]["source"]["snapshotHandle"]
                if not self.directory(handle).is_dir():
                    return
                content = self._ready_content(content, handle, "1Gi")
        else:
            content = self._new_content(snapshot, source["persistentVolumeClaimName"])
        status = {
            "boundVolumeSnapshotContentName": content["metadata"]["name"],
            "creationTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "readyToUse": True,
            "restoreSize": content["status"]["restoreSize"],
        }
        self.api.patch(snapshot, {"status": status}, "status")

    def _new_content(self, snapshot: Object, claim_name: str) -> Object:
        metadata = snapshot["metadata"]
        claim = self.api.get("v1", "PersistentVolumeClaim", claim_name, metadata["namespace"])
        volume = self.api.get("v1", "PersistentVolume", claim["spec"]["volumeName"])
        handle = f"snapshot-{metadata['uid']}"
        self._copy(volume["spec"]["csi"]["volumeHandle"], handle)
        name = f"snapcontent-{metadata['uid']}"
        content = self.api.find(_SNAPSHOTS, "VolumeSnapshotContent", name)
        if content is None:
            class_name = snapshot["spec"].get("volumeSnapshotClassName", SNAPSHOT_CLASS)
            wanted = self.api.get(_SNAPSHOTS, "VolumeSnapshotClass", class_name)
            reference = {"kind": "VolumeSnapshot", "apiVersion": _SNAPSHOTS}
            reference.update({key: metadata[key] for key in ("namespace", "name", "uid")})
            spec = {
                "deletionPolicy": wanted["deletionPolicy"],
                "driver": DRIVER,
                "source": {"volumeHandle": volume["spec"]["csi"]["volumeHandle"]},
                "volumeSnapshotClassName": class_name,
                "volumeSnapshotRef": reference,
            }
            described = {"apiVersion": _SNAPSHOTS, "kind": "VolumeSnapshotContent", "metadata": {"name": name}}
            (content,) = self.api.create({**described, "spec": spec})
        return self._ready_content(content, handle, claim["status"]["capacity"]["storage"])

    def _ready_content(self, content: Object, handle: str, size: str) -> Object:
        status = {"snapshotHandle": handle, "readyToUse": True, "restoreSize": size}
        return self.api.patch(content, {"status": status}, "status")

    def _forget(self, content: Object, known: set[str]) -> None:
        uid = content["spec"]["volumeSnapshotRef"].get("uid")
        if uid and uid not in known and content["spec"]["deletionPolicy"] == "Delete":
            self.api.delete(_SNAPSHOTS, "VolumeSnapshotContent", content["metadata"]["name"], gone_s=0)
            handle = (content.get("status") or {}).get("snapshotHandle")
            if handle:
                shutil.rmtree(self.directory(handle), ignore_errors=True)


def main() -> None:
    """``storage.py URL DIRECTORY``: act until killed."""
    url, directory = sys.argv[1], pathlib.Path(sys.argv[2])
    credentials = directory / "credentials"
    pair = Pair(str(credentials / "admin.crt"), str(credentials / "admin.key"))
    root = directory / "volumes"
    root.mkdir(exist_ok=True)
    storage = Storage(Api(url, str(credentials / "ca.crt"), pair), root)
    while True:
        try:
            storage.act()
        except (ApiFault, OSError, http.client.HTTPException, ValueError) as error:
            print(repr(error), file=sys.stderr, flush=True)
            time.sleep(1)
        time.sleep(0.2)


if __name__ == "__main__":
    main()
