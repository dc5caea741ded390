# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups with pgBackRest as recovery points: taken when due, adopted, verified, expired, restored by hand."""

from __future__ import annotations

import collections.abc
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import _process
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.command import Pgbackrest
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.place import give
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from tests.servers.archived import NAME, ArchivedComponent, archived_component, public_directory
from tests.servers.s3 import Gateway, s3_gateway_tls  # noqa: F401
from tools.local_environment import free_port

KEEP_ONE = {"hourly": 0, "daily": 0, "weekly": 0, "monthly": 0, "yearly": 0, "keep_last": 1, "min_age": "0"}


@pytest.fixture(scope="module")
def component() -> collections.abc.Iterator[ArchivedComponent]:
    """Archiving, with one full backup."""
    with archived_component() as found:
        assert found.archive()["changed"]
        yield found


def pgbackrest(component: ArchivedComponent) -> Pgbackrest:
    environment = {"PGPASSWORD": component.server.password}
    return Pgbackrest(str(component.config), NAME, NAME, component.server.instance.user, environment)


def newest(component: ArchivedComponent) -> RecoveryPoint:
    return component.listing().points[0]


def verify(component: ArchivedComponent, **params: t.Any) -> dict[str, t.Any]:
    given = {"cipher_pass_file": str(component.passphrase), "force": True, **params}
    return component.call("recovery_point_verify", **given)


def test_backups_are_taken_when_they_are_due(component: ArchivedComponent) -> None:
    predicted = component.back_up(check=True)
    assert predicted["changed"] and predicted["type"] == "full" and predicted["recovery_point"] is None
    assert component.listing().points == [] and predicted["archive"]["segment"] is None

    full = component.back_up()
    assert full["changed"] and full["type"] == "full"
    point = newest(component)
    held = point.content["pgbackrest"]
    assert (held["type"], held["generation"], held["timeline"], point.needs) == ("full", "0001", 1, ())
    assert held["archive_start"] <= held["archive_stop"] and point.engine == "postgresql_pitr"

    fresh = component.back_up()
    assert not fresh["changed"] and fresh["recovery_point"]["point_id"] == point.point_id
    assert fresh["archive"]["within_rpo"] and fresh["archive"]["heartbeat"]["id"] > full["archive"]["heartbeat"]["id"]
    assert not component.back_up(check=True)["changed"]

    forced = component.back_up(force=True)
    assert forced["changed"] and forced["type"] == "incremental"
    assert newest(component).needs == (point.point_id,)
    # A differential one is due by its age, however small the limit.
    differential = component.back_up(differential_interval="1s")
    assert differential["type"] == "differential" and newest(component).needs == (point.point_id,)


def test_the_point_is_verified_only_when_every_file_was_read(component: ArchivedComponent) -> None:
    good = verify(component)
    assert good["recovery_point"]["level"] == "verified" and good["objects"] > 900
    together = component.call("evidence", cipher_pass_file=str(component.passphrase), force=True)
    assert not together.get("failed"), together["msg"]
    assert set(together["read"]) == {point.point_id for point in component.listing().points}
    wrong = component.write_passphrase(component.path / "wrong")
    proofs = len(newest(component).proofs)
    undecided = verify(component, cipher_pass_file=str(wrong))
    assert undecided["failed"] and "nothing can be said" in undecided["msg"]
    assert len(newest(component).proofs) == proofs

    (victim,) = component.generation_dir().glob(f"backup/{NAME}/*F/pg_data/base/1/1255.zst")
    content = victim.read_bytes()
    victim.write_bytes(content[:500] + bytes([content[500] ^ 1]) + content[501:])
    damaged = verify(component)
    assert damaged["failed"] and "pg_data/base/1/1255.zst: its checksum is another" in damaged["msg"]
    assert newest(component).level == "damaged"
    # What needs it is no base for the next one either.
    assert component.back_up(check=True)["type"] is None or component.back_up(check=True)["type"] != "full"
    victim.write_bytes(content)
    assert verify(component)["recovery_point"]["level"] == "verified"


