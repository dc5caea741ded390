# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Histories that somebody tampered with are found and named; honest ones, with expiries and pins, never raise an alarm."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._repository import anchors as anchors_module
from ansible_collections.sre.runbooks.plugins.module_utils._repository.anchors import (
    Known,
    contents_digest,
    settled_proofs,
    write_anchor,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import sealed_json
from ansible_collections.sre.runbooks.plugins.module_utils._repository.examine import (
    Examination,
    Question,
    examine,
    head_text,
    parse_head,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.findings import KINDS
from ansible_collections.sre.runbooks.plugins.module_utils._repository.links import Link
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint, StoredObject
from ansible_collections.sre.runbooks.plugins.module_utils._repository.pins import write_pin
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import write_proof
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
from ansible_collections.sre.runbooks.plugins.module_utils._repository.signatures import generate_key, with_signing
from ansible_collections.sre.runbooks.plugins.module_utils._repository.tombstones import Tombstone, write_tombstone

from .versioned_store import VersionedStore

HOUR = datetime.timedelta(hours=1)
SECRET, PUBLIC = generate_key()


class Timeline:
    """A clock for everything that a history is written with: the store's stamps come from it too."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time = datetime.datetime(2026, 11, 1, tzinfo=datetime.timezone.utc)
        monkeypatch.setattr(_clock, "now", lambda: self.time)

    def pass_by(self, delta: datetime.timedelta = HOUR) -> None:
        self.time += delta


class Component:
    """A component's history in a store in memory, and what may happen to it, honest or not."""

    def __init__(self, timeline: Timeline, features: t.Iterable[str] = ()) -> None:
        self.timeline = timeline
        self.store = VersionedStore(features)
        self.repository = Repository(self.store, "an-id", "testing")
        self.points: list[RecoveryPoint] = []

    def take(self) -> RecoveryPoint:
        self.timeline.pass_by()
        writer = begin_point(self.repository, "db", "postgresql", None)
        key = writer.object_key("a")
        data = f"content {len(self.points)}".encode()
        version = self.repository.store.create(key, data)
        digest = hashlib.sha256(data).hexdigest()
        writer.add(StoredObject("a", key, len(data), digest, len(data), digest, [], version_id=version))
        at = self.timeline.time
        self.timeline.pass_by(datetime.timedelta(minutes=1))
        point = writer.commit(
            engine_version="15", consistency_time=at, content={}, restore_guide="", started=at, duration_s=60.0
        )
        self.points.append(point)
        return point

    def expire(self, point: RecoveryPoint) -> None:
        self.timeline.pass_by()
        write_tombstone(
            self.repository,
            Tombstone(
                component="db",
                point_id=point.point_id,
                expired_at=self.timeline.time,
                run_id=None,
                reason="a test",
                policy={},
                manifest_sha256=point.manifest_sha256,
                sequence=point.sequence,
                previous=point.previous,
                previous_sha256=point.previous_sha256,
                consistency_time=point.consistency_time,
                level=point.level,
                size=point.size,
                objects_count=len(point.objects),
            ),
        )
        for found in list(self.store.list(point.prefix)):
            self.store.delete(found.key)

    def examine(self, **question: t.Any) -> Examination:
        return examine(self.repository, "db", Question(**question))

    def anchor(self) -> str:
        """As ``verify_backups`` does when it found nothing."""
        self.timeline.pass_by()
        found = self.examine()
        assert found.findings == []
        head = found.head
        until = self.timeline.time - anchors_module.SETTLED
        known = {
            entry.point_id: Known(
                point.digest,
                entry,
                *settled_proofs(point.proofs, until),
                contents_digest(point.proofs, until, found.proofs[entry.point_id]),
            )
            for entry, point in found.retained()
        }
        return write_anchor(
            self.repository,
            "db",
            found.anchors.newest,
            Link(head.point_id, head.sequence, head.sha256) if head else None,
            known,
            found.expired(),
            self.timeline.time,
            None,
        )

    def manifest(self, point: RecoveryPoint) -> bytes:
        return t.cast(bytes, self.store.objects[point.manifest_key][-1].content)

    def edited(self, point: RecoveryPoint, **changes: t.Any) -> bytes:
        """The manifest with other content and a digest that fits: what somebody with write access can make."""
        return dataclasses.replace(RecoveryPoint.from_manifest(self.manifest(point)), **changes).to_manifest()

    def forget_taken(self, point: RecoveryPoint) -> None:
        """Somebody thorough removes what the first proof remembers."""
        for key in [key for key in self.store.objects if key.startswith(f"{point.prefix}proofs/taken-")]:
            self.store.purge(key)


@pytest.fixture
def timeline(monkeypatch: pytest.MonkeyPatch) -> Timeline:
    return Timeline(monkeypatch)


@pytest.fixture
def component(timeline: Timeline) -> Component:
    return Component(timeline)


def kinds(found: Examination) -> dict[str, str]:
    """Kinds by subject; and every finding says all that an operator needs."""
    for finding in found.findings:
        assert finding.kind in KINDS
        assert finding.detail and finding.expected and finding.found and finding.next_command
    return {finding.subject: finding.kind for finding in found.findings}


def history(component: Component, count: int = 5) -> list[RecoveryPoint]:
    return [component.take() for _ in range(count)]


def remove(component: Component, point: RecoveryPoint) -> None:
    for key in [key for key in component.store.objects if key.startswith(point.prefix)]:
        component.store.purge(key)


def test_an_empty_history_is_intact(component: Component) -> None:
    found = component.examine()
    assert found.findings == [] and found.head is None and found.facts()["intact"]


@pytest.mark.parametrize("which", [0, 2, 3])
def test_a_removed_point_is_named(component: Component, which: int) -> None:
    points = history(component)
    remove(component, points[which])
    assert kinds(component.examine()) == {points[which].point_id: "removed"}


def test_a_removed_tail_is_found_by_the_anchor_and_by_the_head_that_an_auditor_kept(component: Component) -> None:
    points = history(component)
    kept = parse_head(head_text(t.cast(t.Any, component.examine().head)))
    assert kept.point_id == points[-1].point_id
    component.anchor()
    remove(component, points[-1])
    assert kinds(component.examine()) == {points[-1].point_id: "removed"}
    for key in [key for key in component.store.objects if "/evidence/" in key]:
        component.store.purge(key)
    assert kinds(component.examine()) == {}
    assert kinds(component.examine(expected_head=kept)) == {points[-1].point_id: "removed"}
    # A new point that takes the place of the removed one does not help either.
    component.take()
    assert kinds(component.examine(expected_head=kept)) == {points[-1].point_id: "removed"}


def test_a_removed_anchor_is_named_by_the_next_one(component: Component) -> None:
    history(component, 2)
    first = component.anchor()
    component.take()
    component.anchor()
    assert kinds(component.examine()) == {}
    component.store.purge(first)
    assert kinds(component.examine()) == {first[len("components/db/") :]: "removed"}


def test_an_altered_anchor_or_its_state_is_named(component: Component) -> None:
    history(component, 2)
    anchor = component.anchor()
    content = component.store.objects[anchor][-1].content or b""
    component.store.replace(anchor, content.replace(b'"sequence": 2', b'"sequence": 1'))
    assert kinds(component.examine()) == {anchor[len("components/db/") :]: "altered"}
    component.store.replace(anchor, content)
    state = anchor.replace(".json", "-state.json")
    forged = json.loads(component.store.objects[state][-1].content or b"")
    component.store.replace(state, sealed_json({**forged, "points": {}}))
    assert kinds(component.examine()) == {state[len("components/db/") :]: "altered"}


@pytest.mark.parametrize("which", [0, 2, 4])
def test_an_edit_with_a_digest_that_fits_is_named(component: Component, which: int) -> None:
    points = history(component)
    component.store.replace(points[which].manifest_key, component.edited(points[which], engine_version="16"))
    assert kinds(component.examine()) == {points[which].point_id: "altered"}
    # Without the memory of the first proof the next link says it, and for the head the anchor.
    component.store.replace(points[which].manifest_key, points[which].to_manifest())
    component.anchor()
    component.store.replace(points[which].manifest_key, component.edited(points[which], engine_version="16"))
    component.forget_taken(points[which])
    assert kinds(component.examine())[points[which].point_id] == "altered"


def test_a_damaged_manifest_is_named_once(component: Component) -> None:
    points = history(component)
    component.store.replace(points[2].manifest_key, b"{")
    assert kinds(component.examine()) == {points[2].point_id: "altered"}


def test_two_swapped_manifests_are_named(component: Component) -> None:
    points = history(component)
    first, second = component.manifest(points[1]), component.manifest(points[3])
    component.store.replace(points[1].manifest_key, second)
    component.store.replace(points[3].manifest_key, first)
    assert kinds(component.examine()) == {points[1].point_id: "reordered", points[3].point_id: "reordered"}


def test_an_old_manifest_in_the_place_of_a_newer_one_is_named(component: Component) -> None:
    points = history(component)
    component.store.replace(points[4].manifest_key, component.manifest(points[1]))
    assert kinds(component.examine()) == {points[4].point_id: "duplicated"}


def test_two_points_in_one_place_are_named(component: Component) -> None:
    points = history(component)
    component.store.replace(points[3].manifest_key, component.edited(points[3], sequence=3))
    component.forget_taken(points[3])
    found = kinds(component.examine())
    assert found[points[3].point_id] in ("duplicated", "reordered")
    assert "duplicated" in found.values()


def test_points_that_changed_their_places_are_named(component: Component) -> None:
    points = history(component)
    for one, other in ((1, 2), (2, 1)):
        component.forget_taken(points[one])
        changed = component.edited(points[one], sequence=points[other].sequence)
        component.store.replace(points[one].manifest_key, changed)
    assert "reordered" in kinds(component.examine()).values()


def test_a_point_that_claims_an_earlier_time_is_named(component: Component) -> None:
    points = history(component)
    component.forget_taken(points[4])
    week = datetime.timedelta(days=7)
    for changes in (
        {"recorded": component.timeline.time - week},
        {"consistency_time": component.timeline.time - week},
        {"consistency_time": points[4].consistency_time - week, "started": points[4].started - week},
    ):
        honest = component.manifest(points[4])
        component.store.replace(points[4].manifest_key, component.edited(points[4], **changes))
        assert kinds(component.examine()) == {points[4].point_id: "back-dated"}
        # A repository that was copied has no times of its own to compare with.
        assert kinds(component.examine(clock_bound_s=0)) == {}
        component.store.replace(points[4].manifest_key, honest)


def test_a_point_that_shows_a_moment_at_which_it_was_not_taken_is_named(component: Component) -> None:
    points = history(component)
    component.forget_taken(points[4])
    later = points[4].finished + HOUR
    component.store.replace(points[4].manifest_key, component.edited(points[4], consistency_time=later))
    assert kinds(component.examine()) == {points[4].point_id: "back-dated"}


def test_a_point_that_all_clocks_put_before_an_older_one_is_named(component: Component) -> None:
    history(component)
    component.timeline.time -= datetime.timedelta(days=7)
    point = component.take()
    (finding,) = component.examine().findings
    assert (finding.kind, finding.subject) == ("back-dated", point.point_id)
    assert finding.found.startswith("recorded")


def test_a_manifest_that_the_store_received_later_than_it_says_is_named(component: Component) -> None:
    points = history(component)
    versions = component.store.objects[points[4].manifest_key]
    versions[-1] = dataclasses.replace(versions[-1], modified=versions[-1].modified + 24 * HOUR)
    assert kinds(component.examine()) == {points[4].point_id: "back-dated"}


def test_a_forged_tombstone_that_contradicts_the_history_is_named(component: Component) -> None:
    points = history(component)
    component.expire(dataclasses.replace(points[2], manifest_sha256="0" * 64))
    assert kinds(component.examine()) == {points[2].point_id: "altered"}


def test_the_first_of_the_history_has_no_hash_of_one_before_it(component: Component) -> None:
    points = history(component)
    component.expire(dataclasses.replace(points[0], previous_sha256="0" * 64))
    assert kinds(component.examine()) == {points[0].point_id: "altered"}


@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize("sealed", [False, True])
def test_an_edited_proof_is_found_every_time(component: Component, everything: bool, sealed: bool) -> None:
    """Of the same length, in a point of which nothing else changed: in the ordinary verification, not only in a full one."""
    (point, *_others) = history(component, 2)
    write_proof(component.repository, point, "asserted", None, 1.25, {"rows": 100})
    component.timeline.pass_by()
    component.anchor()
    component.anchor()
    assert kinds(component.examine(everything=everything)) == {}
    (key,) = [key for key in component.store.objects if "/asserted-" in key]
    content = t.cast(bytes, component.store.objects[key][-1].content).replace(
        b'"duration_s": 1.25', b'"duration_s": 9.25'
    )
    if sealed:
        body = json.loads(content)
        content = sealed_json({name: value for name, value in body.items() if name not in ("format", "digest")})
    assert len(content) == len(component.store.objects[key][-1].content)
    component.store.objects[key][-1] = dataclasses.replace(component.store.objects[key][-1], content=content)
    subject = f"points/{point.point_id}/proofs" + ("" if sealed else f"/{key.rpartition('/')[2]}")
    assert kinds(component.examine(everything=everything)) == {subject: "altered"}


def test_a_proof_taken_away_or_slipped_in_is_named(component: Component) -> None:
    (point,) = history(component, 1)
    write_proof(component.repository, point, "verified", None, 1.0, {}, outcome="failed")
    component.timeline.pass_by()
    write_proof(component.repository, point, "verified", None, 1.0, {})
    component.anchor()
    assert kinds(component.examine()) == {}
    (failed,) = [key for key in component.store.objects if "verified-failed" in key]
    content = component.store.objects.pop(failed)
    found = kinds(component.examine())
    assert found[failed[len("components/db/") :]] == "removed" and found[f"points/{point.point_id}/proofs"] == "removed"
    component.store.objects[failed] = content
    assert kinds(component.examine()) == {}
    component.store.put(failed.replace("verified-failed", "asserted"), b"{}")
    assert kinds(component.examine())[f"points/{point.point_id}/proofs"] == "back-dated"


def test_what_a_delete_marker_hides_and_what_was_written_over_is_named(timeline: Timeline) -> None:
    component = Component(timeline, ["versions"])
    points = history(component)
    component.expire(points[0])
    unfinished = begin_point(component.repository, "db", "postgresql", None)
    component.store.create(unfinished.object_key("a"), b"x")
    component.store.delete(unfinished.object_key("a"))
    assert kinds(component.examine()) == {}
    component.store.delete(points[1].manifest_key)
    component.store.delete(points[2].objects[0].key)
    component.store.put(points[3].manifest_key, component.edited(points[3], engine_version="16"))
    found = kinds(component.examine())
    assert found[points[1].point_id] == "hidden"
    assert found[points[2].objects[0].key[len("components/db/") :]] == "hidden"
    assert found[points[3].manifest_key[len("components/db/") :]] == "altered"


def test_signatures_are_asked_for(component: Component) -> None:
    signing = with_signing(component.repository, {"signing_key": SECRET})
    other_secret, _other = generate_key()
    component.repository = signing
    first = component.take()
    component.repository = with_signing(component.repository, {"signing_key": other_secret})
    second = component.take()
    component.repository = dataclasses.replace(signing, signer=None)
    third = component.take()
    public = {"signing_public_keys": [str(PUBLIC)]}
    component.repository = with_signing(signing, {**public, "require_signature": True})
    found = kinds(component.examine())
    assert first.point_id not in found
    assert (found[second.point_id], found[third.point_id]) == ("forged signature", "unsigned")
    component.repository = with_signing(signing, public)
    assert "unsigned" not in kinds(component.examine()).values()


def test_an_accepted_finding_is_kept_apart(component: Component) -> None:
    points = history(component)
    remove(component, points[2])
    (finding,) = component.examine().findings
    found = component.examine(accepted=[finding.id])
    assert found.findings == [] and found.accepted == [finding] and found.facts()["intact"]


def test_what_goes_on_meanwhile_is_no_finding(component: Component, monkeypatch) -> None:
    """A point expires between the listing and the reading of its manifest."""
    points = history(component)
    real = component.store.read

    def read(key: str, limit: int, version: str | None = None) -> bytes:
        if key == points[1].manifest_key and points[1].point_id not in gone:
            gone.append(points[1].point_id)
            component.expire(points[1])
        return real(key, limit, version)

    gone: list[str] = []
    monkeypatch.setattr(component.store, "read", read)
    assert component.examine().findings == [] and gone


@pytest.mark.parametrize("text", ["", "1", "1:20261121T120000Z-a1b2:xyz", "x:20261121T120000Z-a1b2:" + "0" * 64])
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_head(text)


def test_nothing_is_opened_again_while_its_listing_is_the_same(component: Component) -> None:
    points = history(component)
    component.expire(points[0])
    anchors = [component.anchor() for _ in range(12)]
    component.store.reads.clear()
    assert component.examine(everything=False).findings == []
    # Proofs are small and what a restore chooses by: each is read every time.
    read = {key for key in component.store.reads if "-state" not in key}
    assert sorted(key for key in read if "/proofs/" not in key) == anchors[-10:]
    assert {key for key in read if "/proofs/" in key} == {
        key for key in component.store.objects if "/proofs/" in key and points[0].point_id not in key
    }
    component.store.put(points[1].manifest_key, component.edited(points[1], engine_version="16"))
    found = component.examine(everything=False)
    assert {finding.id for finding in found.findings} >= {f"altered {points[1].point_id}"}


HONEST = st.lists(
    st.sampled_from(["take", "take", "expire", "pin", "proof", "anchor", "unfinished", "other"]), max_size=14
)


def live(component: Component, steps: t.Iterable[str], data: st.DataObject) -> None:
    """A history as it may honestly come to be."""
    kept: list[RecoveryPoint] = []
    for step in steps:
        component.timeline.pass_by(datetime.timedelta(minutes=data.draw(st.integers(0, 300))))
        if step == "take" or not kept:
            kept.append(component.take())
        elif step == "expire":
            component.expire(kept.pop(data.draw(st.integers(0, len(kept) - 1))))
        elif step == "pin":
            point = data.draw(st.sampled_from(kept))
            write_pin(component.repository, "db", point.point_id, "hold", "a test", "me", component.timeline.time)
        elif step == "proof":
            outcome = data.draw(st.sampled_from(["ok", "failed"]))
            level = data.draw(st.sampled_from(["verified", "restored"]))
            write_proof(component.repository, data.draw(st.sampled_from(kept)), level, None, 1.0, {}, outcome)
        elif step == "anchor":
            component.anchor()
        elif step == "unfinished":
            writer = begin_point(component.repository, "db", "postgresql", None)
            component.store.create(writer.object_key("a"), b"x")
            if data.draw(st.booleans()):
                component.store.delete(writer.object_key("a"))
        else:
            begin_point(component.repository, "other", "postgresql", None)
    component.points = kept


@settings(max_examples=60, deadline=None)
@given(steps=HONEST, versions=st.booleans(), data=st.data())
def test_an_honest_history_raises_no_alarm(steps: list[str], versions: bool, data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        component = Component(Timeline(patch), ["versions"] if versions else [])
        live(component, steps, data)
        assert component.examine().findings == []
        assert component.examine(everything=False).findings == []


def tamper(component: Component, how: str, data: st.DataObject) -> set[str]:
    """Do it, and say which points' ids a finding must name one of."""
    points = component.points
    store = component.store
    point = data.draw(st.sampled_from(points))
    other = data.draw(st.sampled_from([each for each in points if each is not point]))
    if data.draw(st.booleans()):
        component.forget_taken(point)
    if how == "remove":
        remove(component, point)
    elif how == "edit":
        store.replace(point.manifest_key, component.edited(point, engine_version="forged"))
    elif how == "flip":
        content = bytearray(component.manifest(point))
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        store.replace(point.manifest_key, bytes(content))
    elif how == "swap":
        one, two = component.manifest(point), component.manifest(other)
        store.replace(point.manifest_key, two)
        store.replace(other.manifest_key, one)
    elif how == "replay":
        store.replace(point.manifest_key, component.manifest(other))
    elif how == "duplicate":
        store.replace(point.manifest_key, component.edited(point, sequence=other.sequence))
    elif how == "renumber":
        store.replace(point.manifest_key, component.edited(point, sequence=point.sequence + 1))
    elif how == "back-date":
        earlier = point.finished - datetime.timedelta(days=data.draw(st.integers(1, 400)))
        store.replace(point.manifest_key, component.edited(point, recorded=earlier, finished=earlier))
    return {point.point_id, other.point_id}


WAYS = {
    "remove": {"removed"},
    "edit": {"altered"},
    "flip": {"altered"},
    "swap": {"reordered"},
    "replay": {"duplicated"},
    "duplicate": {"duplicated"},
    "renumber": {"duplicated", "reordered", "removed"},
    "back-date": {"back-dated"},
}


@settings(max_examples=120, deadline=None)
@given(steps=HONEST, how=st.sampled_from(sorted(WAYS)), versions=st.booleans(), data=st.data())
def test_tampering_is_found_and_named(steps: list[str], how: str, versions: bool, data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        component = Component(Timeline(patch), ["versions"] if versions else [])
        live(component, [*steps, "take", "take"], data)
        component.anchor()
        names = tamper(component, how, data)
        found = component.examine()
        assert kinds(found) and WAYS[how] & {finding.kind for finding in found.findings}, (how, found.findings)
        assert any(name in f"{finding.subject} {finding.detail}" for finding in found.findings for name in names)
