# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Point-in-time recovery of a real server through real pgBackRest: reached exactly, or refused before anything is touched."""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import os
import pathlib
import shutil
import time
import typing as t

import pytest

from tests.servers.archived import NAME, archived_component, public_directory
from tests.servers.bank import Bank, Entry, bank
from tests.servers.s3 import Gateway, s3_gateway_tls  # noqa: F401

ASSERTION = [
    {
        "name": "no row is missing",
        "database": "bank",
        "query": "SELECT count(*) = max(number) + 1 FROM ledger",
        "expected": "true",
    }
]


@dataclasses.dataclass
class Written:
    """A bank with two base backups and a log of several segments; ``segments`` hold the entries in turn."""

    bank: Bank
    early: Entry
    late: Entry
    last: Entry
    segments: list[str]

    def untouched(self) -> dict[str, t.Any]:
        """What a refused restore must not change."""
        data = self.bank.server.instance.data_dir
        beside = sorted(os.listdir(os.path.dirname(data)))
        return {"rows": self.bank.rows(), "beside": beside, "inode": os.stat(data).st_ino}


@pytest.fixture(scope="module")
def written() -> collections.abc.Iterator[Written]:
    with bank() as opened:
        opened.pay(3)
        opened.back_up()
        early = opened.pay(3)
        opened.server.execute("SELECT pg_create_restore_point('before the accident')")
        segments = [opened.end_segment()]
        opened.pay(3)
        segments.append(opened.end_segment())
        late = opened.pay(3)
        opened.pay(1)
        segments.append(opened.end_segment())
        time.sleep(2)  # pgBackRest counts in whole seconds: a drill needs some of them to choose a moment from
        last = opened.pay(2)
        segments.append(opened.end_segment())
        yield Written(opened, early, late, last, segments)


@contextlib.contextmanager
def without(*paths: pathlib.Path) -> collections.abc.Iterator[None]:
    """The files away, and back again."""
    moved = [(path, path.with_name(f".away-{path.name}")) for path in paths]
    for path, away in moved:
        # Beside the repository: what is in it may not even be listed.
        away = path.parents[4] / away.name
        shutil.move(path, away)
    try:
        yield
    finally:
        for path, away in moved:
            shutil.move(path.parents[4] / away.name, path)


def refused(written: Written, found: dict[str, t.Any], *words: str) -> None:
    assert found.get("failed"), found.get("message")
    for word in words:
        assert word in found["msg"], found["msg"]


def test_a_hole_in_front_of_the_target_is_refused_before_anything_is_touched(written: Written) -> None:
    bank, before = written.bank, written.untouched()
    with without(*bank.segment_files(written.segments[1])):
        for target in ({"target_lsn": written.late.lsn}, {"target_time": written.late.time}, {}):
            found = bank.restore(**target)
            refused(written, found, "has a hole before", written.segments[1], "missing", "nothing was touched")
            # The newest moment before the hole is named, by a command that can be pasted.
            assert "restore_target_lsn=" in found["error"]["next_command"]
        # A target that lies before the hole can be reached.
        planned = bank.restore(True, target_lsn=written.early.lsn, target_inclusive=False)
        assert planned["changed"], planned
        assert planned["plan"]["audit"]["faults"][0]["segment"] == written.segments[1]
    assert written.untouched() == before
    assert bank.restore(True)["plan"]["audit"]["faults"] == []


def test_a_loss_at_the_very_end_does_not_look_like_the_end(written: Written) -> None:
    before = written.untouched()
    with without(*written.bank.segment_files(written.segments[3])):
        refused(written, written.bank.restore(), written.segments[3], "the live server says that it had been archived")
    assert written.untouched() == before


def test_targets_out_of_reach_are_refused_with_the_nearest_one(written: Written) -> None:
    before = written.untouched()
    refused(written, written.bank.restore(target_time="2020-01-01T00:00:00Z"), "before the end of every base backup")
    refused(written, written.bank.restore(target_lsn="0/100"), "before the end of every base backup")
    found = written.bank.restore(target_time="2090-01-01T00:00:00Z")
    refused(written, found, "beyond the end of the archived log", "last transaction ended at")
    refused(written, written.bank.restore(target_lsn="FF/0"), "beyond the end of the archived log")
    refused(written, written.bank.restore(target_timeline="7"), "no such timeline")
    refused(written, written.bank.restore(confirm="other"), "would be replaced", "restore_confirm=other")
    assert written.untouched() == before


