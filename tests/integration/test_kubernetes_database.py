# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A PostgreSQL server in a pod passes the scenarios of one on a host: the same tests, run through the API's port-forward."""

from __future__ import annotations

import collections.abc
import pathlib
import typing as t

import pytest

from tests.integration.test_postgresql_restore import (  # noqa: F401
    component,
    test_everything_comes_back_and_the_old_is_kept,
    test_sessions_are_ended_and_new_ones_see_the_restored,
)
from tests.integration.test_postgresql_restore import test_killed_and_run_again as killed_and_run_again
from tests.servers.component import Component
from tests.servers.flights import flights  # noqa: F401
from tests.servers.kubernetes.api import wait
from tests.servers.kubernetes.database import PodServer, database_pod, in_pod
from tests.servers.kubernetes.server import KubernetesServer
from tests.servers.module_call import call_module, finish_module, start_module
from tests.servers.postgresql import running_server


@pytest.fixture(scope="module")
def postgresql_system(kubernetes_cluster: KubernetesServer) -> collections.abc.Iterator[PodServer]:
    with running_server("system") as server:
        yield in_pod(kubernetes_cluster, server)


@pytest.fixture(scope="module")
def postgresql_server(postgresql_system: PodServer) -> PodServer:
    return postgresql_system


@pytest.fixture
def in_a_pod(postgresql_system: PodServer, tmp_path: pathlib.Path) -> collections.abc.Iterator[Component]:
    found = Component(postgresql_system, tmp_path)
    found.create("flights", "CREATE TABLE f AS SELECT i AS id, repeat('x', 500) AS t FROM generate_series(1, 20000) i")
    yield found
    found.clear()


@pytest.mark.parametrize("moment", ["load", "rename"])
def test_a_restore_that_was_killed_is_mended_through_the_tunnel(flights: Component, moment: str) -> None:  # noqa: F811
    killed_and_run_again(flights, moment)


def elsewhere(server: PodServer, **changes: t.Any) -> dict[str, t.Any]:
    return {**server.params(), "transport": {**server.transport, **changes}}


def test_many_jobs_go_through_one_tunnel(in_a_pod: Component) -> None:
    for number in range(8):
        in_a_pod.server.execute(f"CREATE TABLE t{number} AS TABLE f", "flights")
    done = in_a_pod.back_up(jobs=6, hash_policy="all")
    assert done["changed"], done
    (entry,) = in_a_pod.newest().content["databases"]
    assert {name: table["rows"] for name, table in entry["tables"].items()}["public.t7"] == 20000


def test_errors_name_the_pod_and_the_port(in_a_pod: Component, postgresql_system: PodServer) -> None:
    closed = call_module("environment_marker", {"environment_name": "local", **elsewhere(postgresql_system, port=1)})
    assert "pod shop/db-0 port 1" in closed["msg"]
    assert "kubectl port-forward -n shop pod/db-0 :1" in closed["msg"]
    nobody = elsewhere(postgresql_system, pod_selector="app=nothing")
    assert "no pod" in call_module("environment_marker", {"environment_name": "local", **nobody})["msg"]
    wrong = {**postgresql_system.params(), "login_password": "wrong"}
    refused = call_module("environment_marker", {"environment_name": "local", **wrong})["msg"]
    assert "password" in refused and "pod shop/db-0 port 5432" in refused


def test_two_ready_pods_are_one_too_many(kubernetes_cluster: KubernetesServer, postgresql_system: PodServer) -> None:
    api = kubernetes_cluster.api
    api.create(database_pod("db-1"))
    try:
        api.ready("Pod", "db-1", "shop")
        params = {"environment_name": "local", **postgresql_system.params()}
        assert "db-0, db-1" in call_module("environment_marker", params)["msg"]
        by_name = {"environment_name": "local", **elsewhere(postgresql_system, pod="db-0")}
        assert "error" not in call_module("environment_marker", {**by_name, "confirm": "local"})
    finally:
        api.delete("v1", "Pod", "db-1", "shop")


def test_it_is_probed_diagnosed_copied_and_drilled_as_one_on_a_host(
    in_a_pod: Component, postgresql_system: PodServer, tmp_path: pathlib.Path
) -> None:
    server = in_a_pod.server
    asked = {"kind": "postgresql", "user": "postgres", "password": server.password, "query": "SELECT 1", "expect": "1"}
    asked["timeout"] = "60s"
    probes = [{**asked, "transport": transport} for transport in (postgresql_system.transport, postgresql_system.transport | {"pod_selector": "app=nothing"})]  # fmt: skip
    probed = call_module("probe", {"probes": probes, "fail": False})
    assert [result["outcome"] for result in probed["results"]] == ["ok", "failed"], probed
    assert "no pod" in str(probed["results"][1])

    looked = call_module("postgresql_integrity_info", {"databases": ["flights"], **server.params()})
    assert looked["verdict"] == "sound", looked
    copied = call_module("postgresql_copy", {"dest": str(tmp_path / "copy"), **server.params()})
    assert copied["changed"] and copied["copy"]["method"] == "online", copied
    assert (tmp_path / "copy" / "PG_VERSION").is_file()
    # The files of another server of this host are not those of one in a pod that does not answer.
    closed = {
        "dest": str(tmp_path / "other"),
        "data_dir": str(tmp_path / "copy"),
        **elsewhere(postgresql_system, port=1),
    }
    refused = call_module("postgresql_copy", closed)
    assert refused["failed"] and "pod shop/db-0 port 1" in refused["msg"] and not (tmp_path / "other").exists()

    assert in_a_pod.back_up()["changed"]
    drilled = in_a_pod.drill(scratch_dir=str(in_a_pod.scratch))
    assert not drilled.get("failed") and in_a_pod.newest().level == "asserted", drilled


def test_a_way_that_breaks_in_the_middle_leaves_no_recovery_point(
    in_a_pod: Component, kubernetes_cluster: KubernetesServer
) -> None:
    """The kubelet ends every forwarded connection while pg_dump reads."""
    rows = "SELECT i, repeat(md5(i::text), 30) AS t FROM generate_series(1, 300000) i"
    in_a_pod.server.execute(f"CREATE TABLE big AS {rows}", "flights")
    own = {"repository": in_a_pod.url, "environment_name": "local", "component": "flights_db"}
    process = start_module("postgresql_backup", {**own, **in_a_pod.server.params(), "force": True})
    reading = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'COPY public.big%' AND state = 'active'"
    wait(lambda: in_a_pod.server.execute(reading), "pg_dump to read")
    kubernetes_cluster.stop_part("kwok")
    try:
        failed = finish_module(process)
    finally:
        kubernetes_cluster.start_part("kwok")
    assert failed.get("failed")
    assert in_a_pod.listing().points == []
