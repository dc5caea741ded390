# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""postgresql_drill: proofs from a scratch server that leaves nothing, and what a bad recovery point gets."""

from __future__ import annotations

import collections.abc
import os
import pathlib
import signal
import subprocess
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import place
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.scratch import remove_leftovers
from tests.servers.component import NAME, Component
from tests.servers.deadline import wait_for
from tests.servers.module_call import start_module
from tests.servers.postgresql import KINDS, Server, find_binaries, postgresql_system  # noqa: F401

HERE = pathlib.Path(__file__).parent
COUNT = {"name": "all there", "database": "flights", "query": "SELECT count(*) FROM f", "expected": "1000"}


@pytest.fixture
def scratch() -> collections.abc.Iterator[pathlib.Path]:
    """A place that the scratch server's account can reach."""
    path = pathlib.Path(place.make_directory(None, "srt-"))
    path.chmod(0o755)
    yield path
    remove_leftovers(str(path))
    assert list(path.iterdir()) == []
    path.rmdir()


@pytest.fixture
def component(postgresql_system: Server, tmp_path: pathlib.Path) -> collections.abc.Iterator[Component]:  # noqa: F811
    """A recovery point of two databases, one of them difficult."""
    found = Component(postgresql_system, tmp_path)
    try:
        found.create("flights", "CREATE TABLE f AS SELECT i AS id FROM generate_series(1, 1000) i")
        found.create("difficult")
        subprocess.run(
            [found.server.tools.psql, "-qX", "-v", "ON_ERROR_STOP=1", "-f", str(HERE / "difficult_database.sql")],
            env={**os.environ, **found.server.address.environment("difficult")},
            check=True,
            capture_output=True,
        )
        assert "error" not in found.back_up()
        yield found
    finally:
        found.clear()


@pytest.mark.parametrize("kind", KINDS)
def test_it_proves_the_newest_point_and_leaves_nothing(component: Component, scratch: pathlib.Path, kind: str) -> None:
    """Restored into a server of the same major version, and of a newer one."""
    binaries = find_binaries(kind)
    params = {"scratch_dir": str(scratch), "bin_dir": binaries.bin_dir, "rto": "10m", "assertions": [COUNT]}
    before = component.databases()
    predicted = component.drill(check=True, **params)
    assert not predicted["changed"] and "would restore" in predicted["message"]
    assert component.newest().level == "taken"
    done = component.drill(**params)
    assert "error" not in done, done["msg"]
    assert not done["changed"] and done["skipped_reason"] == "" and done["rto_met"] is True
    assert done["server_version"] == binaries.version_text
    assert done["hardware"]["cpus"] and done["hardware"]["memory_bytes"] and done["hardware"]["disk"]
    assert done["not_durable"] == ["fsync", "full_page_writes", "synchronous_commit"]
    assert done["proof"]["canaries"] == {"difficult": True, "flights": True}
    assert done["proof"]["databases"]["difficult"]["hashed"] > 15
    assert done["left_out"]["difficult"] == ["EVENT TRIGGER - Note DDL postgres"]
    point = component.newest()
    assert point.level == "asserted"
    proof = point.proofs[-1]
    assert proof.duration_s > 0 and proof.details["hardware"] == done["hardware"]
    assert component.databases() == before and list(scratch.iterdir()) == []


def test_it_rests_while_the_last_success_is_young(component: Component, scratch: pathlib.Path) -> None:
    params = {"scratch_dir": str(scratch), "rto": "0.001", "drill_interval": "1d"}
    first = component.drill(**params)
    assert "error" not in first, first["msg"]
    assert first["rto_met"] is False and "over the RTO" in first["message"]
    component.back_up()
    again = component.drill(**params)
    assert "was asserted at" in again["skipped_reason"] and again["rto_met"] is False
    assert abs(again["rto_measured_s"] - first["rto_measured_s"]) < 1
    assert component.newest().level == "taken"
    # A point that is asked for by name is only spared by a proof of its own.
    named = component.drill(**params, recovery_point=component.newest().point_id)
    assert named["skipped_reason"] == "" and component.newest().level == "asserted"
    assert component.drill(**{**params, "drill_interval": "0"})["skipped_reason"] == ""