def test_a_plan_looks_for_the_name_before_anything_is_stopped(written: Written) -> None:
    before = written.untouched()
    found = written.bank.restore(True, target_name="before the release")
    refused(written, found, "no restore point 'before the release'", "found: restore points 'before the accident'")
    planned = written.bank.restore(True, target_name="before the accident")
    assert planned["changed"] and "shows only" not in planned["message"], planned
    unknown = written.bank.restore(True, target_xid=written.late.xid)
    assert (
        f"whether the log leads to transaction {written.late.xid} shows only when it is replayed" in unknown["message"]
    )
    assert written.untouched() == before


def test_a_plan_sees_what_is_cut_off_of_the_backup(written: Written) -> None:
    before = written.untouched()
    backups = written.bank.component.generation_dir() / "backup" / NAME
    victim = max(backups.glob("*F/pg_data/base/*/*"), key=lambda path: path.stat().st_size)
    kept = victim.read_bytes()
    victim.write_bytes(kept[:-16])
    try:
        refused(written, written.bank.restore(True), "1 file of its backup is not as stored", victim.name.split(".")[0])
    finally:
        victim.write_bytes(kept)
    with without(victim):
        refused(written, written.bank.restore(True), "missing")
    assert written.bank.restore(True)["changed"]
    assert written.untouched() == before


