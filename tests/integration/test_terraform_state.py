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
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points
from tests.servers.terraform import NAME, PASSWORD, Site, StateServer, state_server


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
    site.live.apply(a="first", b="second")
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
    site.live.apply(a="first", b="changed")
    assert "holds serial" in site.back_up()["message"]
    for secret in (b"first", b"s3cret-output", PASSWORD.encode()):
        assert secret not in site.stored_text()


def test_it_is_never_stored_for_everybody_to_read(site: Site) -> None:
    site.live.apply(a="first")
    assert "only stored encrypted" in failed(site.back_up(encryption_recipients=[]), "refused")
    assert list_points(site.repository, NAME).points == []


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


def test_a_backend_that_stores_something_else_is_found_out(site: Site, server: StateServer) -> None:
    site.live.apply(a="first", b="second")
    site.back_up()
    server.states.clear()
    server.spoil = lambda state: state.replace(b"second", b"sEcond")
    message = failed(site.restore(), "assertion_failed")
    assert "terraform_data.b" in message and "sEcond" not in message
    assert site.newest().level == "verified"


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
    script = "set -eu\n" + "\n".join(command for command in commands if '"lineage"' not in command)
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
    (directory / "terraform.tfstate.restored").unlink()
