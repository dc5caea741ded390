# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""postgresql_backup against real servers of two majors: what it takes, and when."""

from __future__ import annotations

import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import threading

import psutil
import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Identities, open_decoded
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import (
    catalog,
    client,
    databases,
    place,
    stored_globals,
)
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.instance import Instance
from ansible_collections.sre.runbooks.plugins.module_utils._repository.verify import verify_point
from tests.servers.deadline import wait_for
from tests.servers.module_call import finish_module, start_module
from tests.servers.postgresql import FAST, Server, postgresql_server, postgresql_system, running_server  # noqa: F401
from tests.servers.site import (  # noqa: F401
    DIFFICULT,
    Site,
    comparable,
    create,
    load_difficult,
    measured,
    simple,
    site,
)
from tools.local_environment import free_port


def test_check_then_run_then_nothing(site: Site) -> None:  # noqa: F811
    create(site.server, "flights", "CREATE TABLE f AS SELECT i AS id FROM generate_series(1, 1000) i")
    before = site.files()
    would = site.back_up(check=True)
    assert would["changed"] and would["recovery_point"] is None and would["plan"]["databases"] == ["flights"]
    assert would["diff"]["before"] != would["diff"]["after"]
    assert site.files() == before
    assert site.server.execute("SELECT to_regnamespace('sre_runbooks') IS NULL", "flights") == [(True,)]

    done = site.back_up()
    assert done["changed"] and done["recovery_point"]["level"] == "taken"
    (point,) = site.points()
    entry = point.content["databases"][0]
    assert entry["tables"]["public.f"]["rows"] == 1000
    assert entry["canary"]["written_at"] and entry["tables"]["sre_runbooks.canary"]["rows"] == 1
    assert point.engine_version == client.server_version(site.server.connect())
    assert re.fullmatch(r"[0-9A-F]+/[0-9A-F]+", entry["lsn"])
    assert verify_point(site.repository, point, Identities(), None).ok

    for check in (False, True):
        again = site.back_up(check=check)
        assert not again["changed"] and again["recovery_point"]["point_id"] == point.point_id
        assert again["diff"]["before"] == again["diff"]["after"]


def test_fresh_is_about_the_schedule_the_databases_and_encryption(simple: Site) -> None:  # noqa: F811
    first = simple.back_up()["recovery_point"]["point_id"]
    assert not simple.back_up(rpo="1h", interval="59m")["changed"]
    assert simple.back_up(check=True, rpo="1h", interval="1h")["changed"]
    assert simple.back_up(check=True, force=True)["changed"]
    create(simple.server, "another")
    grown = simple.back_up()
    assert grown["changed"] and "does not hold every database" in grown["message"]
    newest = simple.points()[0]
    assert newest.previous == first and [e["name"] for e in newest.content["databases"]] == ["another", "flights"]


def test_difficult_database_comes_back_by_hand(postgresql_server: Server, tmp_path: pathlib.Path) -> None:  # noqa: F811
    """RESTORE.md, followed to the letter with a shell on an empty server, gives the same database."""
    if not all(map(shutil.which, ("age", "age-keygen", "zstd"))):
        pytest.skip("needs age and zstd as programs")
    key = tmp_path / "key"
    subprocess.run(["age-keygen", "-o", str(key)], check=True, capture_output=True)
    recipient = re.search(r"age1\w+", key.read_text())
    assert recipient
    with running_server(postgresql_server.kind) as source:
        site = Site(source, tmp_path)
        load_difficult(source)
        create(source, "empty=db")
        result = site.back_up(encryption_recipients=[recipient[0]], hash_policy="all", jobs=3)
        assert result.get("changed"), result
        point = site.points()[0]
        entries = {entry["name"]: entry for entry in point.content["databases"]}
        assert set(entries) == {DIFFICULT, "empty=db"}
        before = comparable(measured(source, DIFFICULT))
        with source.connect(DIFFICULT) as session:
            description = databases.describe_database(session)
        assert comparable(entries[DIFFICULT]) == before
        assert sum(bool(table["hash"]) for table in before["tables"].values()) >= 15
        roles = source.execute(
            "SELECT rolname, rolpassword FROM pg_authid WHERE rolname !~ '^pg_' AND rolname <> 'postgres' ORDER BY 1"
        )
    manifest = (tmp_path / "repository" / point.manifest_key).read_text()
    assert "difficult-secret" not in manifest and "SCRAM-SHA" not in manifest
    settings = stored_globals.read_settings(site.repository.store, point, Identities(file=str(key)))
    assert settings[DIFFICULT][0]["values"]["app.jwt_secret"] == "difficult-secret"
    with running_server(postgresql_server.kind) as target:
        folder = tmp_path / "repository" / point.prefix
        guide = (folder / "RESTORE.md").read_text()
        script = "set -eu\n" + "\n".join(re.findall(r"^```sh\n(.*?)^```", guide, re.M | re.S))
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=folder,
            env={
                **os.environ,
                **target.address.environment(),
                "PATH": f"{target.bin_dir}:{os.environ['PATH']}",
                "IDENTITY": str(key),
            },
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        assert comparable(measured(target, DIFFICULT)) == before
        with target.connect(DIFFICULT) as session:
            restored = databases.describe_database(session)
        for described in (description, restored):
            described["acl"].sort()
        for what in (
            "owner",
            "acl",
            "comment",
            "connection_limit",
            "settings",
            "encoding",
            "collate",
            "counts",
            "roles",
        ):
            assert restored[what] == description[what], what
        assert (
            target.execute(
                "SELECT rolname, rolpassword FROM pg_authid WHERE rolname !~ '^pg_' AND rolname <> 'postgres' ORDER BY 1"
            )
            == roles
        )


