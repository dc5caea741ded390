# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of a real server are damaged on purpose: each damage is found and named, and what can be rebuilt is."""

from __future__ import annotations

import os
import pathlib
import random
import subprocess
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.place import give, server_user
from tests.servers.archived import public_directory
from tests.servers.module_call import call_module
from tests.servers.postgresql import Server, running_server

PAGE = 8192


@pytest.fixture(scope="module")
def server() -> t.Iterator[Server]:
    with running_server("system") as found:
        yield found


@pytest.fixture
def database(server: Server) -> t.Iterator[str]:
    """A fresh database with a table of some pages, two indexes and long values."""
    server.execute("CREATE DATABASE ship")
    server.execute(
        "CREATE TABLE cargo (id int PRIMARY KEY, name text, story text);"
        " ALTER TABLE cargo ALTER story SET STORAGE external;"
        " INSERT INTO cargo SELECT n, 'crate ' || n, CASE WHEN n % 500 = 0 THEN repeat('long ' || n, 2000) END"
        " FROM generate_series(1, 5000) n; CREATE INDEX cargo_name ON cargo (name)",
        "ship",
    )
    server.execute("VACUUM (FREEZE, ANALYZE) cargo", "ship")
    yield "ship"
    server.execute("DROP DATABASE ship WITH (FORCE)")


def look(server: Server, database: str = "ship", **more: t.Any) -> dict[str, t.Any]:
    found = call_module("postgresql_integrity_info", {"databases": [database], **server.params(), **more})
    assert not found.get("failed"), found
    return found


def path_of(server: Server, relation: str, database: str = "ship") -> pathlib.Path:
    server.execute("CHECKPOINT")
    name = server.execute(f"SELECT pg_relation_filepath('{relation}')", database)[0][0]
    return pathlib.Path(server.instance.data_dir) / name


def damage(server: Server, path: pathlib.Path, offset: int, content: bytes) -> None:
    """Write into a file of the stopped server."""
    server.instance.stop()
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(content)
    server.instance.start(tied=True)


def named_indexes(database: str, *names: str) -> dict[str, t.Any]:
    return {"indexes": [{"database": database, "name": name} for name in names]}


def named(found: dict[str, t.Any]) -> set[tuple[str, str]]:
    return {(finding["object"], finding["repair"]) for finding in found["findings"]}


@pytest.mark.slice
def test_a_sound_server_raises_no_alarm(server: Server, database: str) -> None:
    before = server.execute("SELECT oid, relname FROM pg_class ORDER BY 1", database)
    everything = call_module("postgresql_integrity_info", server.params())
    assert everything["verdict"] == "sound" and everything["findings"] == []
    assert {"postgres", "ship", "template1"} <= set(everything["databases"])
    assert everything["indexes_count"] > 300 and everything["tables_count"] > 200 and everything["bytes"] > 10 << 20
    assert everything["unchecked"] == []
    # What it borrowed to look is gone.
    assert server.execute("SELECT oid, relname FROM pg_class ORDER BY 1", database) == before
    assert server.execute("SELECT extname FROM pg_extension WHERE extname = 'amcheck'", database) == []
    # The fixtures' servers do without durability, which is told.
    assert "fsync = off" in everything["dangerous_settings"]


@pytest.mark.parametrize("installed", [False, True])
def test_a_damaged_index_is_found_and_rebuilt(server: Server, database: str, installed: bool) -> None:
    if installed:
        server.execute("CREATE SCHEMA checks; CREATE EXTENSION amcheck SCHEMA checks", database)
    path = path_of(server, "cargo_name")
    # The items of a leaf page in another order: nothing that a checksum would tell, wrong answers all the same.
    page = path.read_bytes()[PAGE : 2 * PAGE]
    pointers = bytearray(page[24:64])
    pointers[4:8], pointers[24:28] = pointers[24:28], pointers[4:8]
    damage(server, path, PAGE + 24, bytes(pointers))
    found = look(server)
    assert found["verdict"] == "rebuildable", found
    assert named(found) == {("cargo_name", "reindex")}
    assert "item order" in found["findings"][0]["detail"]

    params = {**named_indexes(database, "cargo_name", "cargo_pkey"), **server.params()}
    planned = call_module("postgresql_reindex", params, check=True)
    assert planned["changed"] and look(server)["verdict"] == "rebuildable"
    done = call_module("postgresql_reindex", params)
    assert done["changed"] and "ship: cargo_name: reindexed" in done["diff"]["after"]
    assert [one["action"] for one in done["indexes"]] == ["reindexed", "kept"]
    assert look(server)["verdict"] == "sound"
    assert not call_module("postgresql_reindex", params)["changed"]


