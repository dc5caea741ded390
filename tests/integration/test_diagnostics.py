# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Diagnostics of a real PostgreSQL server, its host and Prometheus: what stands out is found, and no secret leaves."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import pathlib
import signal
import tarfile
import threading
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.bundle import bundle
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.part import Part, unpack
from tests.servers.kubernetes.api import wait
from tests.servers.module_call import call_module
from tests.servers.postgresql import Server, running_server

#: Each is seeded somewhere that a collector looks at.
SECRETS = {
    "login": "login-Zq9x7Kw2",
    "statement": "Zq9-statement-4711",
    "running": "Zq9-running-0815",
    "application": "Zq9-application-42",
    "setting": "Zq9-setting-1234",
    "conninfo": "Zq9-conninfo-5678",
    "log": "Zq9-log-2222",
    "key": "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDZq9key3333",
    "label": "Zq9-label-9999",
    "probe": "Zq9-probe-1010",
}


@pytest.fixture(scope="module")
def server() -> t.Iterator[Server]:
    settings = {
        "shared_preload_libraries": "pg_stat_statements",
        "max_connections": "20",
    }
    with running_server("system", settings) as found:
        found.execute("CREATE DATABASE shop")
        found.execute(
            "CREATE EXTENSION pg_stat_statements; CREATE TABLE cargo AS SELECT generate_series(1, 1000) AS id", "shop"
        )
        found.execute(f"ALTER ROLE postgres PASSWORD '{SECRETS['login']}'")
        found.password = SECRETS["login"]
        found.execute(f"CREATE ROLE clerk LOGIN PASSWORD '{SECRETS['statement']}'")
        found.execute(f"ALTER ROLE clerk SET app.api_token = '{SECRETS['setting']}'")
        found.execute(f"ALTER SYSTEM SET primary_conninfo = 'host=nowhere password={SECRETS['conninfo']}'")
        found.execute("SELECT pg_create_physical_replication_slot('forgotten', true); SELECT pg_reload_conf()")
        yield found


@contextlib.contextmanager
def blocked(server: Server) -> t.Iterator[int]:
    """A session that waits for another, which is idle; the other's process number."""
    holder, waiter = server.connect("shop"), server.connect("shop")
    statement = f"/* password='{SECRETS['running']}' */ UPDATE cargo SET id = id WHERE id = 1"
    thread = threading.Thread(target=waiter.execute, args=(statement,))
    try:
        holder.execute(f"SET application_name = 'app token={SECRETS['application']}'")
        holder.execute("BEGIN")
        holder.execute("UPDATE cargo SET id = id WHERE id = 1")
        thread.start()
        waits = f"SELECT cardinality(pg_blocking_pids({waiter.info.backend_pid})) > 0"
        wait(lambda: server.execute(waits)[0][0], "the session to be blocked")
        yield holder.info.backend_pid
    finally:
        holder.close()  # which ends its transaction
        thread.join(60)
        waiter.close()


class Prometheus(http.server.BaseHTTPRequestHandler):
    """Answers as Prometheus does, for the paths that are asked."""

    ANSWERS: t.ClassVar[dict[str, t.Any]] = {
        "/api/v1/alerts": {
            "alerts": [
                {
                    "labels": {"alertname": "ShopDown", "severity": "critical"},
                    "annotations": {"summary": f"shop is down, token={SECRETS['label']}"},
                    "state": "firing",
                    "activeAt": "2026-11-21T05:10:00Z",
                },
                {"labels": {"alertname": "Later"}, "annotations": {}, "state": "pending"},
            ]
        },
        "/api/v1/rules": {
            "groups": [{"rules": [{"name": "broken", "health": "err"}, {"name": "fine", "health": "ok"}]}]
        },
        "/api/v1/targets?state=active": {
            "activeTargets": [
                {"scrapePool": "shop", "scrapeUrl": "http://shop/metrics", "health": "down", "lastError": "refused"},
                {"scrapePool": "db", "scrapeUrl": "http://db/metrics", "health": "up", "lastError": ""},
            ]
        },
    }

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"status": "success", "data": self.ANSWERS[self.path]}).encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def prometheus() -> t.Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Prometheus) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_address[1]}"
        found.shutdown()