def test_a_missing_segment_of_the_log_is_found(component: ArchivedComponent) -> None:
    held = newest(component).content["pgbackrest"]
    (segment,) = component.generation_dir().glob(f"archive/{NAME}/15-1/*/{held['archive_stop']}-*")
    aside = component.path / "aside"
    shutil.move(segment, aside)
    damaged = verify(component)
    assert damaged["failed"] and f"segment {held['archive_stop']} of the log: missing" in damaged["msg"]
    shutil.copyfile(aside, segment)
    give(str(segment), component.server.instance.user)
    assert not verify(component).get("failed")


def test_a_backup_that_a_killed_run_left_is_adopted(component: ArchivedComponent) -> None:
    known = {point.point_id for point in component.listing().points}
    tool = pgbackrest(component)
    tool.run("backup", "--type=incr", "--annotation=sre-runbooks-point=20261121T051000Z-dead", timeout=120)
    assert len(component.back_up(check=True)["adopted"]) == 1
    adopting = component.back_up()
    (adopted,) = adopting["adopted"]
    assert adopting["changed"] and adopting["type"] is None and adopted not in known
    assert not component.back_up()["changed"]
    assert verify(component)["recovery_point"]["point_id"] == adopted


def test_a_point_whose_backup_is_gone_is_named_and_no_longer_chosen(component: ArchivedComponent) -> None:
    point = newest(component)
    label = point.content["pgbackrest"]["label"]
    pgbackrest(component).run("expire", f"--set={label}", timeout=120)
    noticed = component.back_up()
    assert noticed["missing_backups"] == [f"{point.point_id}: its backup {label} is gone from pgBackRest's repository"]
    assert noticed["recovery_point"]["point_id"] != point.point_id
    levels = {found.point_id: found.level for found in component.listing().points}
    assert levels[point.point_id] == "damaged"


def test_retention_removes_backups_after_their_points(component: ArchivedComponent) -> None:
    component.back_up()
    last = component.back_up(type="full", force=True)["recovery_point"]["point_id"]
    assert verify(component)["recovery_point"]["level"] == "verified"
    secret = {"cipher_pass_file": str(component.passphrase)}
    labels = {path.name for path in component.generation_dir().glob(f"backup/{NAME}/2*")}
    # What has a point stays, whatever retention might think.
    component.call("postgresql_pitr_expire", **secret)
    assert {path.name for path in component.generation_dir().glob(f"backup/{NAME}/2*")} == labels
    expired = component.call("recovery_point_expire", **KEEP_ONE, keep_damaged="0")
    assert expired["changed"] and [point.point_id for point in component.listing().points] == [last]
    assert component.back_up(check=True)["adopted"] == []
    predicted = component.call("postgresql_pitr_expire", check=True, **secret)
    done = component.call("postgresql_pitr_expire", **secret)
    assert (
        predicted["changed"]
        and done["changed"]
        and predicted["generations"][0]["backups"] == done["generations"][0]["backups"]
    )
    (left,) = component.generation_dir().glob(f"backup/{NAME}/2*F")
    assert left.name == newest(component).content["pgbackrest"]["label"]
    assert not component.call("postgresql_pitr_expire", **secret)["changed"]
    assert verify(component)["recovery_point"]["level"] == "verified"


def test_another_passphrase_begins_another_generation_and_loses_nothing(component: ArchivedComponent) -> None:
    old, earlier = component.passphrase, newest(component).point_id
    new = component.write_passphrase(component.path / "new")
    both = {"cipher_pass_file": str(new), "previous_cipher_pass_files": [str(old)]}
    turned = component.archive(**both)
    assert turned["changed"] and turned["archiving"]["generation"] == "0002"
    full = component.back_up()
    assert full["type"] == "full" and newest(component).content["pgbackrest"]["generation"] == "0002"
    for point_id in (earlier, newest(component).point_id):
        assert verify(component, recovery_point=point_id, **both)["recovery_point"]["level"] == "verified"
    component.call("recovery_point_expire", **KEEP_ONE)
    gone = component.call("postgresql_pitr_expire", **both)
    assert [found["removed"] for found in gone["generations"]] == [True, False]
    assert not list(component.generation_dir("0001").rglob("*.zst"))
    assert not component.call("postgresql_pitr_expire", cipher_pass_file=str(new))["changed"]
    component.passphrase = new