def test_an_index_of_the_catalogue_is_rebuilt(server: Server, database: str) -> None:
    path = path_of(server, "pg_catalog.pg_description_o_c_o_index")
    damage(server, path, 2 * PAGE + 100, random.Random(2000).randbytes(2000))
    found = look(server, depth="structure")
    assert named(found) == {("pg_description_o_c_o_index", "reindex")}
    params = {**named_indexes(database, "pg_description_o_c_o_index"), **server.params()}
    assert call_module("postgresql_reindex", params)["changed"]
    assert look(server)["verdict"] == "sound"


def test_a_damaged_table_is_named_with_its_blocks(server: Server, database: str) -> None:
    path = path_of(server, "cargo")
    damage(server, path, 3 * PAGE, b"\xff" * 24)
    damage(server, path, 7 * PAGE, b"\xff" * 24)
    found = look(server)
    assert found["verdict"] == "damaged"
    reading = next(finding for finding in found["findings"] if finding["check"] == "read")
    assert (reading["object"], reading["repair"], reading["blocks"]) == ("cargo", "restore", [3, 7])
    assert "invalid page" in reading["detail"]
    # An index over such a table cannot be rebuilt, and says why.
    refused = call_module("postgresql_reindex", {**named_indexes(database, "cargo_name"), **server.params()})
    if refused.get("failed"):
        assert "damaged" in refused["error"]["next_command"]


def test_a_missing_file_and_a_lost_long_value(server: Server, database: str) -> None:
    toast = server.execute("SELECT reltoastrelid::regclass::text FROM pg_class WHERE relname = 'cargo'", database)[0][0]
    damage(server, path_of(server, toast), 24 + 4, b"\0" * 4)  # the pointer to one piece
    gone = path_of(server, "cargo_name")
    server.instance.stop()
    gone.unlink()
    server.instance.start(tied=True)
    found = look(server)
    assert {("cargo_name", "reindex"), ("cargo", "restore")} <= named(found)
    # Reading needs the index to be there; with it, the piece is missed by reading too.
    assert {finding["check"] for finding in found["findings"]} == {"file", "heap"}
    assert found["unchecked"] == ["ship: the rows of cargo: a file that belongs to it is missing"]
    call_module("postgresql_reindex", {**named_indexes(database, "cargo_name"), **server.params()})
    found = look(server)
    assert (named(found), found["unchecked"]) == ({("cargo", "restore")}, [])
    assert {finding["check"] for finding in found["findings"]} == {"heap", "read"}
    assert all("chunk" in finding["detail"] for finding in found["findings"])


def test_a_catalogue_that_contradicts_itself(server: Server, database: str) -> None:
    server.execute(
        "SET allow_system_table_mods = on; DELETE FROM pg_attribute WHERE attrelid = 'cargo'::regclass AND attname = 'story'",
        database,
    )
    found = look(server, depth="quick")
    assert found["verdict"] == "damaged"
    assert "cargo" in {finding["object"] for finding in found["findings"]}
    assert "columns" in found["findings"][0]["detail"]


def test_what_a_killed_rebuild_left_is_dropped(server: Server, database: str) -> None:
    server.execute("CREATE INDEX cargo_name_ccnew1 ON cargo (name)", database)
    server.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'cargo_name_ccnew1'::regclass", database)
    assert named(look(server, depth="quick")) == {("cargo_name_ccnew1", "drop")}
    params = {**named_indexes(database, "cargo_name_ccnew1"), **server.params()}
    assert call_module("postgresql_reindex", params)["changed"]
    assert not call_module("postgresql_reindex", params)["changed"]
    assert look(server)["verdict"] == "sound"


def test_duplicates_are_named(server: Server, database: str) -> None:
    server.execute(
        "CREATE UNIQUE INDEX once ON cargo (name); UPDATE pg_index SET indisready = false WHERE indexrelid = 'once'::regclass",
        database,
    )
    server.execute("INSERT INTO cargo VALUES (9001, 'crate 1')", database)
    server.execute(
        "UPDATE pg_index SET indisready = true, indisvalid = false WHERE indexrelid = 'once'::regclass", database
    )
    failed = call_module("postgresql_reindex", {**named_indexes(database, "once"), **server.params()})
    assert failed["failed"] and "(name)=(crate 1)" in failed["error"]["found"]


def test_what_may_not_be_looked_at_is_said(server: Server, database: str) -> None:
    server.execute("CREATE ROLE visitor LOGIN PASSWORD 'visitor'; GRANT SELECT ON cargo TO visitor", database)
    try:
        found = look(server, login_user="visitor", login_password="visitor")
        assert found["verdict"] == "sound"
        assert len(found["unchecked"]) >= 2 and all("ship" in words for words in found["unchecked"])
    finally:
        server.execute("REVOKE ALL ON cargo FROM visitor; DROP ROLE visitor", database)