def look(server: Server | None, **more: t.Any) -> tuple[dict[str, t.Any], Part]:
    """The module's result, and what it sends to the controller."""
    params = {"component": "shop_db", "time_limit": "60s", "host_state": False, **more}
    if server is not None:
        params.update(postgresql=True, **server.params())
    found = call_module("diagnostics", params)
    assert not found.get("failed"), found
    return found, unpack(found["part"])


def texts(part: Part) -> list[str]:
    return [finding.text for finding in part.findings]


def item(part: Part, collector: str, name: str) -> str:
    (section,) = [one for one in part.collected if one.name == collector]
    (found,) = [entry for entry in section.items if entry.name == name]
    return found.content.decode()


def archive(part: dict[str, t.Any], tmp_path: pathlib.Path, **more: t.Any) -> dict[str, bytes]:
    """The files of the archive that the controller makes of it, by name."""
    path = tmp_path / "part"
    path.write_text(part["part"])
    component = {
        "name": "shop_db",
        "part_path": str(path),
        "probes": [],
        "probes_problem": "",
        "problem": "",
        "item_limit": 1 << 18,
        "total_limit": 1 << 24,
        **more,
    }
    params = {
        "components": [component],
        "alert": "all",
        "report_dir": str(tmp_path),
        "run_id": None,
        "repository": None,
    }
    made = bundle({**params, "environment_name": "local", "keep_in_repository": False, "s3": None}, check_mode=False)
    with tarfile.open(made.archive_path) as files:
        return {
            entry.name.partition("/")[2]: t.cast("t.IO[bytes]", files.extractfile(entry)).read()
            for entry in files.getmembers()
        }


def test_a_server_in_trouble(server: Server) -> None:
    with blocked(server) as holder:
        found, part = look(server)
    assert [one["outcome"] for one in found["collectors"]] == ["collected"] * 6, found["collectors"]
    assert f"1 blocked session of PostgreSQL, held up by process {holder}" in texts(part)
    assert texts(part)[0].startswith("1 blocked session")  # the worst first
    assert "nobody reads from replication slot forgotten, which keeps" in " ".join(texts(part))
    assert "UPDATE cargo" in item(part, "postgresql_activity", "activity.txt")
    assert "UPDATE cargo" in item(part, "postgresql_locks", "blocked.txt")
    # Installed in another database than the one that was logged in to, and the tables are there as well.
    assert "pg_create_physical_replication_slot" in item(part, "postgresql_statements", "by_total_time.txt")
    assert "public.cargo" in item(part, "postgresql_sizes", "largest_tables_of_shop.txt")
    assert "max_connections" in item(part, "postgresql_settings", "settings.txt")
    assert part.alert == "all"


def test_secrets_are_nowhere_in_the_archive(server: Server, prometheus: str, tmp_path: pathlib.Path) -> None:
    log = tmp_path / "shop.log"
    kind = "PRIVATE" + " KEY"  # apart: no file of ours may look as if it held one
    key = f"-----BEGIN {kind}-----\n{SECRETS['key']}\n-----END {kind}-----"
    log.write_text(
        f"ERROR connecting to postgres://shop:{SECRETS['log']}@db/shop\n{key}\nlogin with {SECRETS['login']}\n"
    )
    probe = {"name": "answers", "outcome": "failed", "message": f"password={SECRETS['probe']}", "kind": "http"}
    with blocked(server):
        found, _part = look(
            server, log_files=[str(log)], prometheus={"url": prometheus}, host_state=True, directories=[]
        )
    assert {one["outcome"] for one in found["collectors"]} <= {"collected", "partly"}, found["collectors"]
    files = archive(found, tmp_path, probes=[probe])
    assert {"index.html", "index.md", "index.json", "shop_db/host_logs/00-" + str(log)[1:].replace("/", "_")} <= set(
        files
    )
    everything = b"\n".join([*(name.encode() for name in files), *files.values()]).decode()
    for where in (
        "ERROR connecting to",
        "ShopDown",
        "app.api_token",
        "primary_conninfo",
        "CREATE ROLE clerk",
        "answers",
    ):
        assert where in everything, where
    for name, secret in SECRETS.items():
        assert secret not in everything, name
        assert secret not in json.dumps({key: value for key, value in found.items() if key != "part"}), name