def test_the_guide_works_as_written(component: ArchivedComponent) -> None:
    """RESTORE.md followed by somebody who has the files, a shell, pgBackRest and the server's programs."""
    component.server.execute("CREATE TABLE kept (n int); INSERT INTO kept SELECT generate_series(1, 1000)")
    component.back_up(force=True)
    component.server.execute("DELETE FROM kept")
    folder = component.path / "repository" / newest(component).prefix
    blocks = re.findall(r"^```sh\n(.*?)^```", (folder / "RESTORE.md").read_text(), re.M | re.S)
    assert len(blocks) == 4
    user, port = component.server.instance.user, free_port()
    with public_directory() as place:
        shutil.copy(component.passphrase, place / "passphrase")
        for path in (place, place / "passphrase"):
            give(str(path), user)
        script = "set -e\n" + "\n".join(blocks).replace("$(cd ../../../.. && pwd)", str(component.path / "repository"))
        environment = {
            "PATH": f"{component.server.bin_dir}:{os.environ['PATH']}",
            "PASSPHRASE_FILE": str(place / "passphrase"),
            "WORK": str(place / "work"),
            "PGDATA": str(place / "data"),
            "PORT": str(port),
            "PGPASSWORD": component.server.password,
            "HOME": str(place),
        }
        try:
            done = subprocess.run(
                ["/bin/sh", "-c", script],
                cwd=place,
                env=environment,
                preexec_fn=_process.child_setup(user, 0),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=300,
                check=False,
            )
            assert done.returncode == 0, done.stdout
            counted = subprocess.run(
                [
                    "psql",
                    "-h",
                    str(place / "work"),
                    "-p",
                    str(port),
                    "-U",
                    "postgres",
                    "-Atqc",
                    "SELECT count(*) FROM kept",
                ],
                env=environment,
                stdout=subprocess.PIPE,
                preexec_fn=_process.child_setup(user),
                check=True,
                text=True,
            )
            assert counted.stdout.strip() == "1000"
        finally:
            subprocess.run(
                [f"{component.server.bin_dir}/pg_ctl", "-D", str(place / "data"), "-m", "immediate", "stop"],
                preexec_fn=_process.child_setup(user),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )


def test_everything_works_in_a_bucket(s3_gateway_tls: Gateway) -> None:  # noqa: F811
    bucket = s3_gateway_tls.make_bucket(open_to=("backup", "retention"))
    with public_directory() as place:
        assert s3_gateway_tls.ca_bundle
        authority = place / "ca.pem"
        shutil.copyfile(s3_gateway_tls.ca_bundle, authority)
        authority.chmod(0o644)
        # pgBackRest compares the names in a certificate, not the addresses.
        url = s3_gateway_tls.url.replace("127.0.0.1", "localhost")
        s3 = {**s3_gateway_tls.options("backup", url), "ca_bundle": str(authority)}
        with archived_component(f"s3://{bucket}/some/prefix", s3) as component:
            prepared = component.archive()
            assert prepared.get("archived"), prepared.get("msg")
            assert component.back_up()["type"] == "full"
            options = s3_gateway_tls.options("retention", url)
            component.s3 = {**options, "ca_bundle": str(authority)}
            component.back_up(type="full", force=True)
            assert verify(component)["recovery_point"]["level"] == "verified"
            assert component.call("recovery_point_expire", **KEEP_ONE)["changed"]
            secret = {"cipher_pass_file": str(component.passphrase)}
            assert component.call("postgresql_pitr_expire", **secret)["generations"][0]["backups"]
            assert verify(component)["recovery_point"]["level"] == "verified"
            keys = s3_gateway_tls.client().list_objects_v2(
                Bucket=bucket, Prefix="some/prefix/pgbackrest/ledger_db/0001/"
            )
            assert keys["KeyCount"] > 10
            account = component.server.instance.user or pwd.getpwuid(os.geteuid()).pw_name
            assert pathlib.Path(component.config).owner() == account
