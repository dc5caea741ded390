# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every example in the modules' documentation is run on real servers: in check mode, for real, and once more.

In check mode nothing may be touched; for real it has to work; and the second time nothing may change.
"""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import datetime
import functools
import http.server
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import typing as t

import pyrage
import pytest
import yaml

from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding, store_stream
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import place
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import initialise_repository
from tests.servers.archived import ArchivedComponent, archived_component
from tests.servers.kubernetes import workloads
from tests.servers.kubernetes.api import wait
from tests.servers.kubernetes.server import KubernetesServer
from tests.servers.kubernetes.site import Site as NamespaceSite
from tests.servers.kubernetes.site import config_map, secret
from tests.servers.postgresql import Server, running_server
from tests.servers.prometheus import running_prometheus
from tests.servers.terraform import Site as StateSite
from tools.local_environment import free_port

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("[!_]*.py"))
#: Tasks that, said again, do something again: by the name of the example, with the reason.
CHANGES_AGAIN = {
    "Take one now, of two databases, encrypted": "it is forced",
    "Take a full backup now": "it is forced",
}

pytestmark = pytest.mark.slice


def examples(module: str) -> list[dict[str, t.Any]]:
    """The tasks in a module's EXAMPLES."""
    text = (ROOT / "plugins" / "modules" / f"{module}.py").read_text(encoding="utf-8")
    found = re.search(r'^EXAMPLES = r?"""(.*?)"""', text, re.M | re.S)
    assert found, f"{module} has no EXAMPLES"
    return t.cast("list[dict[str, t.Any]]", yaml.safe_load(found.group(1)))


@dataclasses.dataclass
class World:
    """What the variables of the examples stand for."""

    root: pathlib.Path
    variables: dict[str, t.Any]

    @property
    def watched(self) -> list[pathlib.Path]:
        """Nothing in here may be touched in check mode."""
        return [self.root / name for name in ("repository", "kit", "directory", "reports")]

    def play(self, tasks: list[dict[str, t.Any]], place: pathlib.Path, **variables: t.Any) -> list[dict[str, t.Any]]:
        """Run tasks as a play on this host; the result of each that ran. The last one failed or nothing did."""
        playbook, results, extra = (place / name for name in ("playbook.yml", "results.jsonl", "variables.json"))
        playbook.write_text(
            json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]), encoding="utf-8"
        )
        extra.write_text(json.dumps({**self.variables, **variables}), encoding="utf-8")
        results.unlink(missing_ok=True)
        programs = pathlib.Path(sys.executable).parent
        done = subprocess.run(
            [str(programs / "ansible-playbook"), f"--extra-vars=@{extra}", str(playbook)],
            cwd=place,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith(("PG", "SRE_RUNBOOKS_"))},
                "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
                "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".local" / "collections"),
                "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests" / "integration" / "callbacks"),
                "ANSIBLE_CALLBACKS_ENABLED": "task_results",
                "ANSIBLE_LOCALHOST_WARNING": "false",
                "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
                "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
                "ANSIBLE_NOCOLOR": "1",
                "TASK_RESULTS": str(results),
                "TASK_RESULTS_WATCH": ":".join(map(str, self.watched)),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert results.exists(), done.stdout
        lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
        assert done.returncode == 0, lines[-1] if lines[-1]["outcome"] == "failed" else done.stdout
        return lines


