# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""terraform_state_backup, _restore (terraform_state_restore) and terraform_state_drill with OpenTofu and a backend."""

from __future__ import annotations

import collections.abc
import json
import os
import pathlib
import re
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points
from ansible_collections.sre.runbooks.plugins.module_utils._terraform.state import empty_state
from tests.servers.playbook import run_playbook
from tests.servers.s3 import REGION, Gateway
from tests.servers.terraform import NAME, PASSWORD, Configuration, Site, StateServer, state_server


@pytest.fixture(scope="module")
def server() -> collections.abc.Iterator[StateServer]:
    with state_server() as found:
        yield found


@pytest.fixture
def site(server: StateServer, tmp_path: pathlib.Path) -> collections.abc.Iterator[Site]:
    found = Site(tmp_path, server)
    yield found
    server.states.clear()
    assert not server.locks
    server.spoil = lambda state: state


def failed(result: dict[str, t.Any], kind: str) -> str:
    assert result.get("failed"), result
    assert result["error"]["kind"] == kind, result["msg"]
    return t.cast(str, result["msg"])


def test_check_then_run_then_nothing_until_it_changes(site: Site) -> None:
    assert "there is no state" in failed(site.back_up(), "refused")
    site.live.apply(a="of-the-input", b="second")
    predicted = site.back_up(check=True)
    assert predicted["changed"] and predicted["recovery_point"] is None
    assert list_points(site.repository, NAME).points == []
    done = site.back_up()
    assert done["changed"] and done["plan"]["instances"] == 2, done
    assert done["plan"]["kinds"] == {"terraform_data": 2} and done["plan"]["outputs"] == ["address"]
    point, state = site.newest(), site.live.state()
    held = point.content["terraform"]
    assert (held["lineage"], held["serial"]) == (state["lineage"], state["serial"])
    assert point.encryption == {"recipients": [site.recipient]} and held["program"] == "OpenTofu"
    assert not site.back_up()["changed"]
    site.live.apply(a="of-the-input", b="changed")
    assert "holds serial" in site.back_up()["message"]
    for secret in (b"of-the-input", b"s3cret-output", PASSWORD.encode()):
        assert secret not in site.stored_text()


def test_it_is_never_stored_for_everybody_to_read(site: Site) -> None:
    site.live.apply(a="first")
    assert "only stored encrypted" in failed(site.back_up(encryption_recipients=[]), "refused")
    assert list_points(site.repository, NAME).points == []


def test_a_lost_state_comes_back(site: Site, server: StateServer) -> None:
    site.live.apply(a="first", b="second")
    before = site.live.state()
    site.back_up()
    server.states.clear()
    predicted = site.restore(check=True, confirm=None)
    assert predicted["changed"] and predicted["change"]["brought_back"] == [
        "output.address",
        "terraform_data.a",
        "terraform_data.b",
    ]
    assert not server.states
    done = site.restore(confirm=None, only_missing=True)
    assert done["changed"] and done["kept"] is None and done["rto_measured_s"] > 0, done
    after = site.live.state()
    assert {**after, "serial": 0} == {**before, "serial": 0} and after["serial"] >= before["serial"]
    assert done["proof"]["lineage"] == before["lineage"] and done["proof"]["serial"] == after["serial"]
    assert "No changes" in site.live.run("plan", "-input=false")
    assert site.newest().level == "asserted"
    again = site.restore()
    assert not again["changed"] and "is that of" in again["message"]


def test_going_back_needs_two_words_and_keeps_what_was_live(site: Site) -> None:
    site.live.apply(a="first")
    site.back_up()
    site.live.apply(a="first", made_since="x")
    live = site.live.state()
    assert "a live state would be replaced" in failed(site.restore(confirm=None), "refused")
    message = failed(site.restore(), "refused")
    assert "is newer" in message and "would forget terraform_data.made_since" in message
    assert site.live.state() == live
    assert site.restore(check=True, force=True)["change"]["forgotten"] == ["terraform_data.made_since"]
    assert site.live.state() == live
    done = site.restore(force=True)
    assert done["changed"] and done["diff"]["before"] == "terraform_data.made_since\n", done
    assert site.live.holds() == {"a": "first"}
    assert site.live.state()["serial"] > live["serial"] and site.live.state()["lineage"] == live["lineage"]
    # What was live is no recovery point of the component: the same again goes nowhere else.
    assert not site.restore(force=True)["changed"]
    kept = site.newest(f"{NAME}--before")
    assert done["kept"] == kept.point_id and kept.content["terraform"]["serial"] == live["serial"]
    undone = site.restore(recovery_point=done["kept"], force=True)
    assert undone["changed"], undone
    assert site.live.holds() == {"a": "first", "made_since": "x"}


