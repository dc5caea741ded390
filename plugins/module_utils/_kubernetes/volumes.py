# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a namespace's claims hold, as part of its recovery point: by snapshot where the cluster has them, else by file."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import Forbidden
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.volume_files import (
    VolumeReading,
    compare,
    prepare,
    release,
    require_space,
    swap,
    swapping,
    unlike,
)
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.volume_pod import mounted, refuse_users
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.volume_snapshots import (
    COMPONENT_LABEL,
    POINT_LABEL,
    REPOSITORY_LABEL,
    claim_from_snapshot,
    remove_unreferenced,
    snapshot_classes,
    take_snapshot,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import (
    Encoding,
    Identities,
    open_decoded,
    store_stream,
)
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import PointWriter, list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import Store

MODES = ("auto", "snapshot", "files", "none")
HELPER_IMAGE = "busybox:1.37"
_ANNOTATED_DRIVER = "volume.kubernetes.io/storage-provisioner"


@dataclasses.dataclass(frozen=True)
class VolumeChoice:
    """How volumes are taken: ``mode`` for every claim that ``by_claim`` does not name.

    :arg image: of the helper pod that files are read and written in where no pod has the claim.
    :raises InvalidInput: a mode that there is not.
    """

    mode: str = "auto"
    by_claim: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    image: str = HELPER_IMAGE

    def __post_init__(self) -> None:
        for mode in (self.mode, *self.by_claim.values()):
            if mode not in MODES:
                raise InvalidInput("not a way to take a volume", expected=", ".join(MODES), found=repr(mode))

    def of(self, claim: str) -> str:
        return self.by_claim.get(claim, self.mode)


def take_volumes(
    cluster: Cluster,
    namespace: str,
    choice: VolumeChoice,
    writer: PointWriter,
    encoding: Encoding,
    progress: Progress,
    check: t.Callable[[], None],
) -> list[dict[str, t.Any]]:
    """Take what the namespace's claims hold; one entry a claim, for ``content["kubernetes"]["volumes"]`` of the manifest.

    ``mode`` says how, ``reason`` why not where it is ``none``; ``consistent`` whether it is one moment of the volume.
    The component's snapshots of recovery points that are no more are removed.

    :raises Refused: a claim was to be taken in a way that it has not, or a choice names a claim that there is not.
    """
    claims = cluster.get(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims").get("items") or []
    names = {str(claim["metadata"]["name"]) for claim in claims}
    unknown = sorted(set(choice.by_claim) - names)
    if unknown:
        raise Refused(
            "a choice was made for claims that there are not",
            writer.component,
            expected=f"claims of namespace {namespace}: {', '.join(sorted(names)) or 'it has none'}",
            found=", ".join(unknown),
            next_command="correct component_kubernetes_volumes_by_claim in the inventory",
        )
    if all(choice.of(name) == "none" for name in names):
        return [_entry(claim, "none", "it was chosen to leave it out") for claim in claims]
    classes = _classes(cluster, namespace, [choice.of(name) for name in names], writer.component)
    if classes:
        listing = list_points(writer.repository, writer.component)
        kept = {point.point_id for point in listing.points} | {point.point_id for point in listing.damaged}
        remove_unreferenced(cluster, writer.repository.id, writer.component, kept)
    entries = []
    for number, claim in enumerate(sorted(claims, key=lambda item: str(item["metadata"]["name"])), 1):
        check()
        mode, detail = _way(cluster, claim, choice.of(claim["metadata"]["name"]), classes, writer.component)
        entry = _entry(claim, mode, detail if mode == "none" else "")
        if mode == "snapshot":
            labels = {
                REPOSITORY_LABEL: writer.repository.id,
                COMPONENT_LABEL: writer.component,
                POINT_LABEL: writer.point_id,
            }
            progress.step(f"snapshot of claim {entry['claim']}")
            entry["snapshot"] = take_snapshot(cluster, namespace, entry["claim"], detail, labels, check)
        elif mode == "files":
            progress.step(f"files of claim {entry['claim']}")
            prefix = f"volumes/{number:04d}"
            entry.update(
                _take_files(cluster, namespace, entry["claim"], choice.image, prefix, writer, encoding, progress)
            )
        entries.append(entry)
    return entries


def _entry(claim: t.Mapping[str, t.Any], mode: str, reason: str) -> dict[str, t.Any]:
    spec = {
        key: value for key, value in claim["spec"].items() if key not in ("volumeName", "dataSource", "dataSourceRef")
    }
    entry = {"claim": str(claim["metadata"]["name"]), "mode": mode, "spec": spec, "consistent": mode == "snapshot"}
    return {**entry, "reason": reason} if reason else entry


def _way(
    cluster: Cluster, claim: t.Mapping[str, t.Any], wanted: str, classes: t.Mapping[str, str], component: str
) -> tuple[str, str]:
    """How this claim is taken, with the class of the snapshot or the reason why it is not."""
    name = claim["metadata"]["name"]
    if wanted == "none":
        return "none", "it was chosen to leave it out"
    if (claim.get("status") or {}).get("phase") != "Bound":
        return "none", "it has no volume yet"
    driver = _driver(cluster, claim) if classes else ""
    if wanted in ("auto", "snapshot") and driver in classes:
        return "snapshot", classes[driver]
    if wanted == "snapshot":
        raise Refused(
            f"no snapshot can be taken of claim {name}",
            component,
            expected=f"a VolumeSnapshotClass of its driver{f' {driver}' if driver else ''}",
            found=f"classes of {', '.join(sorted(classes))}" if classes else "a cluster without any",
            next_command="take its files instead: component_kubernetes_volumes_by_claim in the inventory",
        )
    if claim["spec"].get("volumeMode") == "Block":
        raise Refused(
            f"claim {name} is a block device, which has no files to take",
            component,
            expected="a snapshot class of its driver, or that it is left out on purpose",
            found=f"no class for driver {driver}" if driver else "no class for snapshots of it",
            next_command=f"set component_kubernetes_volumes_by_claim to {{{name}: none}} if it needs no backup",
        )
    return "files", ""


def _classes(cluster: Cluster, namespace: str, wanted: t.Container[str], component: str) -> dict[str, str]:
    """The classes of snapshots for each driver, where any are of use."""
    if "auto" not in wanted and "snapshot" not in wanted:
        return {}
    try:
        return snapshot_classes(cluster)
    except Forbidden as error:
        raise Refused(
            "this identity may not ask whether snapshots can be taken of claims",
            component,
            expected="the roles sre-runbooks-snapshot-contents and, in the namespace, sre-runbooks-snapshots",
            found=error.found,
            next_command="take the files instead (component_kubernetes_volumes: files), or bind them (docs/kubernetes.md#rights):"
            " kubectl create clusterrolebinding sre-runbooks-snapshot-contents --clusterrole sre-runbooks-snapshot-contents"
            " --serviceaccount sre-runbooks:sre-runbooks-backup; and"
            f" kubectl create rolebinding -n {namespace} sre-runbooks-snapshots --clusterrole sre-runbooks-snapshots"
            " --serviceaccount sre-runbooks:sre-runbooks-backup",
        ) from None


def _driver(cluster: Cluster, claim: t.Mapping[str, t.Any]) -> str:
    # By list, which an identity that backs up may, where it may not get single objects.
    query = {"fieldSelector": f"metadata.name={claim['spec'].get('volumeName')}"}
    volumes: list[dict[str, t.Any]] = [{}]
    with contextlib.suppress(Forbidden):  # mostly the claim itself tells
        volumes = cluster.get("/api/v1/persistentvolumes", query).get("items") or volumes
    driver = ((volumes[0].get("spec") or {}).get("csi") or {}).get("driver")
    return str(driver or (claim["metadata"].get("annotations") or {}).get(_ANNOTATED_DRIVER) or "")


def _take_files(
    cluster: Cluster,
    namespace: str,
    claim: str,
    image: str,
    prefix: str,
    writer: PointWriter,
    encoding: Encoding,
    progress: Progress,
) -> dict[str, t.Any]:
    store, archive, listing = writer.repository.store, f"{prefix}.tar", f"{prefix}.jsonl"
    with mounted(cluster, namespace, claim, image) as place, tempfile.TemporaryFile() as lines:
        reading = VolumeReading(place, claim, lines)
        name = archive + encoding.suffix
        writer.add(store_stream(store, writer.object_key(name), name, reading, encoding, progress))
        lines.seek(0)
        name = listing + encoding.suffix
        writer.add(store_stream(store, writer.object_key(name), name, lines, encoding))
    if reading.taken is None:  # set at the end, which was reached; said for the type checker
        raise AssertionError("no end")
    total = reading.taken.total
    return {
        "archive": archive + encoding.suffix,
        "listing": listing + encoding.suffix,
        "files": total.files,
        "entries": total.entries,
        "bytes": total.bytes,
        "root": total.root,
        "changed_while_read": reading.taken.changed,
        "read_in": place.container.pod,
    }


def provide_claims(
    cluster: Cluster, namespace: str, point_id: str, entries: t.Iterable[t.Mapping[str, t.Any]]
) -> list[str]:
    """Before claims are applied: those that come from a snapshot, made from it; the names of those that are new.

    :arg entries: what :func:`take_volumes` returned. :raises Refused: see :func:`claim_from_snapshot`.
    """
    return [
        str(entry["claim"])
        for entry in entries
        if entry["mode"] == "snapshot"
        and claim_from_snapshot(cluster, namespace, entry["claim"], entry["spec"], entry["snapshot"], point_id)
    ]


def fill_volumes(
    cluster: Cluster,
    namespace: str,
    point: RecoveryPoint,
    entries: t.Iterable[t.Mapping[str, t.Any]],
    store: Store,
    identities: Identities,
    progress: Progress,
    check: t.Callable[[], None],
    image: str = HELPER_IMAGE,
    different: t.Container[str] = (),
) -> list[dict[str, t.Any]]:
    """Once claims are there and before workloads are: the files into those that are kept by file.

    Beside what a volume holds, compared with the listing, then swapped; what was there stays until it is released.
    A volume that already holds what the recovery point does is left alone. One entry a claim: ``claim``, ``changed``,
    ``kept`` (whether there was something before).

    :arg different: claims that are known to hold something else, and are not compared once more beforehand.
    :raises Refused: a claim is in use, or has too little space.
    :raises AssertionFailed: what was written is not what was stored; nothing was swapped.
    """
    objects = {stored.name: stored for stored in point.objects}
    done = []
    for entry in entries:
        if entry["mode"] != "files":
            continue
        check()
        claim = str(entry["claim"])
        refuse_users(cluster, namespace, claim)
        progress.step(f"files of claim {claim}", entry.get("bytes"))
        with mounted(cluster, namespace, claim, image, fresh=True) as place, tempfile.TemporaryFile() as listing:
            fetch_listing(store, point, entry, identities, listing)
            begun = swapping(place, claim)
            if begun:
                swap(place, claim, point.point_id, entry.get("root"))
            if (begun or claim not in different) and not unlike(place, claim, listing):
                done.append({"claim": claim, "changed": False, "kept": False})
                continue
            require_space(place, claim, int(entry.get("bytes") or 0))
            with open_decoded(store, objects[entry["archive"]], identities, progress) as archive:
                prepare(place, claim, archive)
            listing.seek(0)
            compare(place, claim, listing)
            check()
            # Writing may have taken hours, and somebody may have come since.
            refuse_users(cluster, namespace, claim)
            kept = swap(place, claim, point.point_id, entry.get("root"))
        done.append({"claim": claim, "changed": True, "kept": kept})
    return done


def release_volumes(
    cluster: Cluster, namespace: str, entries: t.Iterable[t.Mapping[str, t.Any]], image: str = HELPER_IMAGE
) -> list[str]:
    """Remove what former restores kept in the volumes; the claims where there was anything."""
    released = []
    for entry in entries:
        if entry["mode"] == "files":
            # Never in the pod of whoever has the claim, who seldom may remove what we put aside.
            with mounted(cluster, namespace, entry["claim"], image, fresh=True) as place:
                if release(place, entry["claim"]):
                    released.append(str(entry["claim"]))
    return released


def fetch_listing(
    store: Store, point: RecoveryPoint, entry: t.Mapping[str, t.Any], identities: Identities, target: t.BinaryIO
) -> None:
    """The list of a claim's files, as it was stored, into an empty file that is to be read from its beginning."""
    (stored,) = (stored for stored in point.objects if stored.name == entry["listing"])
    with open_decoded(store, stored, identities) as lines:
        for chunk in lines:
            target.write(chunk)
    target.seek(0)
