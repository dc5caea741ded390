# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What claims hold, taken by file and by snapshot and brought back, on a real API server with volumes that are directories."""

from __future__ import annotations

import collections.abc
import hashlib
import os
import pathlib
import secrets
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._clock import now
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import volume_files, volumes
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster, connect
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.frames import StreamBroken
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.volume_pod import HELPER_LABEL, helper_name
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.volume_snapshots import remove_unreferenced
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.volumes import VolumeChoice
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding, Identities
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point, list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import initialise_repository
from tests.servers.kubernetes.api import wait
from tests.servers.kubernetes.server import KubernetesServer
from tests.servers.module_call import call_module

COMPONENT = "shop_objects"
SNAPSHOTS = "snapshot.storage.k8s.io/v1"


class Volumes:
    """The claims of a namespace, with a repository."""

    def __init__(self, server: KubernetesServer, path: pathlib.Path) -> None:
        self.server = server
        self.namespace = f"volumes-{secrets.token_hex(3)}"
        server.make_namespace(self.namespace)
        repository, _created = initialise_repository(f"file://{path}/repository", "local", check_mode=False)
        assert repository is not None
        self.repository = repository

    @property
    def cluster(self) -> Cluster:
        return connect({"kubeconfig": self.server.kubeconfig})

    def claim(self, name: str, namespace: str = "", **spec: t.Any) -> pathlib.Path:
        """A bound claim; the directory that its volume is."""
        namespace = namespace or self.namespace
        wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
        metadata = {"name": name, "namespace": namespace}
        self.server.api.create(
            {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": wanted}
        )
        self.bound(name, namespace)
        return self.server.volume_directory(namespace, name)

    def bound(self, name: str, namespace: str = "") -> None:
        namespace = namespace or self.namespace

        def found() -> bool:
            item = self.server.api.get("v1", "PersistentVolumeClaim", name, namespace)
            return bool(item.get("status", {}).get("phase") == "Bound")

        wait(found, f"claim {name} to be bound")

    def map(self, claim: str, namespace: str = "") -> None:
        """What runs in the helper pod of the claim runs in its volume's directory."""
        namespace = namespace or self.namespace
        directory = self.server.claim_directory(namespace, claim)
        self.server.allow_exec(namespace, pods=[helper_name(claim)], work_dir=str(directory))

    def take(self, **choice: t.Any) -> RecoveryPoint:
        writer = begin_point(self.repository, COMPONENT, "kubernetes", None)
        with self.cluster as cluster:
            entries = volumes.take_volumes(
                cluster, self.namespace, VolumeChoice(**choice), writer, Encoding(), Progress(None), lambda: None
            )
        content = {"kubernetes": {"volumes": entries}}
        return writer.commit(engine_version="1.35", consistency_time=now(), content=content, restore_guide="")

    def fill(self, point: RecoveryPoint, namespace: str = "") -> list[dict[str, t.Any]]:
        with self.cluster as cluster:
            return volumes.fill_volumes(
                cluster,
                namespace or self.namespace,
                point,
                point.content["kubernetes"]["volumes"],
                self.repository.store,
                Identities(),
                Progress(None),
                lambda: None,
            )

    def provide(self, point: RecoveryPoint, namespace: str = "") -> list[str]:
        with self.cluster as cluster:
            entries = point.content["kubernetes"]["volumes"]
            return volumes.provide_claims(cluster, namespace or self.namespace, point.point_id, entries)

    def helpers(self) -> list[str]:
        found = self.server.api.list("v1", "Pod", self.namespace, labelSelector=HELPER_LABEL)
        return [item["metadata"]["name"] for item in found]


@pytest.fixture
def site(kubernetes_cluster: KubernetesServer, tmp_path: pathlib.Path) -> collections.abc.Iterator[Volumes]:
    found = Volumes(kubernetes_cluster, tmp_path)
    yield found
    kubernetes_cluster.api.delete("v1", "Namespace", found.namespace, gone_s=0)


def fill(root: pathlib.Path) -> None:
    """Files of every difficult kind."""
    (root / "deep" / "er").mkdir(parents=True)
    (root / "deep" / "er" / "big").write_bytes(os.urandom(3_000_000))
    (root / "empty").touch()
    (root / ".hidden").write_text("seen", encoding="utf-8")
    (root / "name with\nnew line and ünïcode").write_text("x", encoding="utf-8")
    (root / ("long" * 60)).write_text("a name that ustar cannot hold", encoding="utf-8")
    (root / "link").symlink_to("deep/er/big")
    (root / "dangling").symlink_to("/nowhere")
    os.link(root / "deep" / "er" / "big", root / "second name")
    (root / "secret").write_text("s", encoding="utf-8")
    (root / "secret").chmod(0o600)
    os.chown(root / "secret", os.getuid(), os.getgid())
    os.utime(root / "empty", (1_000_000_000, 1_000_000_000))
    (root / "lost+found").mkdir(mode=0o700)


def seen(root: pathlib.Path) -> dict[str, tuple[t.Any, ...]]:
    """Everything below, but what restores keep."""
    found: dict[str, tuple[t.Any, ...]] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if name.startswith((".sre-runbooks", "lost+found")):
            continue
        state = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and not path.is_symlink() else ""
        link = os.readlink(path) if path.is_symlink() else ""
        moment = 0 if path.is_symlink() else int(state.st_mtime)
        found[name] = (state.st_mode, state.st_uid, state.st_gid, content, link, moment)
    return found


def test_files_come_back_beside_and_swapped(site: Volumes) -> None:
    root = site.claim("data")
    site.map("data")
    fill(root)
    before = seen(root)
    point = site.take(mode="files")
    (entry,) = point.content["kubernetes"]["volumes"]
    assert (entry["claim"], entry["mode"], entry["consistent"], entry["changed_while_read"]) == (
        "data",
        "files",
        False,
        False,
    )
    assert entry["bytes"] > 3_000_000 and entry["files"] == 6
    assert site.helpers() == []

    assert site.fill(point) == [{"claim": "data", "changed": False, "kept": False}]
    (root / "deep" / "er" / "big").write_bytes(b"another")
    (root / "new one").touch()
    (root / "empty").unlink()
    changed = seen(root)
    assert site.fill(point) == [{"claim": "data", "changed": True, "kept": True}]
    assert seen(root) == before
    assert os.stat(root / "second name").st_ino == os.stat(root / "deep" / "er" / "big").st_ino
    (kept,) = root.glob(".sre-runbooks-before-*")
    assert seen(kept) == changed
    assert site.fill(point) == [{"claim": "data", "changed": False, "kept": False}]
    with site.cluster as cluster:
        entries = point.content["kubernetes"]["volumes"]
        assert volumes.release_volumes(cluster, site.namespace, entries) == ["data"]
        assert volumes.release_volumes(cluster, site.namespace, entries) == []
    assert list(root.glob(".sre-runbooks*")) == [] and seen(root) == before
    assert site.helpers() == []


def test_files_come_into_a_new_claim(site: Volumes) -> None:
    root = site.claim("data")
    site.map("data")
    fill(root)
    root.chmod(0o711)
    before = seen(root)
    point = site.take(mode="files")
    site.server.api.delete("v1", "PersistentVolumeClaim", "data", site.namespace)
    fresh = site.claim("data")
    assert fresh != root
    assert site.fill(point) == [{"claim": "data", "changed": True, "kept": False}]
    assert seen(fresh) == before and fresh.stat().st_mode & 0o777 == 0o711


def test_files_are_read_in_the_pod_that_has_the_claim(site: Volumes) -> None:
    root = site.claim("data")
    (root / "one").write_text("1", encoding="utf-8")
    site.server.allow_exec(site.namespace)
    mounts = [{"name": "v", "mountPath": str(root)}]
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": "data"}}
    spec = {"containers": [{"name": "main", "image": "test/web:1", "volumeMounts": mounts}], "volumes": [volume]}
    site.server.api.create(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": site.namespace}, "spec": spec}
    )
    site.server.api.ready("Pod", "web", site.namespace)
    point = site.take(mode="auto")
    (entry,) = point.content["kubernetes"]["volumes"]
    assert (entry["read_in"], entry["files"]) == ("web", 1)
    # Whoever has files open is not given others.
    (root / "one").write_text("2", encoding="utf-8")
    with pytest.raises(Refused, match="web") as raised:
        site.fill(point)
    assert "component_consumers" in str(raised.value)
    assert (root / "one").read_text(encoding="utf-8") == "2"


PHASES = ("before anything", "one thing aside", "all aside", "one thing in", "all in")


@pytest.mark.parametrize("phase", PHASES)
def test_a_swap_that_was_killed_is_finished(site: Volumes, phase: str) -> None:
    """The states that a killed swap can leave, made by hand; the next restore ends with the point's files and all of the old."""
    root = site.claim("data")
    site.map("data")
    for name in ("a", "b"):
        (root / name).write_text("stored", encoding="utf-8")
    point = site.take(mode="files")
    before, prepared = root / ".sre-runbooks-before-then", root / volume_files.RESTORING
    prepared.mkdir()
    for name in ("a", "b"):
        (root / name).write_text("live", encoding="utf-8")
        (prepared / name).write_text("stored", encoding="utf-8")
        os.utime(prepared / name, (1, 1))
    number = PHASES.index(phase)
    (root / ".sre-runbooks-swap").write_text(f"{'aside' if number < 3 else 'swap'} {before.name}\n", encoding="utf-8")
    for name in [[], ["a"], ["a", "b"], ["a", "b"], ["a", "b"]][number]:
        before.mkdir(exist_ok=True)
        (root / name).rename(before / name)
    for name in [[], [], [], ["a"], ["a", "b"]][number]:
        (prepared / name).rename(root / name)
    site.fill(point)
    assert {name: (root / name).read_text(encoding="utf-8") for name in ("a", "b")} == {"a": "stored", "b": "stored"}
    assert {name: (before / name).read_text(encoding="utf-8") for name in ("a", "b")} == {"a": "live", "b": "live"}
    assert not prepared.exists() and not (root / ".sre-runbooks-swap").exists()


def test_an_archive_that_arrives_changed_is_not_swapped_in(site: Volumes, monkeypatch: pytest.MonkeyPatch) -> None:
    root = site.claim("data")
    site.map("data")
    (root / "one").write_text("stored", encoding="utf-8")
    point = site.take(mode="files")
    (root / "one").write_text("live", encoding="utf-8")
    whole = volume_files.prepare

    def damaging(place: t.Any, claim: str, archive: t.Any) -> None:
        whole(place, claim, archive)
        (root / volume_files.RESTORING / "one").write_text("st0red", encoding="utf-8")

    monkeypatch.setattr(volumes, "prepare", damaging)
    with pytest.raises(Exception, match="one is another"):
        site.fill(point)
    assert (root / "one").read_text(encoding="utf-8") == "live"


def test_a_stream_that_is_cut_leaves_no_object(site: Volumes, faulty_api: t.Any) -> None:
    root = site.claim("data")
    site.map("data")
    (root / "big").write_bytes(os.urandom(2_000_000))
    faulty_api.cut_streams_after(900_000)
    writer = begin_point(site.repository, COMPONENT, "kubernetes", None)
    with connect({"kubeconfig": site.server.kubeconfig, "host": faulty_api.url}) as cluster:
        with pytest.raises(StreamBroken):
            volumes.take_volumes(
                cluster, site.namespace, VolumeChoice("files"), writer, Encoding(), Progress(None), lambda: None
            )
    assert writer.objects == [] and list_points(site.repository, COMPONENT).points == []
    assert site.helpers() == []


def test_choices(site: Volumes) -> None:
    site.claim("data")
    site.claim("raw", volumeMode="Block")
    with pytest.raises(Refused, match="raw is a block device"):
        site.take(mode="auto", by_claim={"data": "none"})
    point = site.take(mode="none")
    assert {entry["mode"] for entry in point.content["kubernetes"]["volumes"]} == {"none"}
    assert site.fill(point) == [] and site.provide(point) == []
    with pytest.raises(Refused, match="dada"):
        site.take(mode="none", by_claim={"dada": "files"})
    with pytest.raises(InvalidInput, match="snapshots"):
        VolumeChoice("snapshots")
    with pytest.raises(Refused, match="no snapshot can be taken of claim data"):
        site.take(mode="none", by_claim={"data": "snapshot"})


@pytest.fixture
def snapshots(site: Volumes) -> Volumes:
    site.server.serve_snapshots()
    return site


def test_a_snapshot_outlives_its_namespace_and_becomes_a_claim_again(snapshots: Volumes) -> None:
    site = snapshots
    root = site.claim("data")
    (root / "one").write_text("stored", encoding="utf-8")
    point = site.take()
    (entry,) = point.content["kubernetes"]["volumes"]
    assert entry["mode"] == "snapshot" and entry["consistent"]
    assert entry["snapshot"]["handle"] and entry["snapshot"]["restore_size"] == "1Gi"
    (root / "one").write_text("lost", encoding="utf-8")
    with pytest.raises(Refused, match="a snapshot only ever becomes a new one"):
        site.provide(point)
    site.server.api.delete("v1", "Namespace", site.namespace)
    site.server.make_namespace(site.namespace)
    assert site.provide(point) == ["data"]
    site.bound("data")
    fresh = site.server.volume_directory(site.namespace, "data")
    assert (fresh / "one").read_text(encoding="utf-8") == "stored"
    assert site.provide(point) == []
    # Beside, under another name, for a drill.
    site.server.make_namespace(f"{site.namespace}-drill")
    assert site.provide(point, f"{site.namespace}-drill") == ["data"]
    site.bound("data", f"{site.namespace}-drill")
    site.server.api.delete("v1", "Namespace", f"{site.namespace}-drill", gone_s=0)


def test_snapshots_go_with_their_recovery_points(snapshots: Volumes) -> None:
    site = snapshots
    site.claim("data")
    first, second = site.take(), site.take()
    names = {
        point.point_id: point.content["kubernetes"]["volumes"][0]["snapshot"]["content"] for point in (first, second)
    }
    with site.cluster as cluster:
        assert remove_unreferenced(cluster, "elsewhere", COMPONENT, ()) == []
        removed = remove_unreferenced(cluster, site.repository.id, COMPONENT, {second.point_id})
    assert removed == [names[first.point_id]]
    wait(lambda: site.server.api.find(SNAPSHOTS, "VolumeSnapshotContent", removed[0]) is None, "the content's end")
    assert site.server.api.find(SNAPSHOTS, "VolumeSnapshotContent", names[second.point_id])
    left = site.server.api.list(SNAPSHOTS, "VolumeSnapshot", site.namespace)
    assert len(left) == 1


def expand(site: Volumes, size: str, claim: str = "data", check: bool = False, **params: t.Any) -> dict[str, t.Any]:
    own = {"kubeconfig": site.server.kubeconfig, "namespace": site.namespace, "claim": claim, "size": size, **params}
    return call_module("kubernetes_volume_size", own, check)


def test_a_claim_grows_and_never_shrinks(site: Volumes) -> None:
    site.claim("data")
    would = expand(site, "2Gi", check=True)
    assert would["changed"] and would["claim"]["capacity"] == "2Gi" and would["diff"]["before"]["capacity"] == "1Gi"
    assert expand(site, "1Gi")["changed"] is False
    done = expand(site, "2Gi")
    assert done["changed"] and done["diff"] == would["diff"], done
    assert done["message"] == f"claim {site.namespace}/data grew from 1Gi to 2Gi"
    again = expand(site, "2048Mi")
    assert not again["changed"] and again["claim"]["capacity"] == "2Gi"
    shrunk = expand(site, "1Gi")
    assert shrunk["error"]["kind"] == "refused" and "never shrinks" in shrunk["msg"]
    assert expand(site, "1Gi", check=True)["failed"]


def test_sizes_that_cannot_be(site: Volumes) -> None:
    site.claim("fixed", storageClassName="fixed")
    assert "allowVolumeExpansion" in expand(site, "2Gi", "fixed")["msg"]
    assert "no quantity" in expand(site, "two", "fixed")["msg"]
    assert "there is no such claim" in expand(site, "2Gi", "nowhere")["msg"]
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": "none", "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": "waiting", "namespace": site.namespace}
    site.server.api.create({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})
    assert "no volume to expand" in expand(site, "2Gi", "waiting")["msg"]


def test_an_expansion_that_fails_or_was_killed_is_waited_for_again(site: Volumes) -> None:
    site.claim("data")
    item = site.server.api.get("v1", "PersistentVolumeClaim", "data", site.namespace)
    site.server.stop_part("storage")
    try:
        late = expand(site, "2Gi", timeout="1s")
        assert late["failed"] and "waiting for the driver" in late["msg"]
        error = {"type": "ControllerResizeError", "status": "True", "message": "the array is full"}
        site.server.api.patch(item, {"status": {"conditions": [error]}}, "status")
        assert "the array is full" in expand(site, "2Gi")["msg"]
        pending = {"type": "FileSystemResizePending", "status": "True"}
        site.server.api.patch(item, {"status": {"conditions": [pending]}}, "status")
        done = expand(site, "2Gi")
        assert not done["changed"] and done["claim"]["pending"] and "when a pod next has it" in done["message"]
    finally:
        site.server.start_part("storage")
    done = expand(site, "2Gi")
    assert not done["changed"] and done["claim"] == {
        "claim": "data",
        "request": "2Gi",
        "capacity": "2Gi",
        "pending": False,
    }