def test_the_state_of_something_else_is_not_replaced(site: Site, server: StateServer, tmp_path: pathlib.Path) -> None:
    site.live.apply(a="first")
    site.back_up()
    other = Configuration(tmp_path / "other", server, "other")
    other.apply(o="of the other")
    lineage = other.state()["lineage"]
    message = failed(site.restore(**other.params()), "refused")
    assert "another lineage" in message and lineage in message and "terraform_data.o" in message
    assert other.holds() == {"o": "of the other"}
    assert site.restore(**other.params(), force=True)["changed"]
    assert other.state()["lineage"] == site.live.state()["lineage"]


def test_somebody_who_applies_in_the_meantime_wins(site: Site, server: StateServer) -> None:
    """The program itself refuses a serial that is not above the live one."""
    site.live.apply(a="first")
    site.back_up()
    site.live.apply(a="first", b="second")
    taken = json.loads(server.states[site.live.key])
    # The push pulls once more under its lock: what it sees then has moved on.
    original = server.serve

    def serve(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if method == "LOCK":
            server.states[path] = json.dumps({**taken, "serial": taken["serial"] + 9}).encode()
        return original(method, path, body)

    server.serve = serve  # type: ignore[method-assign]
    try:
        message = failed(site.restore(force=True), "engine")
    finally:
        server.serve = original  # type: ignore[method-assign]
    assert "pushing the state failed" in message and "serial" in message
    assert site.live.state()["serial"] == taken["serial"] + 9 and site.live.holds() == {"a": "first", "b": "second"}


def test_a_backend_with_a_lineage_of_its_own_is_told(site: Site, server: StateServer) -> None:
    """What OpenTofu would do itself if only one state was pushed; other programs and backends may."""
    site.live.apply(a="first")
    site.back_up()
    own, server.states = site.live.state()["lineage"], {}
    server.spoil = lambda state: json.dumps({**json.loads(state), "lineage": "of-the-backend"}).encode()
    done = site.restore()
    assert done["changed"] and done["proof"]["lineage"] == "of-the-backend", done
    assert f"of-the-backend in place of {own}" in str(done["warnings"])
    again = site.restore()
    assert not again["changed"] and again["message"].endswith("under lineage of-the-backend")
    # It is another state from now on, but for what it holds.
    server.spoil = lambda state: state
    site.live.apply(a="first", b="second")
    assert "another lineage" in failed(site.restore(), "refused")


def test_a_killed_restore_of_a_lost_state_is_finished(site: Site, server: StateServer) -> None:
    """Between the two pushes there is an empty state of a lineage that nobody knows."""
    site.live.apply(a="first")
    before = site.live.state()
    site.back_up()
    server.states = {site.live.key: empty_state("of-nobody", "1.10.0")}
    done = site.restore(confirm=None, only_missing=True)
    assert done["changed"] and done["kept"] is None, done
    assert {**site.live.state(), "serial": 0} == {**before, "serial": 0}


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_it_keeps_its_lineage_in_every_backend(
    kind: str, tmp_path: pathlib.Path, request: pytest.FixtureRequest
) -> None:
    site = Site(tmp_path, None)
    if kind == "s3":
        site.move(*_in_s3(request.getfixturevalue("s3_gateway")))
    site.live.apply(a="first")
    before = site.live.state()
    site.back_up()
    if kind == "s3":
        site.move(*_in_s3(request.getfixturevalue("s3_gateway")))
    else:
        (site.live.path / "terraform.tfstate").unlink()
    assert not site.live.holds()
    done = site.restore(confirm=None)
    assert "error" not in done, done["error"]["found"]
    assert {**site.live.state(), "serial": 0} == {**before, "serial": 0}
    assert not site.restore()["changed"]


def _in_s3(gateway: Gateway) -> tuple[str, str]:
    """A backend in a bucket of its own, and its variables."""
    # Without versions: this gateway takes the name of a deleted lock for taken.
    bucket, keys = gateway.make_bucket(versioning=False, lock=False), gateway.identity("backup")
    settings = {
        "bucket": bucket,
        "key": "network.tfstate",
        "region": REGION,
        "use_path_style": True,
        "use_lockfile": True,
        "skip_credentials_validation": True,
        "skip_metadata_api_check": True,
        "skip_requesting_account_id": True,
        "skip_region_validation": True,
        "skip_s3_checksum": True,
    }
    lines = "".join(f"    {name} = {json.dumps(value)}\n" for name, value in settings.items())
    backend = f'terraform {{\n  backend "s3" {{\n{lines}    endpoints = {{ s3 = "{gateway.url}" }}\n  }}\n}}\n'
    return backend, f"AWS_ACCESS_KEY_ID={keys.access_key}\nAWS_SECRET_ACCESS_KEY={keys.secret_key}\n"


def test_a_locked_state_and_a_wrong_password_are_told(site: Site, server: StateServer) -> None:
    site.live.apply(a="first")
    site.back_up()
    site.live.apply(b="second")
    lock = {"ID": "1", "Operation": "OperationTypeApply", "Who": "kim@laptop", "Version": "1", "Path": ""}
    server.locks[site.live.key] = json.dumps(lock).encode()
    try:
        message = failed(site.restore(force=True), "engine")
    finally:
        server.locks.clear()
    assert "kim@laptop" in message and "component_terraform_lock_timeout" in message
    assert site.live.holds() == {"b": "second"}
    wrong = site.path / "wrong.env"
    wrong.write_text("TF_HTTP_USERNAME=state\nTF_HTTP_PASSWORD=gUessed-wrongly\n")
    wrong.chmod(0o600)
    result = site.back_up(environment_file=str(wrong))
    assert "pulling the state failed" in failed(result, "engine")
    assert "gUessed-wrongly" not in json.dumps(result)


def test_an_unprepared_directory_is_told(site: Site, tmp_path: pathlib.Path) -> None:
    site.live.apply(a="first")
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "backend.tf").write_text((site.live.path / "backend.tf").read_text())
    assert f"-chdir={bare} init" in failed(site.back_up(project_path=str(bare)), "engine")
    assert "there is no directory" in failed(site.back_up(project_path=str(tmp_path / "none")), "invalid_input")