def test_the_index_tells_what_stands_out(server: Server, prometheus: str, tmp_path: pathlib.Path) -> None:
    found, part = look(server, prometheus={"url": prometheus}, log_files=["/nowhere/<b>.log"], alert="slo_burn")
    files = archive(found, tmp_path)
    page = files["index.html"].decode()
    for expected in (
        "alert ShopDown fires since",
        "target http://shop/metrics of job shop is down",
        "1 rule of Prometheus",
    ):
        assert expected in page
        assert expected.split(" ")[1] in files["index.md"].decode()
    assert "no file is named /nowhere/&lt;b&gt;.log" in page
    assert "<b>.log" not in page
    assert [one["name"] for one in found["collectors"]] == found["plan"]
    assert found["plan"][:2] == ["prometheus_alerts", "prometheus_targets"]
    index = json.loads(files["index.json"])
    listed = [entry["path"] for section in index["chapters"][0]["sections"] for entry in section["entries"]]
    assert set(listed) | {"index.html", "index.md", "index.json"} == set(files)
    assert all(
        len(files[entry["path"]]) == entry["kept"] for s in index["chapters"][0]["sections"] for entry in s["entries"]
    )
    assert part.component == "shop_db"


def test_a_server_that_hangs_takes_nothing_else(server: Server, tmp_path: pathlib.Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("fine\n")
    postmaster = int((pathlib.Path(server.instance.data_dir) / "postmaster.pid").read_text().split("\n", 1)[0])
    os.kill(postmaster, signal.SIGSTOP)
    try:
        found, part = look(server, log_files=[str(log)], time_limit="15s", connect_timeout=60, alert="database_down")
    finally:
        os.kill(postmaster, signal.SIGCONT)
    outcomes = {one["name"]: (one["outcome"], one["why"]) for one in found["collectors"]}
    assert outcomes["host_logs"] == ("collected", "")
    assert outcomes["postgresql_activity"] == ("late", "not ready after 15 s")
    assert "postgresql_activity (late" in found["summary"]
    assert item(part, "host_logs", "00-" + str(log)[1:].replace("/", "_")) == "fine\n"


def test_a_server_that_is_gone_is_named(server: Server) -> None:
    params = {**server.params(), "login_port": 9}
    found = call_module("diagnostics", {"component": "c", "host_state": False, "postgresql": True, **params})
    assert {one["outcome"] for one in found["collectors"]} == {"failed"}
    assert "pg_isready -h 127.0.0.1 -p 9" in found["collectors"][0]["why"]
    assert not found["changed"]


def test_a_role_that_may_see_little_says_so(server: Server) -> None:
    params = {**server.params(), "login_user": "clerk", "login_password": SECRETS["statement"]}
    with blocked(server):
        found = call_module("diagnostics", {"component": "c", "host_state": False, "postgresql": True, **params})
    by_name = {one["name"]: one for one in found["collectors"]}
    assert by_name["postgresql_activity"]["outcome"] == "partly"
    assert "GRANT pg_read_all_stats" in by_name["postgresql_activity"]["why"]


def test_check_mode_asks_nothing(server: Server) -> None:
    params = {"component": "c", "alert": "database_slow", "postgresql": True, **server.params(), "login_port": 9}
    found = call_module("diagnostics", params, check=True)
    assert found["plan"][:3] == ["postgresql_activity", "postgresql_locks", "postgresql_statements"]
    assert "part" not in found
    assert not found["changed"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"time_limit": "0"}, "the time limit is not usable"),
        ({"time_limit": "soon"}, "c: time_limit is not a duration"),
        ({"since": "soon"}, "next: correct diagnostics_since in the inventory"),
        ({"time_limit": "2h"}, "next: correct diagnostics_time_limit in the inventory"),
        ({"total_limit": "1K"}, "found: diagnostics_item_limit 256K, diagnostics_total_limit 1K; next: "),
        (
            {"item_limit": "256KX"},
            "c: diagnostics_item_limit is not a size; expected: bytes, or such as 256K or 16M; found: '256KX'",
        ),
        (
            {"total_limit": "much"},
            "next: correct diagnostics_total_limit in the inventory, then: the same command without -e",
        ),
        ({"host_state": False}, "nothing is looked at for alert all"),
        ({"alert": "disk"}, "value of alert must be one of"),
        ({"prometheus": {"url": "http://user:secret@prometheus/"}}, "the address of Prometheus is not usable"),
        ({"prometheus": {"url": "file:///etc/passwd"}}, "the address of Prometheus is not usable"),
    ],
)
def test_bad_input_is_refused(given: dict[str, t.Any], words: str) -> None:
    found = call_module("diagnostics", {"component": "c", **given})
    assert found["failed"]
    assert words in found["msg"]
    assert "secret@" not in found["msg"]