class Health(http.server.BaseHTTPRequestHandler):
    """The service that the examples ask for its health."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status": "ok", "origin": "JFK"}\n')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def service() -> collections.abc.Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Health) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/health"
        server.shutdown()


def write_secret(path: pathlib.Path, secret: str) -> None:
    path.touch(0o600)
    path.write_text(f"{secret}\n", encoding="utf-8")


def load(server: Server, kit: pathlib.Path) -> None:
    """The real flights data, with the loader of the local environment."""
    names = {"app": "flights_app", "readonly": "flights_readonly", "backup": "sre_backup"}
    for name in names.values():
        write_secret(kit / f"{name}.password", f"secret-of-{name}")
    subprocess.run(
        [
            sys.executable,
            str(ROOT / "roles/local_environment/files/load_flights.py"),
            "--host=127.0.0.1",
            f"--port={server.instance.port}",
            "--user=postgres",
            f"--password-file={kit / 'postgres.password'}",
            "--database=flights",
            *(f"--{option}-password-file={kit / name}.password" for option, name in names.items()),
        ],
        check=True,
        stdout=subprocess.PIPE,
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, service: str) -> collections.abc.Iterator[World]:
    """A server with the flights data, and a repository with a verified recovery point of it."""
    root = tmp_path_factory.mktemp("world")
    for name in ("kit", "directory", "reports", "setup"):
        (root / name).mkdir()
    with running_server("system") as server:
        write_secret(root / "kit" / "postgres.password", server.password)
        write_secret(root / "kit" / "webhook.secret", "Bearer of-news")
        load(server, root / "kit")
        server.execute('CREATE DATABASE "Another one"')
        now = datetime.datetime.now(datetime.timezone.utc).isoformat()
        (root / "witness.jsonl").write_text(json.dumps({"id": 1, "written_at": now}) + "\n", encoding="utf-8")
        login = {
            "login_host": "127.0.0.1",
            "login_port": server.instance.port,
            "login_user": "postgres",
            "login_password_file": str(root / "kit" / "postgres.password"),
        }
        world = World(
            root,
            {
                **login,
                "login_password": server.password,
                "repository": f"file://{root / 'repository'}",
                "environment_name": "local",
                "component": "flights_db",
                "kit_dir": str(root / "kit"),
                "age_identity_file": str(root / "kit" / "age-identity.txt"),
                "directory": str(root / "directory"),
                "copy_dir": str(root / "directory" / "copy"),
                "data_directory": server.instance.data_dir,
                "report_dir": str(root / "reports"),
                "witness_file": str(root / "witness.jsonl"),
                "url": service,
            },
        )
        place_of_component = {"repository": world.variables["repository"], "environment_name": "local"}
        component = {**place_of_component, "component": "flights_db"}
        setup = [
            {"sre.runbooks.age_identity": {"path": world.variables["age_identity_file"]}},
            {"sre.runbooks.repository": place_of_component},
            {"sre.runbooks.environment_marker": {"environment_name": "local", "confirm": "local", **login}},
            {"sre.runbooks.postgresql_backup": {**component, "databases": ["flights"], **login}},
            {"sre.runbooks.recovery_point_verify": component},
        ]
        world.play(setup, root / "setup")
        found = re.search("age1[0-9a-z]+", (root / "kit" / "age-identity.txt").read_text(encoding="utf-8"))
        assert found, "the identity does not say its recipient"
        world.variables["encryption_recipients"] = [found.group()]
        yield world


def encrypted_for_an_old_key(directory: pathlib.Path) -> dict[str, t.Any]:
    """A repository with a recovery point that only a key opens which is no longer the environment's."""
    old = pyrage.x25519.Identity.generate()
    directory.mkdir()
    write_secret(directory / "old-identity.txt", str(old))
    repository, _created = initialise_repository(f"file://{directory / 'repository'}", "local", check_mode=False)
    assert repository is not None
    writer = begin_point(repository, "flights_db", "postgresql", None)
    encoding = Encoding(recipients=[str(old.to_public())])
    writer.add(store_stream(repository.store, writer.object_key("a.zst.age"), "a.zst.age", io.BytesIO(b"a"), encoding))
    writer.commit(
        engine_version="15",
        consistency_time=datetime.datetime.now(datetime.timezone.utc),
        content={},
        restore_guide="None.",
        encryption={"recipients": encoding.recipients},
    )
    return {"repository": repository.url, "old_identity_file": str(directory / "old-identity.txt")}


def archived(component: ArchivedComponent, module: str) -> dict[str, t.Any]:
    """The variables of examples about point-in-time recovery; archiving, and with a backup where one is there before."""
    write_secret(component.path / "postgres.password", component.server.password)
    if module != "postgresql_archiving":
        assert not component.archive().get("failed")
    if module not in ("postgresql_archiving", "postgresql_pitr_backup"):
        assert not component.back_up().get("failed")
    target_time = datetime.datetime.now(datetime.timezone.utc).isoformat()
    if module == "postgresql_pitr_restore":
        # Recovery to a time ends at the first transaction after it: the row that says that the archive is fresh.
        assert not component.back_up().get("failed")
    return {
        "repository": component.url,
        "cipher_pass_file": str(component.passphrase),
        "passphrase_file": str(component.passphrase),
        "config_dir": str(component.config_dir),
        "login_host": "127.0.0.1",
        "login_port": component.server.instance.port,
        "login_user": "postgres",
        "login_password_file": str(component.path / "postgres.password"),
        "target_time": target_time,
    }


def stateful(site: StateSite, module: str) -> dict[str, t.Any]:
    """The variables of examples about a Terraform state, which has moved on since it was backed up."""
    site.live.apply(a="first")
    if module != "terraform_state_backup":
        assert not site.back_up().get("failed")
        site.live.apply(a="second")
    return {
        "repository": site.url,
        "project_path": str(site.live.path),
        "binary_path": site.live.binary,
        "encryption_recipients": [site.recipient],
        "encryption_identity_file": str(site.identity),
    }