def test_everything_is_of_one_moment(site: Site) -> None:  # noqa: F811
    """Rows that belong together are all there or none, in the data as in the counts, under constant writing."""
    create(site.server, "ledger", "CREATE TABLE a (id serial, pad text); CREATE TABLE b (id serial, pad text)")
    site.server.execute("INSERT INTO a (pad) SELECT repeat('x', 500) FROM generate_series(1, 40000)", "ledger")
    site.server.execute("INSERT INTO b (pad) SELECT repeat('x', 500) FROM generate_series(1, 40000)", "ledger")
    ended = threading.Event()

    def write() -> int:
        count = 0
        with client.connect(site.server.address, "ledger") as session:
            while not ended.is_set():
                with session.transaction():
                    session.execute("INSERT INTO a (pad) VALUES ('new')")
                    session.execute("INSERT INTO b (pad) VALUES ('new')")
                count += 1
        return count

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            site.back_up()
        finally:
            ended.set()
        assert writing.result() > 10
    (point,) = site.points()
    entry = point.content["databases"][0]
    rows = {name: entry["tables"][f"public.{name}"]["rows"] for name in "ab"}
    assert rows["a"] == rows["b"] >= 40000
    dumped = []
    for stored in point.objects:
        if re.search(r"/\d+\.dat\.zst$", stored.name):
            with open_decoded(site.repository.store, stored, Identities()) as decoded:
                dumped.append(sum(1 for line in decoded.read().splitlines() if line and line != b"\\."))
    assert sorted(dumped)[-2:] == [rows["a"], rows["b"]]


def test_many_databases_and_which(site: Site) -> None:  # noqa: F811
    for number in range(6):
        create(site.server, f"db {number}")
    create(site.server, "flights__restoring")
    create(site.server, "flights__before_20261121T051000Z-a1b2")
    site.server.execute("CREATE DATABASE closed WITH ALLOW_CONNECTIONS false")
    site.server.execute("CREATE DATABASE pattern WITH IS_TEMPLATE true")
    try:
        plan = site.back_up(check=True, databases_excluded=["db 3"])["plan"]["databases"]
        assert plan == ["db 0", "db 1", "db 2", "db 4", "db 5"]
        site.server.execute("CREATE TABLE mine (id integer)")
        assert site.back_up(check=True)["plan"]["databases"][-1] == "postgres"
        result = site.back_up(databases=["db 1", "db 5"])
        assert result["plan"]["databases"] == ["db 1", "db 5"]
    finally:
        site.server.execute("DROP TABLE IF EXISTS mine")
        site.server.execute("ALTER DATABASE pattern IS_TEMPLATE false")
    unknown = site.back_up(databases=["db 1", "nowhere"])
    assert (
        unknown["failed"] and unknown["error"]["kind"] == "invalid_input" and "'db 0'" in unknown["error"]["expected"]
    )


def test_nothing_to_back_up(postgresql_system: Server, tmp_path: pathlib.Path) -> None:  # noqa: F811
    result = Site(postgresql_system, tmp_path).back_up()
    assert result["failed"] and result["error"]["kind"] == "refused" and "no database" in result["msg"]