def test_a_backend_that_stores_something_else_is_found_out(site: Site, server: StateServer) -> None:
    site.live.apply(a="first", b="second")
    site.back_up()
    server.states.clear()
    server.spoil = lambda state: state.replace(b"second", b"sEcond")
    message = failed(site.restore(), "assertion_failed")
    assert "terraform_data.b" in message and "sEcond" not in message
    assert site.newest().level == "verified"


def test_an_older_point_is_taken_when_the_newest_is_damaged(site: Site, server: StateServer) -> None:
    site.live.apply(a="first")
    site.back_up()
    site.live.apply(a="second")
    site.back_up()
    (stored,) = [stored for stored in site.newest().objects if stored.name.startswith("terraform")]
    path = site.path / "repository" / stored.key
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    server.states.clear()
    done = site.restore()
    assert [choice["outcome"] for choice in done["choices"]] == ["damaged", "chosen"]
    assert site.live.holds() == {"a": "first"}


def test_a_drill_proves_the_state_and_leaves_nothing(site: Site, server: StateServer, tmp_path: pathlib.Path) -> None:
    site.live.apply(a="first")
    site.back_up()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    asked = len(server.requests)
    assert "would push" in site.drill(check=True)["message"]
    done = site.drill(scratch_dir=str(scratch), rto="5m")
    assert not done["changed"] and done["rto_met"] is True and done["hardware"]["cpus"], done
    assert site.newest().level == "asserted" and list(scratch.iterdir()) == []
    assert len(server.requests) == asked
    assert "was asserted at" in site.drill()["skipped_reason"]
    assert "first" not in json.dumps(done)