def failed(result: dict[str, t.Any], kind: str) -> str:
    assert result.get("failed") and result["error"]["kind"] == kind, result
    return t.cast(str, result["msg"])


def test_a_failing_assertion_is_a_failed_proof(component: Component, scratch: pathlib.Path) -> None:
    result = component.drill(scratch_dir=str(scratch), assertions=[{**COUNT, "expected": "7"}])
    message = failed(result, "assertion_failed")
    assert "all there" in message and "expected: 7" in message and "found: 1000" in message
    point = component.newest()
    assert point.level == "restored"
    assert (point.proofs[-1].level, point.proofs[-1].outcome) == ("asserted", "failed")
    assert list(scratch.iterdir()) == []


def test_content_that_is_not_what_was_measured_is_found(component: Component, scratch: pathlib.Path) -> None:
    point = component.newest()
    for entry in point.content["databases"]:
        if entry["name"] == "flights":
            entry["tables"]["public.f"]["hash"] = "12345"
    manifest = component.path / "repository" / point.manifest_key
    manifest.chmod(0o644)
    manifest.write_bytes(point.to_manifest())
    message = failed(component.drill(scratch_dir=str(scratch)), "assertion_failed")
    assert "the content of table public.f of flights" in message and "hash 12345" in message


def test_a_damaged_object_demotes_the_point(component: Component, scratch: pathlib.Path) -> None:
    point = component.newest()
    stored = max(point.objects, key=lambda item: item.length)
    path = component.path / "repository" / stored.key
    content = bytearray(path.read_bytes())
    content[-1] ^= 0x10
    path.chmod(0o644)
    path.write_bytes(bytes(content))
    failed(component.drill(scratch_dir=str(scratch)), "integrity")
    assert component.newest().level == "damaged" and list(scratch.iterdir()) == []


def test_no_point_no_programs(component: Component, scratch: pathlib.Path) -> None:
    assert "no recovery point" in failed(component.drill(component="unknown_db"), "object_missing")
    message = failed(component.drill(scratch_dir=str(scratch), bin_dir="/nonexistent"), "missing_requirement")
    assert "server programs" in message
    incomplete = [{"name": "x", "query": "SELECT 1", "expected": "1"}]
    assert "assertion 1" in failed(component.drill(assertions=incomplete), "invalid_input")
    assert component.newest().level == "taken"


def test_foreign_servers_cannot_be_reached(component: Component, scratch: pathlib.Path) -> None:
    available = "SELECT 1 FROM pg_available_extensions WHERE name = 'postgres_fdw'"
    if not component.server.execute(available):
        pytest.skip("this server has no postgres_fdw")
    component.server.execute(
        "CREATE EXTENSION postgres_fdw; CREATE SERVER production FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1');"
        " CREATE USER MAPPING FOR PUBLIC SERVER production OPTIONS (user 'x', password 'remote-secret');"
        " CREATE FOREIGN TABLE remote (id int) SERVER production",
        "flights",
    )
    component.back_up()
    asked = [{**COUNT, "query": "SELECT count(*) FROM pg_user_mappings", "expected": "0"}]
    done = component.drill(scratch_dir=str(scratch), assertions=asked)
    assert "error" not in done, done
    assert any("USER MAPPING" in entry for entry in done["left_out"]["flights"])


def test_killed_it_leaves_no_server_and_the_next_cleans_up(component: Component, scratch: pathlib.Path) -> None:
    own = {"repository": component.url, "environment_name": "local", "component": NAME, "scratch_dir": str(scratch)}
    process = start_module("postgresql_drill", own)
    written: list[str] = []

    def started() -> bool:
        # Its first line may not be written yet when the file is there.
        for path in scratch.glob("sre-drill-*/data/postmaster.pid"):
            written[:] = path.read_text().splitlines()[:1]
        return bool(written)

    wait_for(started, "the scratch server")
    server = int(written[0])
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(
        lambda: not pathlib.Path(f"/proc/{server}").exists(), "the scratch server, which outlived its drill, to end"
    )
    done = component.drill(scratch_dir=str(scratch))
    assert "error" not in done and list(scratch.iterdir()) == []
