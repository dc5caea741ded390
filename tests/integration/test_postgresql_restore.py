# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""postgresql_restore against real servers of two majors: what it brings back, what a kill leaves."""

from __future__ import annotations

import collections.abc
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import textwrap
import typing as t

import psycopg
import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import catalog, client, databases, marker
from tests.conftest import ROOT
from tests.robustness.scale import SEED, SOAK
from tests.servers.component import Component, quoted
from tests.servers.flights import FLIGHTS, flights, refused, rows, untouched  # noqa: F401
from tests.servers.postgresql import Server, postgresql_server, postgresql_system, running_server  # noqa: F401

HERE = pathlib.Path(__file__).parent
DIFFICULT = 'Dïfficult "db" x'


@pytest.fixture
def component(postgresql_server: Server, tmp_path: pathlib.Path) -> collections.abc.Iterator[Component]:  # noqa: F811
    found = Component(postgresql_server, tmp_path)
    yield found
    found.clear()


def state(server: Server, database: str) -> dict[str, t.Any]:
    """Everything that a restore must bring back: content and what belongs to the database."""
    with server.connect(database) as session:
        measured = catalog.measure_database(session, "all")
        described = databases.describe_database(session)
    for table in measured["tables"].values():
        del table["size"]
    del described["size"]
    return {**measured, **described}


def load_difficult(component: Component) -> None:
    component.create(DIFFICULT)
    subprocess.run(
        [component.server.tools.psql, "-qX", "-v", "ON_ERROR_STOP=1", "-f", str(HERE / "difficult_database.sql")],
        env={**os.environ, **component.server.address.environment(DIFFICULT)},
        check=True,
        capture_output=True,
    )


def test_everything_comes_back_and_the_old_is_kept(component: Component) -> None:
    load_difficult(component)
    component.create("flights", FLIGHTS)
    for result in (component.mark(), component.back_up()):
        assert "error" not in result, result["msg"]
    before = {name: state(component.server, name) for name in (DIFFICULT, "flights")}
    component.server.execute(f"DROP TABLE hen CASCADE; ALTER DATABASE {quoted(DIFFICULT)} RESET ALL", DIFFICULT)
    component.server.execute(f"COMMENT ON DATABASE {quoted(DIFFICULT)} IS NULL")
    component.server.execute("DELETE FROM f", "flights")

    predicted = component.restore(check=True)
    assert predicted["changed"], predicted
    assert component.databases() == {DIFFICULT, "flights"}
    done = component.restore()
    assert done["changed"], done
    assert {name: state(component.server, name) for name in before} == before
    point = component.newest()
    kept = {f"{name}__before_{point.point_id}" for name in before}
    assert component.databases() == {*before, *kept}
    assert predicted["diff"] == done["diff"]
    assert {item["kept_as"] for item in done["kept"]} == kept
    assert point.level == "asserted" and done["rto_measured_s"] > 0
    assert done["proof"]["canaries"] == dict.fromkeys(before, True)
    assert done["left_behind"][DIFFICULT] == {"publications": ["All of it", "some_of_it"]}
    assert list(component.scratch.iterdir()) == []

    again = component.restore()
    assert not again["changed"] and component.databases() == {*before, *kept}
    assert component.restore(check=True, release=True)["changed"]
    assert component.restore(release=True)["changed"]
    assert component.databases() == set(before)
    assert not component.restore(release=True)["changed"]
    assert not component.restore()["changed"]


def test_a_newer_server_takes_an_older_ones_point(tmp_path: pathlib.Path) -> None:
    with running_server("system") as old, running_server("wheel") as new:
        if old.major >= new.major:
            pytest.skip("the two servers are of the same major version")
        source = Component(old, tmp_path)
        load_difficult(source)
        recipient, identity = age_identity(tmp_path)
        assert "error" not in source.back_up(encryption_recipients=[recipient])
        before = state(old, DIFFICULT)
        target = source
        target.server = new
        # An empty server: no marker, no confirmation, but its roles come along, passwords included.
        done = target.restore(confirm=None, restore_globals="all", encryption_identity=identity)
        assert done["changed"], done
        after = state(new, DIFFICULT)
        for changing in ("extensions", "collation_version"):
            del before[changing], after[changing]
        assert after == before
        assert "Ünïcode rôle" in done["created_roles"]
        with new.connect() as session:
            found = marker.read_marker(session)
            assert found is not None and found.name == "local"
        login = client.PostgresqlAddress(
            host="127.0.0.1", port=new.instance.port, user="Ünïcode rôle", password="difficult-secret"
        )
        with client.connect(login) as session:
            assert session.execute("SELECT 1").fetchone() == (1,)
        assert not target.restore(restore_globals="all", encryption_identity=identity)["changed"]
        # And the other way round it is refused.
        (tmp_path / "newer").mkdir()
        newer = Component(new, tmp_path / "newer")
        assert "error" not in newer.back_up()
        newer.server = old
        assert newer.mark()["changed"]
        assert "older than the one that was backed up" in refused(newer.restore(), "refused")
        assert state(old, DIFFICULT)["comment"] == before["comment"]