def test_a_server_that_crashed(tmp_path: pathlib.Path) -> None:
    """What a person looks at first: is it running, does it listen, what did it say last."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "postgresql.conf").write_text("log_directory = 'own''s'\nport = 5432\n")
    (data / "own's").mkdir()
    log = data / "own's" / "monday.log"
    log.write_text(f"LOG:  started\nFATAL:  no space, password={SECRETS['log']}\nLOG:  database system is shut down\n")
    (data / "postmaster.pid").write_text(f"999999999\n{data}\n")
    port = {"login_host": "127.0.0.1", "login_port": 9, "postgresql": True, "data_directory": str(data)}
    found = call_module("diagnostics", {"component": "c", "alert": "database_down", "directories": [], **port})
    assert found["plan"][:3] == ["postgresql_server", "host_disks", "postgresql_activity"]
    part = unpack(found["part"])
    told = " ".join(texts(part))
    assert "nothing listens on port 9 of this host" in told
    assert f"{data}/postmaster.pid names process 999999999, which is no server any more" in told
    assert f"{log} says last: FATAL: no space, password=********" in told
    assert "database system is shut down" in item(part, "postgresql_server", f"00-{str(log)[1:].replace('/', '_')}")
    assert SECRETS["log"] not in str(part)
    (data / "postmaster.pid").unlink()
    found = call_module("diagnostics", {"component": "c", "alert": "database_down", "directories": [], **port})
    assert "the server was stopped in order, or has never started" in " ".join(texts(unpack(found["part"])))


def test_a_server_elsewhere_is_no_matter_of_this_host() -> None:
    elsewhere = {"login_host": "192.0.2.7", "postgresql": True, "connect_timeout": 1, "directories": []}
    found = call_module("diagnostics", {"component": "c", "alert": "database_down", "time_limit": "20s", **elsewhere})
    (server,) = [one for one in unpack(found["part"]).collected if one.name == "postgresql_server"]
    assert (server.outcome, server.findings) == ("collected", [])
    assert b"not this host" in server.items[0].content


def test_a_server_whose_name_nobody_knows_is_not_said_to_be_elsewhere() -> None:
    nowhere = {"login_host": "db.invalid", "postgresql": True, "connect_timeout": 1, "directories": []}
    found = call_module("diagnostics", {"component": "c", "alert": "database_down", "time_limit": "20s", **nowhere})
    (server,) = [one for one in unpack(found["part"]).collected if one.name == "postgresql_server"]
    assert (server.outcome, server.items) == ("failed", [])
    assert server.why.startswith("whether the server is on this host is not known: db.invalid: ")


def test_the_log_of_a_server_that_runs(server: Server) -> None:
    data = server.instance.data_dir
    more = {"host_state": True, "directories": [], "alert": "database_down", "data_directory": data}
    _found, part = look(server, **more)
    assert "database system is ready" in item(
        part, "postgresql_server", f"00-{server.instance.log[1:].replace('/', '_')}"
    )
    assert "checkpointer" in item(part, "postgresql_server", "processes.txt")
    assert str(server.instance.port) in item(part, "postgresql_server", "port.txt")
    assert not [text for text in texts(part) if "listens" in text or "postmaster" in text]