def test_unknown_names_are_refused(server: Server) -> None:
    found = call_module("postgresql_integrity_info", {"databases": ["nowhere"], **server.params()})
    assert found["failed"] and "no nowhere" in found["msg"]
    found = call_module("postgresql_reindex", {**named_indexes("postgres", "nothing"), **server.params()})
    assert found["failed"] and "no such index" in found["msg"]


def test_checksums_tell(tmp_path: pathlib.Path) -> None:
    with running_server("system") as other:
        other.instance.stop()
        subprocess.run(
            [os.path.join(other.bin_dir, "pg_checksums"), "--enable", "--no-sync", "-D", other.instance.data_dir],
            check=True,
            capture_output=True,
            user="postgres" if os.geteuid() == 0 else None,
        )
        other.instance.start(tied=True)
        other.execute("CREATE TABLE cargo AS SELECT n FROM generate_series(1, 5000) n")
        damage(other, path_of(other, "cargo", "postgres"), 5 * PAGE + 8000, b"\x07")
        found = look(other, "postgres")
        assert found["checksums"] and found["verdict"] == "damaged"
        reading = next(finding for finding in found["findings"] if finding["check"] == "read")
        assert reading["blocks"] == [5]


def test_a_copy_is_made_once_and_whole(server: Server, database: str, tmp_path: pathlib.Path) -> None:
    dest = tmp_path / "copy"
    params = {"dest": str(dest), **server.params()}
    planned = call_module("postgresql_copy", params, check=True)
    assert planned["changed"] and planned["copy"]["method"] == "online" and not dest.exists()
    (tmp_path / "copy.part").mkdir()  # of a run that was killed
    done = call_module("postgresql_copy", params)
    assert done["changed"], done
    assert (dest / "PG_VERSION").exists() and not (tmp_path / "copy.part").exists()
    assert (
        path_of(server, "cargo").stat().st_size
        == (dest / path_of(server, "cargo").relative_to(server.instance.data_dir)).stat().st_size
    )
    again = call_module("postgresql_copy", params)
    assert not again["changed"] and again["copy"] == done["copy"]


def test_the_tablespaces_of_a_copy_are_its_own(server: Server, tmp_path: pathlib.Path) -> None:
    with public_directory() as place:
        live = place / "equal=fast"  # what stands between the two places in pg_basebackup's option
        live.mkdir(0o700)
        give(str(live), server_user())
        server.execute(f"CREATE TABLESPACE fast LOCATION '{live}'")
        server.execute("CREATE TABLE spaced TABLESPACE fast AS SELECT generate_series(1, 1000) n", "postgres")
        dest = tmp_path / "copy"
        try:
            done = call_module("postgresql_copy", {"dest": str(dest), **server.params()})
            assert done["changed"], done
            (name,) = server.execute("SELECT pg_relation_filepath('spaced')")[0]
            copied = dest / name
            assert name.startswith("pg_tblspc/") and copied.resolve().is_relative_to(dest)
            assert copied.read_bytes() == live.joinpath(*pathlib.Path(name).parts[2:]).read_bytes()
        finally:
            server.execute("DROP TABLE spaced", "postgres")
            server.execute("DROP TABLESPACE fast")


def test_a_damaged_and_a_stopped_server_are_copied_all_the_same(
    server: Server, database: str, tmp_path: pathlib.Path
) -> None:
    path = path_of(server, "cargo")
    damage(server, path, 3 * PAGE, b"\xff" * 24)
    assert call_module("postgresql_copy", {"dest": str(tmp_path / "online"), **server.params()})["changed"]
    within = path.relative_to(server.instance.data_dir)
    assert (tmp_path / "online" / within).read_bytes() == path.read_bytes()
    params = {"dest": str(tmp_path / "offline"), **server.params()}
    server.instance.stop()
    try:
        refused = call_module("postgresql_copy", params)
        assert refused["failed"] and "component_data_path" in refused["error"]["next_command"]
        done = call_module("postgresql_copy", {**params, "data_dir": server.instance.data_dir})
        assert done["changed"] and done["copy"]["method"] == "offline"
        assert (tmp_path / "offline" / within).read_bytes() == path.read_bytes()
    finally:
        server.instance.start(tied=True)


def test_a_copy_overwrites_nothing(server: Server, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("somebody's")
    refused = call_module("postgresql_copy", {"dest": str(tmp_path), **server.params()})
    assert refused["failed"] and "not a copy of ours" in refused["msg"]
    assert (tmp_path / "file").read_text() == "somebody's"
