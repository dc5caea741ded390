# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kubernetes_backup in bad weather: it takes everything, or nothing and says why."""

from __future__ import annotations

import concurrent.futures
import pathlib
import re
import threading
import time

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points
from tests.servers.kubernetes.api import wait
from tests.servers.kubernetes.faults import FaultyApi
from tests.servers.kubernetes.server import KubernetesServer
from tests.servers.kubernetes.site import COMPONENT, SECRET, Site, config_map, secret
from tests.servers.module_call import finish_module, start_module


@pytest.fixture
def site(kubernetes_cluster: KubernetesServer, kubernetes_namespace: str, tmp_path: pathlib.Path) -> Site:
    site = Site(kubernetes_cluster, kubernetes_namespace, tmp_path)
    site.cluster.api.create(secret("credentials", site.namespace, password=SECRET))
    return site


def make_maps(site: Site, count: int, size: int = 10) -> list[str]:
    names = [f"map-{number:05d}" for number in range(count)]

    def create(name: str) -> None:
        site.cluster.api.create(config_map(name, site.namespace, text=name.ljust(size, "x")))

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        list(threads.map(create, names))
    return names


def nothing_is_left(site: Site) -> bool:
    listing = list_points(site.repository, COMPONENT)
    return not (listing.points or listing.incomplete or listing.damaged)


def test_lists_that_expire_begin_anew(site: Site, faulty_api: FaultyApi) -> None:
    names = make_maps(site, 60)
    faulty_api.plan(410, "GET .*configmaps.*continue", times=2)
    done = site.back_up(kubeconfig=faulty_api.kubeconfig())
    assert done["changed"], done
    assert sorted(site.stored(site.points()[0])["configmaps"]) == names
    # However often: in the end it is asked for in one piece.
    faulty_api.clear()
    faulty_api.plan(410, "GET .*configmaps.*continue", times=50)
    done = site.back_up(kubeconfig=faulty_api.kubeconfig(), force=True)
    assert done["changed"], done
    assert sorted(site.stored(site.points()[0])["configmaps"]) == names
    assert faulty_api.requests[-2:] and any(
        "configmaps" in line and "limit" not in line for line in faulty_api.requests
    )


def test_a_storm_is_outlasted(site: Site, faulty_api: FaultyApi) -> None:
    make_maps(site, 60)
    faulty_api.storm(429, 500, 503, "reset", "cut", every=4, times=8)
    done = site.back_up(kubeconfig=faulty_api.kubeconfig())
    assert done["changed"], done
    assert site.stored(site.points()[0]) == site.live()


def test_half_a_list_with_a_proper_end_is_not_taken(site: Site, faulty_api: FaultyApi) -> None:
    make_maps(site, 60)
    faulty_api.plan("short", "GET .*configmaps.*continue", times=100)
    done = site.back_up(kubeconfig=faulty_api.kubeconfig())
    assert done["failed"] and "is not whole" in done["msg"], done
    assert nothing_is_left(site)


def test_an_expired_token_is_named(site: Site, faulty_api: FaultyApi) -> None:
    faulty_api.plan(401, "GET .*secrets", at=1, times=100)
    done = site.back_up(kubeconfig=faulty_api.kubeconfig())
    assert done["failed"] and "expired" in done["msg"] and "component_kubernetes_kubeconfig" in done["msg"], done
    assert nothing_is_left(site)


def test_rights_that_go_in_the_middle_leave_no_partial_point(site: Site, faulty_api: FaultyApi) -> None:
    faulty_api.plan(403, "GET .*services", at=1, times=100)
    done = site.back_up(kubeconfig=faulty_api.kubeconfig())
    assert done["failed"] and "could not read" in done["msg"], done
    assert nothing_is_left(site)


def test_the_server_goes_in_the_middle_and_comes_back(site: Site) -> None:
    make_maps(site, 600)
    process = start_module("kubernetes_backup", site.params(jobs=1))
    time.sleep(1.5)
    site.cluster.stop_part("kube-apiserver")
    time.sleep(2)
    site.cluster.start_part("kube-apiserver")
    done = finish_module(process)
    assert done.get("changed"), done
    assert site.stored(site.points()[0]) == site.live()


def test_objects_that_change_while_they_are_read_are_of_one_moment(site: Site) -> None:
    """A writer moves a token from map to map: at any one moment exactly one or two of them have it."""
    names = make_maps(site, 150)
    begun, stop = threading.Event(), False

    def write() -> None:
        number = 0
        while not stop:
            number += 1
            new, old = names[number % len(names)], names[(number - 1) % len(names)]
            site.cluster.api.patch(config_map(new, site.namespace), {"data": {"token": str(number)}})
            site.cluster.api.patch(config_map(old, site.namespace), {"data": {"token": None}})
            begun.set()

    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        writing = threads.submit(write)
        try:
            assert begun.wait(120)
            for _attempt in range(2):
                assert site.back_up(force=True, jobs=1)["changed"]
        finally:
            stop = True
            writing.result()
    for point in site.points():
        maps = site.stored(point)["configmaps"]
        assert len(maps) == len(names)
        assert 1 <= sum("token" in item["data"] for item in maps.values()) <= 2


def test_a_namespace_that_goes_while_it_is_read_gives_no_point(site: Site) -> None:
    api = site.cluster.api
    item = config_map("kept", site.namespace)
    item["metadata"]["finalizers"] = ["example.com/keep"]
    api.create(item)
    with FaultyApi(site.cluster) as way:
        way.plan("hold", "GET .*configmaps", at=1)
        process = start_module("kubernetes_backup", site.params(kubeconfig=way.kubeconfig()))
        wait(lambda: way.holds or process.poll() is not None, "the backup to ask a second time")
        api.delete("v1", "Namespace", site.namespace, gone_s=0)
        way.release()
        done = finish_module(process)
    api.patch(item, {"metadata": {"finalizers": None}})
    assert done["failed"] and "went while it was read" in done["msg"], done
    assert nothing_is_left(site)


def test_memory_does_not_grow_with_the_number_of_objects(site: Site) -> None:
    def peak() -> float:
        """MiB of the module's process at its highest."""
        process = start_module("kubernetes_backup", site.params(force=True))
        highest = 0
        # The kernel notes the highest itself: a look that comes late misses nothing but what came after it.
        status = pathlib.Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            found = re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.MULTILINE)
            highest = int(found[1]) if found else highest
            time.sleep(0.01)
        assert finish_module(process)["changed"]
        return highest / 1024

    few = peak()
    make_maps(site, 1500, size=20_000)
    many = peak()
    assert many - few < 40, f"{few:.0f} MiB for a few objects, {many:.0f} MiB for 30 MB of them"
