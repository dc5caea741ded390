# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""postgresql_backup against real servers of two majors: what it takes, what it refuses, what is left when it dies."""

from __future__ import annotations

import collections.abc
import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import typing as t

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
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    initialise_repository,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.verify import verify_point
from tests.servers.module_call import call_module, finish_module, start_module
from tests.servers.postgresql import (  # noqa: F401
    FAST,
    KINDS,
    Server,
    postgresql_server,
    postgresql_system,
    postgresql_wheel,
    running_server,
)

HERE = pathlib.Path(__file__).parent
DIFFICULT = 'Dïfficult "db" x'
COMPONENT = "flights_db"


class Site:
    """A server with its own repository."""

    def __init__(self, server: Server, path: pathlib.Path) -> None:
        self.server = server
        self.path = path
        self.url = f"file://{path}/repository"
        repository, _created = initialise_repository(self.url, "local", check_mode=False)
        assert repository is not None
        self.repository = repository

    def params(self, **changes: t.Any) -> dict[str, t.Any]:
        own = {"repository": self.url, "environment_name": "local", "component": COMPONENT, **self.server.params()}
        return {**own, **changes}

    def back_up(self, check: bool = False, **changes: t.Any) -> dict[str, t.Any]:
        return call_module("postgresql_backup", self.params(**changes), check)

    def points(self) -> list[t.Any]:
        return list_points(self.repository, COMPONENT).points

    def files(self) -> list[str]:
        root = self.path / "repository"
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def create(server: Server, name: str, sql: str = "") -> None:
    server.execute(f"CREATE DATABASE {quoted(name)}")
    if sql:
        server.execute(sql, name)


def load_difficult(server: Server) -> None:
    create(server, DIFFICULT)
    subprocess.run(
        [server.tools.psql, "-qX", "-v", "ON_ERROR_STOP=1", "-f", str(HERE / "difficult_database.sql")],
        env={**os.environ, **server.address.environment(DIFFICULT)},
        check=True,
        capture_output=True,
    )
    with server.connect(DIFFICULT) as session:
        for (name,) in session.execute(
            "SELECT name FROM pg_available_extensions WHERE name IN"
            " ('hstore', 'citext', 'ltree', 'pg_trgm', 'postgres_fdw', 'pgcrypto', 'btree_gist')"
        ).fetchall():
            session.execute(f"CREATE EXTENSION {name}")
        session.execute('CREATE TABLE extended (h hstore, c citext COLLATE "C", l ltree)')
        session.execute("INSERT INTO extended VALUES ('b=>2, a=>NULL', 'MiXed', 'Top.Science')")


@pytest.fixture
def site(postgresql_server: Server, tmp_path: pathlib.Path) -> collections.abc.Iterator[Site]:  # noqa: F811
    server = postgresql_server
    yield Site(server, tmp_path)
    for (name,) in server.execute(
        "SELECT datname FROM pg_database WHERE datname NOT IN ('postgres') AND NOT datistemplate"
    ):
        server.execute(f"DROP DATABASE {quoted(name)} WITH (FORCE)")


@pytest.fixture
def simple(postgresql_system: Server, tmp_path: pathlib.Path) -> collections.abc.Iterator[Site]:  # noqa: F811
    """One server is enough where nothing depends on the version."""
    create(postgresql_system, "flights", "CREATE TABLE f AS SELECT i AS id FROM generate_series(1, 1000) i")
    yield Site(postgresql_system, tmp_path)
    for (name,) in postgresql_system.execute(
        "SELECT datname FROM pg_database WHERE datname NOT IN ('postgres') AND NOT datistemplate"
    ):
        postgresql_system.execute(f"DROP DATABASE {quoted(name)} WITH (FORCE)")


def measured(server: Server, database: str) -> dict[str, t.Any]:
    with server.connect(database) as session:
        return catalog.measure_database(session, "all")


def comparable(measure: dict[str, t.Any]) -> dict[str, t.Any]:
    """Without what a reload may change: sizes."""
    return {
        "tables": {name: {**table, "size": None} for name, table in measure["tables"].items()},
        "sequences": measure["sequences"],
        "large_objects": measure["large_objects"],
    }


def test_check_then_run_then_nothing(site: Site) -> None:
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


def test_fresh_is_about_the_schedule_the_databases_and_encryption(simple: Site) -> None:
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


def test_everything_is_of_one_moment(site: Site) -> None:
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