def age_identity(path: pathlib.Path) -> tuple[str, str]:
    import pyrage

    identity = pyrage.x25519.Identity.generate()
    return str(identity.to_public()), str(identity)


def test_roles_that_exist_are_not_altered_outside_a_rebuild(flights: Component) -> None:  # noqa: F811
    flights.server.execute("CREATE ROLE app CONNECTION LIMIT 5; CREATE ROLE gone CONNECTION LIMIT 6; GRANT app TO gone")
    flights.server.execute("ALTER TABLE f OWNER TO gone; GRANT SELECT ON f TO app", "flights")
    flights.back_up()
    flights.server.execute("ALTER ROLE app CONNECTION LIMIT 50")
    flights.server.execute("ALTER TABLE f OWNER TO postgres; REVOKE ALL ON f FROM app", "flights")
    flights.server.execute("DROP ROLE gone")
    assert "roles gone" in refused(flights.restore(), "refused")
    assert rows(flights) == 1001
    done = flights.restore(restore_globals="all")
    assert done["created_roles"] == ["gone"] and done["altered_roles"] == []
    limits = flights.server.execute("SELECT rolname, rolconnlimit FROM pg_roles WHERE rolname IN ('app', 'gone')")
    assert dict(limits) == {"app": 50, "gone": 6}
    assert flights.server.execute("SELECT pg_has_role('gone', 'app', 'MEMBER')") == [(True,)]


def test_beside_the_live_database_under_another_name(flights: Component) -> None:  # noqa: F811
    done = flights.restore(confirm=None, target_suffix="_yesterday")
    assert done["changed"] and done["databases"][0]["kept_as"] is None
    assert (rows(flights), rows(flights, "flights_yesterday")) == (1001, 1000)
    assert not flights.restore(confirm=None, target_suffix="_yesterday")["changed"]


def test_kept_databases_expire(flights: Component) -> None:  # noqa: F811
    assert flights.restore(release_after="1h")["changed"]
    assert len(flights.databases()) == 2
    assert flights.restore(check=True, release_after="0")["changed"] and len(flights.databases()) == 2
    done = flights.restore(release_after="0")
    assert done["changed"] and len(done["released"]) == 1 and flights.databases() == {"flights"}
    assert not flights.restore(release_after="0")["changed"]


def test_restoring_twice_from_one_point_keeps_both(flights: Component) -> None:  # noqa: F811
    flights.restore()
    flights.server.execute("DELETE FROM f", "flights")
    assert not flights.restore()["changed"] and rows(flights) == 0
    done = flights.restore(force=True)
    assert rows(flights) == 1000
    assert [item["kept_as"][-2:] == "_2" for item in done["kept"]] == [False, True]


def test_sessions_are_ended_and_new_ones_see_the_restored(flights: Component) -> None:  # noqa: F811
    busy = flights.server.connect("flights")
    busy.execute("BEGIN; LOCK TABLE f")
    done = flights.restore()
    with pytest.raises(psycopg.errors.AdminShutdown):
        busy.execute("SELECT 1")
    # One that was just closing may be counted too.
    assert done["databases"][0]["sessions_ended"] >= 1
    assert rows(flights) == 1000