def test_a_segment_of_other_content_ends_the_recovery_with_an_error(written: Written) -> None:
    """Replaced by one that decompresses well: only its hash tells. PostgreSQL would have taken it for the end."""
    before = written.untouched()
    (victim,), (other,) = (written.bank.segment_files(written.segments[number]) for number in (1, 0))
    kept = victim.read_bytes()
    victim.write_bytes(other.read_bytes())
    try:
        found = written.bank.restore()
    finally:
        victim.write_bytes(kept)
    refused(written, found, written.segments[1], "is not what was archived", "the live data was not touched")
    assert {**written.untouched(), "beside": None} == {**before, "beside": None}
    # What cannot even be decrypted is an error too, and not the end of the log.
    victim.write_bytes(kept[: len(kept) // 2])
    try:
        refused(written, written.bank.restore(), written.segments[1], "cannot be had")
    finally:
        victim.write_bytes(kept)
    assert {**written.untouched(), "beside": None} == {**before, "beside": None}


def test_a_drill_goes_to_a_random_moment_and_leaves_nothing(written: Written) -> None:
    """The module postgresql_pitr_drill, in a scratch directory of its own."""
    bank, before = written.bank, written.untouched()
    done = bank.drill(seed=7, rto="10m", assertions=ASSERTION, scratch_dir=str(bank.component.path))
    assert not done.get("failed"), done
    assert done["rto_met"] and done["seed"] == 7
    assert done["window"]["from"] <= done["target"]["value"] < done["window"]["to"]
    assert done["recovery_point"]["level"] == "asserted"
    assert [answer["outcome"] for answer in done["proof"]["assertions"]] == ["ok"]
    assert bank.drill(True, seed=7)["plan"]["target"] == done["target"]
    assert "less than" in bank.drill(drill_interval="1d")["skipped_reason"]
    assert written.untouched() == before
    assert not [name for name in os.listdir(bank.component.path) if name.startswith("sre-")]
    wrong = [{**ASSERTION[0], "expected": "false"}]
    failed = bank.drill(seed=7, assertions=wrong)
    assert failed["failed"] and "does not hold" in failed["msg"]
    assert bank.component.listing().points[0].proofs[-1].outcome == "failed"


def test_a_server_goes_back_to_a_moment_and_on_from_there(written: Written) -> None:
    bank = written.bank
    everything = bank.rows()
    planned = bank.restore(True, target_lsn=written.late.lsn, target_inclusive=False)
    assert planned["changed"] and bank.rows() == everything
    wrong = [{**ASSERTION[0], "expected": "false"}]
    refused(
        written, bank.restore(target_lsn=written.late.lsn, target_inclusive=False, assertions=wrong), "does not hold"
    )
    assert bank.rows() == everything

    done = bank.restore(target_lsn=written.late.lsn, target_inclusive=False, assertions=ASSERTION)
    assert done["changed"] and done["timeline"] == 2, done
    assert bank.rows() == list(range(written.late.number + 1))
    assert os.path.isdir(done["kept_as"])
    # The new timeline is in the archive, from its history on.
    assert done["archived"]["segment"].startswith("00000002")
    assert (bank.archive_dir / "00000002.history").exists()
    again = bank.restore(target_lsn=written.late.lsn, target_inclusive=False, assertions=ASSERTION)
    assert not again["changed"] and again["timeline"] == 2
    # It goes on, and the next restore goes over the fork.
    bank.entries = bank.entries[: written.late.number + 1]
    further = bank.pay(2)
    bank.end_segment()
    history = bank.archive_dir / "00000002.history"
    with without(history):
        refused(written, bank.restore(target_lsn=further.lsn), "not its history", "00000002.history")
    bank.pay(1)
    bank.end_segment()
    second = bank.restore(target_lsn=further.lsn, target_inclusive=False)
    assert second["timeline"] == 3, second
    assert second["plan"]["audit"]["timelines"] == [1, 2]
    assert bank.rows() == list(range(further.number + 1))
    # What the first restore abandoned can still be asked for, by its timeline.
    abandoned = bank.restore(target_lsn=written.last.lsn, target_inclusive=False, target_timeline="1")
    assert abandoned["changed"] and bank.rows() == everything, abandoned
    kept = bank.restore(True, release=True)["released"]
    assert len(kept) == 3
    assert bank.restore(release=True)["released"] == kept
    assert not bank.restore(release=True)["changed"]
    assert not any("__before_" in name for name in os.listdir(os.path.dirname(bank.server.instance.data_dir)))


def test_a_lost_data_directory_comes_back_without_any_confirmation(written: Written) -> None:
    bank, instance = written.bank, written.bank.server.instance
    bank.entries = [*bank.entries][: len(bank.rows())]
    expected = bank.rows()
    bank.end_segment()
    instance.stop(mode="kill")
    shutil.rmtree(instance.data_dir)
    done = bank.restore(confirm=None, data_dir=instance.data_dir)
    assert done["changed"] and done["kept_as"] is None, done
    assert bank.rows() == expected
    assert done["rpo_measured_s"] is not None
    again = bank.restore(data_dir=instance.data_dir)
    assert not again["changed"], again


def test_what_cannot_be_swapped_is_refused(written: Written, tmp_path: pathlib.Path) -> None:
    link = tmp_path / "data"
    link.symlink_to(written.bank.server.instance.data_dir)
    refused(written, written.bank.restore(data_dir=str(link), force=True), "symbolic link")
    other = tmp_path / "other"
    other.mkdir()
    (other / "precious").write_text("x")
    refused(written, written.bank.restore(data_dir=str(other), force=True), "is not a data directory")
    assert written.bank.component.call("postgresql_pitr_restore", target_lsn="x")["failed"]
    assert NAME


def test_a_moment_comes_back_out_of_a_bucket(s3_gateway_tls: Gateway) -> None:  # noqa: F811
    bucket = s3_gateway_tls.make_bucket()
    assert s3_gateway_tls.ca_bundle
    with public_directory() as shared:
        # Where the server's account can read it, too.
        authority = shared / "authority.pem"
        shutil.copyfile(s3_gateway_tls.ca_bundle, authority)
        authority.chmod(0o644)
        # Its certificate names it so.
        s3 = {
            **s3_gateway_tls.options("backup", s3_gateway_tls.url.replace("127.0.0.1", "localhost")),
            "ca_bundle": str(authority),
        }
        with archived_component(f"s3://{bucket}/prefix", s3) as component:
            opened = Bank(component)
            opened.open()
            opened.pay(2)
            opened.back_up()
            wanted = opened.pay(2)
            opened.pay(2)
            # A second call archives what there is.
            assert not component.back_up().get("failed")
            target = {"target_lsn": wanted.lsn, "target_inclusive": False}
            names = [key["Key"] for key in objects(s3_gateway_tls, bucket)]
            segments = sorted(name for name in names if "/archive/" in name and name.endswith(".zst"))
            done = opened.restore(**target)
            assert done.get("changed"), done
            assert opened.rows() == list(range(wanted.number + 1))
            assert done["archived"]["segment"].startswith("00000002")
            # A hole is seen there as well, and a delete marker hides nothing but what it hides.
            base = done["plan"]["audit"]["first_segment"]
            victim = next(name for name in segments if base in name)
            s3_gateway_tls.client().delete_object(Bucket=bucket, Key=victim)
            found = opened.restore(target_lsn=wanted.lsn, target_inclusive=False, target_timeline="1")
            assert found.get("failed") and base in found["msg"], found
            component.archive(state="absent")


def objects(gateway: Gateway, bucket: str) -> list[dict[str, t.Any]]:
    return t.cast("list[dict[str, t.Any]]", gateway.client().list_objects_v2(Bucket=bucket)["Contents"])
