# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""postgresql_restore where it must not be: what it refuses, and that nothing live is touched then."""

from __future__ import annotations

import collections.abc
import os
import pathlib
import shutil
import subprocess
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import marker
from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import describe_holder
from ansible_collections.sre.runbooks.plugins.module_utils._repository.leases import holding
from tests.servers.component import NAME, Component
from tests.servers.flights import FLIGHTS, flights, refused, rows, untouched  # noqa: F401
from tests.servers.postgresql import find_binaries, postgresql_system, running_server  # noqa: F401


def test_a_missing_object_or_damaged_manifest_refuses_when_nothing_is_left(flights: Component) -> None:  # noqa: F811
    path = flights.object_file(".dat.zst")
    path.unlink()
    refused(flights.restore(), "object_missing")
    untouched(flights)
    manifest = flights.path / "repository" / flights.newest().manifest_key
    manifest.chmod(0o644)
    manifest.write_text(manifest.read_text().replace("flights", "fLights", 1))
    refused(flights.restore(), "object_missing")
    untouched(flights)


def test_content_that_is_not_what_was_measured_is_not_swapped_in(flights: Component) -> None:  # noqa: F811
    """The manifest says another count than the dump holds: the comparison itself is at work."""
    point = flights.newest()
    entry = point.content["databases"][0]
    entry["tables"]["public.f"]["rows"] += 1
    manifest = flights.path / "repository" / point.manifest_key
    manifest.chmod(0o644)
    manifest.write_bytes(point.to_manifest())
    message = refused(flights.restore(), "assertion_failed")
    assert "public.f" in message and "1001 rows" in message and "1000 rows" in message
    untouched(flights)
    assert flights.newest().level == "verified"


def test_a_failing_assertion_leaves_the_live_database(flights: Component) -> None:  # noqa: F811
    asked = [{"name": "all there", "database": "flights", "query": "SELECT count(*) FROM f", "expected": "1001"}]
    message = refused(flights.restore(assertions=asked), "assertion_failed")
    assert "all there" in message and "expected: 1001" in message and "found: 1000" in message
    untouched(flights)
    assert flights.restore(assertions=[{**asked[0], "expected": "1000"}])["changed"]


@pytest.mark.parametrize("confirm", [None, "flights", "another_db"])
def test_live_data_needs_the_components_name(flights: Component, confirm: str | None) -> None:  # noqa: F811
    for check in (True, False):
        assert f"restore_confirm={NAME}" in refused(flights.restore(check=check, confirm=confirm), "refused")
    untouched(flights)


def test_another_environments_server_is_refused(flights: Component) -> None:  # noqa: F811
    flights.server.execute("UPDATE sre_runbooks.environment SET name = 'production'")
    assert "environment production" in refused(flights.restore(), "refused")
    flights.server.execute("DROP SCHEMA sre_runbooks CASCADE")
    assert "no environment marker" in refused(flights.restore(), "refused")
    untouched(flights)


@pytest.mark.parametrize(
    ("params", "kind", "words"),
    [
        ({"recovery_point": "20200101T000000Z-0000"}, "object_missing", "there is no recovery point"),
        ({"recovery_point": "../../etc"}, "invalid_input", "not a recovery point's id"),
        ({"before": "2020-01-01"}, "object_missing", "no recovery point that fits"),
        ({"before": "yesterday"}, "invalid_input", "before is not a time"),
        ({"databases": ["nothing"]}, "invalid_input", "no database nothing"),
        ({"component": "unknown_db", "confirm": "unknown_db"}, "object_missing", "no recovery point"),
        ({"bin_dir": "/nonexistent"}, "missing_requirement", "/nonexistent"),
        ({"login_port": 1}, "connection", "127.0.0.1:1"),
        ({"login_password": "wrong"}, "connection", "password"),
        ({"jobs": 0}, "invalid_input", "jobs"),
        (
            {"assertions": [{"name": "x", "database": None, "query": "", "expected": ""}]},
            "invalid_input",
            "assertion 1",
        ),
        ({"target_suffix": "x" * 60}, "invalid_input", "too long"),
        ({"login_db": "flights"}, "refused", "cannot replace itself"),
    ],
)
def test_bad_input_touches_nothing(flights: Component, params: dict[str, t.Any], kind: str, words: str) -> None:  # noqa: F811
    if params.get("login_db"):
        flights.server.execute("CREATE SCHEMA sre_runbooks_copy", "flights")
        flights.mark(login_db="flights")
    result = flights.restore(**params)
    assert words in refused(result, kind)
    assert result["error"]["next_command"] or kind in ("invalid_input",)
    untouched(flights)


@pytest.fixture
def small_disk(tmp_path: pathlib.Path) -> collections.abc.Iterator[pathlib.Path]:
    path = tmp_path / "small"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)]
    if os.geteuid() != 0 or not shutil.which("mount") or subprocess.run(command, check=False).returncode != 0:
        pytest.skip("a small file system needs root")
    yield path
    subprocess.run(["umount", str(path)], check=True)


def test_too_little_space_is_seen_beforehand(flights: Component, small_disk: pathlib.Path) -> None:  # noqa: F811
    for check in (True, False):
        message = refused(flights.restore(check=check, scratch_dir=str(small_disk)), "refused")
        assert "too little space" in message and "MiB free" in message
    untouched(flights)


def test_a_missing_extension_is_seen_beforehand(flights: Component) -> None:  # noqa: F811
    point = flights.newest()
    point.content["databases"][0]["extensions"].append({"name": "nowhere", "version": "1.0", "schema": "public"})
    manifest = flights.path / "repository" / point.manifest_key
    manifest.chmod(0o644)
    manifest.write_bytes(point.to_manifest())
    assert "extension nowhere" in refused(flights.restore(), "refused")
    untouched(flights)


def test_tools_that_cannot_load_into_the_server_are_seen_beforehand(flights: Component) -> None:  # noqa: F811
    """From 17 on, pg_restore cannot load into servers before 17."""
    newer = find_binaries("wheel")
    if flights.server.major >= 17 or newer.version[0] < 17:
        pytest.skip("needs a server before 17 and tools from 17 on")
    message = refused(flights.restore(bin_dir=newer.bin_dir), "refused")
    assert f"pg_restore {newer.version_text} cannot load" in message
    untouched(flights)
    # What such tools dumped still has a drill: on a server of their own version.
    flights.back_up(bin_dir=newer.bin_dir)
    assert "cannot load" in refused(flights.restore(), "refused")
    done = flights.drill()
    assert done["server_version"] == newer.version_text and done["recovery_point"]["level"] == "asserted"


def test_a_prepared_transaction_is_seen_beforehand(tmp_path: pathlib.Path) -> None:
    with running_server("system", {"max_prepared_transactions": 5}) as server:
        component = Component(server, tmp_path)
        component.create("flights", FLIGHTS)
        component.mark()
        component.back_up()
        server.execute("BEGIN; INSERT INTO f VALUES (0); PREPARE TRANSACTION 'held'", "flights")
        assert "'held'" in refused(component.restore(), "refused")
        server.execute("COMMIT PREPARED 'held'", "flights")
        assert component.restore()["changed"]


def test_a_second_operator_waits_or_is_told(flights: Component) -> None:  # noqa: F811
    with holding(flights.repository, NAME, None, describe_holder(None), 30.0):
        refused(flights.restore(), "lease_held")
    untouched(flights)
    with flights.server.connect() as session:
        marker.hold_advisory_lock(session, NAME)
        assert "another session restores" in refused(flights.restore(), "lease_held")
    untouched(flights)