def test_many_databases_and_which(site: Site) -> None:
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


def test_wrong_password(simple: Site) -> None:
    result = simple.back_up(login_password="guessed-wrongly")
    assert result["failed"] and "authentication failed" in result["msg"]
    assert "guessed-wrongly" not in json.dumps({**result, "invocation": None})
    assert not simple.points()


def test_unreachable_server(simple: Site) -> None:
    result = simple.back_up(login_port=place.free_port())
    assert (
        result["failed"] and result["error"]["kind"] == "connection" and "pg_isready" in result["error"]["next_command"]
    )


def test_older_tools(postgresql_system: Server, postgresql_wheel: Server, tmp_path: pathlib.Path) -> None:  # noqa: F811
    if postgresql_system.major >= postgresql_wheel.major:
        pytest.skip("the system's PostgreSQL is not the older one")
    site = Site(postgresql_wheel, tmp_path)
    result = site.back_up(bin_dir=postgresql_system.bin_dir)
    assert result["failed"] and result["error"]["kind"] == "missing_requirement"
    assert str(postgresql_wheel.major) in result["error"]["expected"]
    assert postgresql_system.tools.version_text in result["error"]["found"]


def test_no_repository_or_another_environment(simple: Site) -> None:
    nowhere = simple.back_up(repository=f"file://{simple.path}/nowhere")
    assert nowhere["failed"] and nowhere["error"]["kind"] == "repository"
    other = simple.back_up(environment_name="production")
    assert other["failed"] and "local" in other["msg"]


def test_roles_that_cannot_see_everything(simple: Site) -> None:
    server = simple.server
    server.execute("CREATE ROLE weak LOGIN PASSWORD 'feeble'")
    try:
        login = {"login_user": "weak", "login_password": "feeble"}
        result = simple.back_up(**login)
        assert result["failed"] and "ALTER ROLE weak BYPASSRLS" in result["error"]["next_command"]
        server.execute("ALTER ROLE weak BYPASSRLS")
        result = simple.back_up(**login)
        assert result["failed"] and "pg_read_all_data" in result["error"]["next_command"]
        assert "public.f" in result["error"]["found"] and not simple.points()
        server.execute("GRANT pg_read_all_data TO weak")
        result = simple.back_up(**login)
        assert result.get("changed"), result
        assert any("no canary in 'flights'" in str(warning) for warning in result["warnings"])
        (point,) = simple.points()
        assert point.content["databases"][0]["tables"]["public.f"]["rows"] == 1000
    finally:
        server.execute("DROP ROLE weak")


class Pooler:
    """As much of a pooler as matters: it forwards, but tells a process number of its own."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                inside, _address = self._listener.accept()
                outside = socket.create_connection(("127.0.0.1", self._target))
                threading.Thread(target=self._pump, args=(inside, outside, False), daemon=True).start()
                threading.Thread(target=self._pump, args=(outside, inside, True), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket, disguise: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if disguise:
                    data = re.sub(rb"K\x00\x00\x00\x0c....", b"K\x00\x00\x00\x0c\x7f\xff\x00\x01", data, flags=re.S)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._listener.close()


def test_pooler_is_refused(simple: Site) -> None:
    pooler = Pooler(simple.server.instance.port)
    try:
        result = simple.back_up(login_port=pooler.port, ssl_mode="disable")
    finally:
        pooler.close()
    assert result["failed"] and result["error"]["kind"] == "refused" and "pooler" in result["msg"]


def test_second_operator_is_refused(simple: Site) -> None:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import describe_holder
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.leases import holding

    with holding(simple.repository, COMPONENT, None, describe_holder(None), 60):
        result = simple.back_up()
        assert result["failed"] and result["error"]["kind"] == "lease_held"
    assert not simple.points() and simple.back_up()["changed"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_full_repository(postgresql_system: Server, tmp_path: pathlib.Path) -> None:  # noqa: F811
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(tmp_path)], check=False)
    if mounted.returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    try:
        site = Site(postgresql_system, tmp_path)
        create(
            site.server,
            "large",
            "CREATE TABLE noise AS SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 500000) i GROUP BY i % 50",
        )
        result = site.back_up()
        assert result["failed"] and result["error"]["kind"] == "repository", result
        assert "space" in result["msg"].lower()
        assert not site.points() and not [name for name in site.files() if "/objects/" in name]
        assert result["error"]["expected"] or result["error"]["found"]
    finally:
        postgresql_system.execute('DROP DATABASE IF EXISTS "large"')
        subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_full_scratch_directory(postgresql_system: Server, tmp_path: pathlib.Path) -> None:  # noqa: F811
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(scratch)], check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        site = Site(postgresql_system, tmp_path)
        create(site.server, "large", "CREATE TABLE zeros AS SELECT repeat('0', 1000) FROM generate_series(1, 20000)")
        result = site.back_up(scratch_dir=str(scratch))
        assert result["failed"] and "scratch_dir" in result["error"]["next_command"], result
        assert not site.points() and not list(scratch.iterdir())
    finally:
        postgresql_system.execute('DROP DATABASE IF EXISTS "large"')
        subprocess.run(["umount", str(scratch)], check=True)


def test_table_that_stays_locked(simple: Site) -> None:
    with client.connect(simple.server.address, "flights", autocommit=False) as blocker:
        blocker.execute("LOCK TABLE f IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        result = simple.back_up(lock_timeout="1s")
        assert time.monotonic() - began < 30
        blocker.rollback()
    assert result["failed"] and "lock_timeout" in result["error"]["next_command"], result
    assert not simple.points()


def descendants(path: pathlib.Path) -> list[psutil.Process]:
    """Dump tools that work for the repository at ``path``: their scratch directory is below it."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        with contextlib.suppress(psutil.Error):
            if any(str(path) in word for word in process.info["cmdline"] or []) and process.status() != "zombie":
                found.append(process)
    return found