def test_an_older_point_is_taken_when_the_newest_is_damaged(flights: Component) -> None:  # noqa: F811
    good = flights.newest().point_id
    flights.back_up()
    bad = flights.newest().point_id
    path = flights.object_file()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(content))
    # A point that was asked for by name is never replaced by another one.
    message = refused(flights.restore(recovery_point=bad), "integrity")
    assert "damaged" in message
    untouched(flights)
    done = flights.restore()
    assert done["recovery_point"]["point_id"] == good and rows(flights) == 1000
    assert {choice["point_id"]: choice["outcome"] for choice in done["choices"]} == {bad: "damaged", good: "chosen"}
    assert all(choice["loses_s"] > 0 for choice in done["choices"])
    assert bad in done["message"] and "passed over" in done["message"]
    assert flights.newest().level == "damaged"


def test_a_plan_sees_what_is_cut_off(flights: Component) -> None:  # noqa: F811
    """Before anything is stopped for a restore: an object that is shorter than its manifest says, or gone."""
    good = flights.newest().point_id
    flights.back_up()
    bad = flights.newest().point_id
    path = flights.object_file()
    content = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(content[:-1])
    message = refused(flights.restore(True, recovery_point=bad), "integrity")
    assert "the length of" in message and f"expected: {len(content)} bytes" in message
    planned = flights.restore(True)
    assert planned["recovery_point"]["point_id"] == good, planned
    path.unlink()
    assert "is missing" in refused(flights.restore(True, recovery_point=bad), "integrity")
    untouched(flights)
    assert flights.newest().level == "taken"


def test_no_secret_is_shown(flights: Component) -> None:  # noqa: F811
    """Neither the login's password nor what the database's settings hold is in any result."""
    flights.server.execute("ALTER DATABASE flights SET app.key = 'seCret-in-a-setting'")
    recipient, identity = age_identity(flights.path)
    flights.back_up(encryption_recipients=[recipient])
    shown = str(
        [
            flights.restore(check=True, encryption_identity=identity),
            flights.restore(encryption_identity=identity),
            flights.drill(encryption_identity=identity),
        ]
    )
    assert flights.server.execute("SHOW app.key", "flights") == [("seCret-in-a-setting",)]
    for secret in ("seCret-in-a-setting", flights.server.password, identity):
        assert secret not in shown
    for path in (flights.path / "repository").rglob("*.json"):
        assert b"seCret" not in path.read_bytes()


# -- killed anywhere --------------------------------------------------------------------------------------------------

MOMENTS = (
    "check",
    "prepared",
    "read",
    "after read",
    "roles",
    "load",
    "created",
    "analyze",
    "assert",
    "after assert",
    "swap",
    "refuse connections",
    "end sessions",
    "rename",
    "renamed",
    "after swap",
    "release",
)
SAMPLE = MOMENTS if SOAK else tuple(sorted(random.Random(SEED).sample(MOMENTS, 6), key=MOMENTS.index))

PROGRAM = textwrap.dedent("""
    import json, os, signal, sys
    moment, url, login, scratch = json.load(sys.stdin)
    from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Identities
    from ansible_collections.sre.runbooks.plugins.module_utils._recovery.phases import Phases
    from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import PostgresqlAddress
    from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.restore import Restore
    from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.restore_target import RestoreRequest
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import open_repository
    from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Recorder

    def reached(name):
        if name == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    request = RestoreRequest("flights_db", confirm="flights_db", scratch_dir=scratch, release_after=0.0)
    phases = Phases(Recorder(None, None), reached)
    Restore(request, open_repository(url, "local"), PostgresqlAddress(**login), Identities(), phases).run()
""")


def killed_restore(component: Component, moment: str) -> int:
    server = component.server
    login = {"host": "127.0.0.1", "port": server.instance.port, "password": server.password}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps([moment, component.url, login, str(component.scratch)]).encode(),
        env={**os.environ, "PYTHONPATH": str(ROOT / ".local" / "collections")},
        capture_output=True,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode


@pytest.mark.parametrize("moment", SAMPLE)
def test_killed_and_run_again(flights: Component, moment: str) -> None:  # noqa: F811
    assert killed_restore(flights, moment) == -signal.SIGKILL
    swapped = MOMENTS.index(moment) >= MOMENTS.index("renamed")
    if moment not in ("end sessions", "rename"):  # connections are refused at these, and the next run allows them
        assert rows(flights) == (1000 if swapped else 1001)
    done = flights.restore(release_after="0")
    assert "error" not in done, done
    untouched(flights, 1000)
    again = flights.restore(release_after="0")
    assert not again["changed"] and again["kept"] == []