def test_by_hand(site: Site, server: StateServer, tmp_path: pathlib.Path) -> None:
    """The point's own RESTORE.md, word for word, with age, zstd and the program."""
    site.live.apply(a="first")
    site.back_up()
    server.states.clear()
    point = site.newest()
    directory = site.path / "repository" / point.prefix
    guide = (directory / "RESTORE.md").read_text()
    assert point.content["terraform"]["lineage"] in guide and site.recipient in guide
    commands = re.findall(r"^```sh\n(.*?)^```", guide, re.M | re.S)
    place = tmp_path / "tools"
    place.mkdir()
    (place / "tofu").symlink_to(site.live.binary)
    script = "set -eu\n" + "\n".join(command for command in commands if "grep -m" not in command)
    subprocess.run(
        ["sh", "-c", script],
        cwd=directory,
        env={
            **os.environ,
            "PATH": f"{place}:{os.environ['PATH']}",
            "IDENTITY": str(site.identity),
            "DIRECTORY": str(site.live.path),
            **dict(line.split("=", 1) for line in site.live.variables.read_text().splitlines()),
        },
        check=True,
        capture_output=True,
    )
    assert site.live.holds() == {"a": "first"}
    assert site.live.state()["lineage"] == point.content["terraform"]["lineage"]
    (directory / "terraform.tfstate.restored").unlink()


def play(site: Site, playbook: str, *arguments: str) -> str:
    """All that was on the screen."""
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "environment_name": "local",
        "repository_url": site.url,
        "repository_encryption_recipients": [site.recipient],
        "repository_encryption_identity_file": str(site.identity),
        "run_report_dir": str(site.path / "reports"),
        "component_engine": "terraform",
        "component_terraform_dir": str(site.live.path),
        "component_terraform_program": site.live.binary,
        "component_terraform_environment_file": str(site.live.variables),
    }
    groups = {"components": {"children": {"terraform": {"hosts": {NAME: {}}}}}}
    inventory = site.path / "hosts.yml"
    inventory.write_text(json.dumps({"all": {"vars": variables, "children": groups}}))
    temporary = site.path / "temporary"
    temporary.mkdir(exist_ok=True)
    done = run_playbook(inventory, playbook, *arguments, TMPDIR=str(temporary))
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_through_the_playbooks(site: Site, server: StateServer) -> None:
    site.live.apply(a="first")
    play(site, "back_up_components")
    assert site.newest().level == "verified"
    play(site, "drill_restores")
    assert site.newest().level == "asserted"
    site.live.apply(b="second")
    options = ("restore_components", "-e", f"restore_confirm={NAME}", "-e", "restore_force=true")
    foreseen = play(site, *options, "--check", "--diff")
    assert "-terraform_data.b" in foreseen and "+terraform_data.a" in foreseen and site.live.holds() == {"b": "second"}
    shown = play(site, *options)
    assert site.live.holds() == {"a": "first"} and site.newest(f"{NAME}--before").point_id in shown + _reports(site)
    assert "changed=0" in play(site, *options)
    server.states.clear()
    foreseen = play(site, "rebuild_environment", "--check")
    assert f"{NAME}: would be restored from {site.newest().point_id}" in foreseen, foreseen
    # Nothing was restored, so no time of it was measured.
    row = re.search(rf"{NAME} {{2,}}[^\\\n]*\bunknown\b", foreseen)
    assert row and re.split(" {3,}", row[0])[4] == "unknown", foreseen
    play(site, "rebuild_environment", "-e", "rebuild_confirm=local")
    assert site.live.holds() == {"a": "first"}
    assert not list((site.path / "temporary").glob("sre-terraform-*"))


def _reports(site: Site) -> str:
    return "".join(path.read_text() for path in (site.path / "reports").rglob("*") if path.is_file())