def test_standby_gives_its_data_and_no_canary(tmp_path: pathlib.Path) -> None:
    with running_server("system", {"hot_standby": "on"}) as primary:
        create(primary, "flights", "CREATE TABLE f AS SELECT 1 AS id; CREATE UNLOGGED TABLE u AS SELECT 2 AS id")
        user = place.server_user()
        root = place.make_directory(user, "srt-")
        standby = Instance(os.path.join(root, "data"), os.path.join(root, "s"), free_port(), primary.bin_dir, user)
        try:
            os.mkdir(standby.data_dir, 0o700)
            place.give(standby.data_dir, user)
            from ansible_collections.sre.runbooks.plugins.module_utils import _process

            _process.run(
                [
                    os.path.join(primary.bin_dir, "pg_basebackup"),
                    "-D",
                    standby.data_dir,
                    "-R",
                    "-X",
                    "stream",
                    "-c",
                    "fast",
                ],
                "copying the primary",
                environment=primary.address.environment(),
                user=user,
                cwd="/",
            )
            standby.configure({**FAST, "hot_standby": "on"})
            standby.start(tied=True)
            site = Site(primary, tmp_path)
            result = site.back_up(login_port=standby.port)
            assert result.get("changed"), result
            (point,) = site.points()
            entry = point.content["databases"][0]
            assert entry["tables"]["public.f"]["rows"] == 1 and "public.u" not in entry["tables"]
            assert entry["canary"]["written_at"] is None and "standby" in entry["canary"]["problem"]
        finally:
            standby.stop(mode="immediate")
            shutil.rmtree(root)


def test_secrets_show_nowhere(simple: Site) -> None:  # noqa: F811
    """Not in argv while it runs, nor in the result, nor in the repository."""
    simple.server.execute("CREATE ROLE holder LOGIN PASSWORD 'role-secret'")
    simple.server.execute("ALTER DATABASE flights SET app.api_key = 'custom-secret'")
    simple.server.execute("INSERT INTO f SELECT i FROM generate_series(1, 300000) i", "flights")
    scratch = simple.path / "scratch"
    scratch.mkdir()
    seen: set[str] = set()

    def dumping() -> bool:
        for member in psutil.process_iter(["cmdline"]):
            seen.add(" ".join(member.info["cmdline"] or []))
        return any("pg_dump" in line and str(scratch) in line for line in seen)

    try:
        with client.connect(simple.server.address, "flights", autocommit=False) as blocker:
            # It waits for this lock until it was seen.
            blocker.execute("LOCK TABLE f IN ACCESS EXCLUSIVE MODE")
            process = start_module("postgresql_backup", simple.params(scratch_dir=str(scratch), lock_timeout="10m"))
            wait_for(dumping, "pg_dump among the processes")
            blocker.rollback()
        while process.poll() is None:
            dumping()
        result = finish_module(process)
        assert result.get("changed"), result
    finally:
        simple.server.execute("DROP ROLE holder")
    assert not [line for line in seen if simple.server.password in line]
    result["invocation"] = None
    assert simple.server.password not in json.dumps(result) and "custom-secret" not in json.dumps(result)
    (point,) = simple.points()
    assert not point.content["globals"]["passwords"]
    for name in simple.files():
        content = (simple.path / "repository" / name).read_bytes()
        assert simple.server.password.encode() not in content
        if name.endswith(".json"):
            assert b"custom-secret" not in content
    for stored in point.objects:
        if stored.kind == "globals":
            with open_decoded(simple.repository.store, stored, Identities()) as decoded:
                assert b"SCRAM-SHA" not in decoded.read()


def test_hashes_see_what_counts_miss(site: Site) -> None:  # noqa: F811
    create(
        site.server,
        "flights",
        "CREATE TABLE f AS SELECT i AS id, i::text AS note, now() AS at, '\\x00ff'::bytea AS raw FROM generate_series(1, 100) i",
    )
    before = measured(site.server, "flights")["tables"]["public.f"]
    site.server.execute("UPDATE f SET note = note WHERE id < 50", "flights")  # other order, same content
    assert measured(site.server, "flights")["tables"]["public.f"]["hash"] == before["hash"]
    site.server.execute(
        "ALTER DATABASE flights SET TimeZone = 'Asia/Tokyo'; ALTER DATABASE flights SET bytea_output = 'escape'"
    )
    assert measured(site.server, "flights")["tables"]["public.f"]["hash"] == before["hash"]
    site.server.execute("UPDATE f SET note = note || '!' WHERE id = 50", "flights")
    after = measured(site.server, "flights")["tables"]["public.f"]
    assert after["rows"] == before["rows"] and after["hash"] != before["hash"]
    with site.server.connect("flights") as session:
        assert catalog.measure_tables(session, "auto", 1)["public.f"]["hash"] is None
        assert catalog.measure_tables(session, "none")["public.f"]["hash"] is None