@pytest.mark.parametrize("moment", [0.3, 0.6, 0.9, 1.3])
def test_killed_at_any_moment(site: Site, moment: float) -> None:
    """Nothing is listed, no child stays, and the next run clears up and succeeds."""
    create(
        site.server,
        "large",
        "CREATE TABLE one AS SELECT i, repeat(md5(i::text), 40) AS pad FROM generate_series(1, 60000) i;"
        "CREATE TABLE two AS SELECT * FROM one",
    )
    scratch = site.path / "scratch"
    scratch.mkdir()
    process = start_module("postgresql_backup", site.params(scratch_dir=str(scratch)))
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    listed = len(site.points())
    deadline = time.monotonic() + 5
    while descendants(scratch) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not descendants(scratch)
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'large'"
    while site.server.execute(sessions) != [(0,)] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert site.server.execute(sessions) == [(0,)]
    for leftover in scratch.iterdir():  # a moment's grace is given to a directory that is being made
        os.utime(leftover)
    result = site.back_up(scratch_dir=str(scratch))
    assert not result.get("failed"), result
    assert result["changed"] is (listed == 0)
    assert len(site.points()) == 1 and not list_points(site.repository, COMPONENT).incomplete
    assert verify_point(site.repository, site.points()[0], Identities(), None).ok
    assert not site.back_up()["changed"]


def test_standby_gives_its_data_and_no_canary(tmp_path: pathlib.Path) -> None:
    with running_server("system", {"hot_standby": "on"}) as primary:
        create(primary, "flights", "CREATE TABLE f AS SELECT 1 AS id; CREATE UNLOGGED TABLE u AS SELECT 2 AS id")
        user = place.server_user()
        root = place.make_directory(user, "srt-")
        standby = Instance(
            os.path.join(root, "data"), os.path.join(root, "s"), place.free_port(), primary.bin_dir, user
        )
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


def test_secrets_show_nowhere(simple: Site) -> None:
    """Not in argv while it runs, nor in the result, nor in the repository."""
    simple.server.execute("CREATE ROLE holder LOGIN PASSWORD 'role-secret'")
    simple.server.execute("ALTER DATABASE flights SET app.api_key = 'custom-secret'")
    simple.server.execute("INSERT INTO f SELECT i FROM generate_series(1, 300000) i", "flights")
    seen: set[str] = set()
    try:
        process = start_module("postgresql_backup", simple.params())
        while process.poll() is None:
            for member in psutil.process_iter(["cmdline"]):
                seen.add(" ".join(member.info["cmdline"] or []))
        result = finish_module(process)
        assert result.get("changed"), result
    finally:
        simple.server.execute("DROP ROLE holder")
    assert any("pg_dump" in line for line in seen)
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


def test_hashes_see_what_counts_miss(site: Site) -> None:
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