def in_namespace(cluster: KubernetesServer, module: str, path: pathlib.Path) -> dict[str, t.Any]:
    """The variables of examples about the namespace ``shop``, which has changed since it was backed up."""
    path.mkdir()
    site = NamespaceSite(cluster, "shop", path)
    for namespace in ("shop", "shop-yesterday"):
        if cluster.api.find("v1", "Namespace", namespace):
            cluster.api.delete("v1", "Namespace", namespace, gone_s=60)
    cluster.make_namespace("shop")
    cron_job = workloads.cron_job("orders-nightly", "shop")
    cron_job["metadata"]["labels"]["app"] = "orders"
    deployment = workloads.deployment("orders-api", "shop", replicas=2)
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["envFrom"] = [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "password"}}]
    settings, password = config_map("settings", "shop", colour="red"), secret("password", "shop", password="former")
    cluster.api.create(settings, password, deployment, cron_job)
    cluster.api.ready("Deployment", "orders-api", "shop")
    if module == "kubernetes_volume_size":
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        metadata = {"name": "uploads", "namespace": "shop"}
        cluster.api.create({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})
        found = functools.partial(cluster.api.get, "v1", "PersistentVolumeClaim", "uploads", "shop")
        wait(lambda: found()["status"].get("phase") == "Bound", "the volume of the claim")
    if module != "kubernetes_environment_marker":
        cluster.api.create(config_map("sre-runbooks-environment", "shop", environment="local"))
    if module in ("kubernetes_drill", "kubernetes_restore", "kubernetes_rollback"):
        assert not site.back_up().get("failed")
    moment = datetime.datetime.now(datetime.timezone.utc).isoformat()
    cluster.api.patch(settings, {"data": {"colour": "blue"}})
    return {
        "repository": site.url,
        "kubeconfig": cluster.kubeconfig,
        "encryption_recipients": [site.recipient],
        "encryption_identity_file": str(site.identity_file),
        "before": moment,
    }


@contextlib.contextmanager
def own_variables(
    module: str, world: World, tmp_path: pathlib.Path, request: pytest.FixtureRequest
) -> collections.abc.Iterator[dict[str, t.Any]]:
    """What an example must not share with those of other modules."""
    if module == "background_process":
        yield {"web_port": free_port()}
    elif module == "lease":
        yield {"run_id": "20261121T051000Z-back_up_components-abcd"}
    elif module in ("repository", "postgresql_backup"):
        repository = f"file://{world.root / 'directory' / module}"
        if module != "repository":
            world.play([{"sre.runbooks.repository": {"repository": repository, "environment_name": "local"}}], tmp_path)
        yield {"repository": repository}
    elif module == "postgresql_archiving" or module.startswith("postgresql_pitr_"):
        with archived_component() as component:
            yield archived(component, module)
    elif module.startswith("terraform_state_"):
        yield stateful(StateSite(tmp_path / "state", None), module)
    elif module.startswith("kubernetes_"):
        # Only these want a cluster, and one is enough for all of them.
        yield in_namespace(request.getfixturevalue("kubernetes_cluster"), module, world.root / "directory" / module)
    elif module == "objective_info":
        with running_prometheus() as prometheus:
            yield {"prometheus_url": prometheus.url}
    elif module == "objective_rules":
        yield {"objectives": examples("objective_info")[0]["sre.runbooks.objective_info"]["objectives"]}
    elif module == "recovery_point_rewrap":
        yield encrypted_for_an_old_key(world.root / "directory" / module)
    elif module == "postgresql_instance":
        directory = place.make_directory(place.server_user(), "sre-")
        try:
            yield {"data_dir": f"{directory}/data", "login_port": free_port()}
        finally:
            shutil.rmtree(directory)
    else:
        yield {}


@pytest.mark.parametrize("module", MODULES)
def test_examples(module: str, world: World, tmp_path: pathlib.Path, request: pytest.FixtureRequest) -> None:
    tasks = examples(module)
    assert any(f"sre.runbooks.{module}" in task for task in tasks)
    thrice = []
    for task in tasks:
        ours = any(name.startswith("sre.runbooks.") for name in task)
        thrice += [{**task, "check_mode": True, "diff": True}, task, task] if ours else [task]
    with own_variables(module, world, tmp_path, request) as own:
        results = iter(world.play(thrice, tmp_path, **own))
    for task in tasks:
        if not any(name.startswith("sre.runbooks.") for name in task):
            assert next(results)["outcome"] in ("ok", "skipped")
            continue
        checked, done, again = next(results), next(results), next(results)
        name = task["name"]
        assert [checked["outcome"], done["outcome"], again["outcome"]] == ["ok", "ok", "ok"], name
        assert checked["touched"] == [], f"{name}: touched in check mode"
        assert checked["changed"] == done["changed"], f"{name}: check mode announced another result"
        if name not in CHANGES_AGAIN:
            assert not again["changed"], f"{name}: changed again"
        if checked["changed"]:
            assert checked["diff"], f"{name}: no diff"
