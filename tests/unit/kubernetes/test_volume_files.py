# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is done in a volume, by the very scripts, in a directory of this host."""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import volume_files, volumes
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.exec_stream import Container
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.volume_pod import Mounted

BEFORE = ".sre-runbooks-before-20260101T000000Z-1"


@pytest.fixture
def place(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Mounted:
    def run(_container: t.Any, argv: t.Sequence[str], what: str) -> bytes:
        done = subprocess.run(list(argv), capture_output=True, check=False)
        if done.returncode:
            raise EngineError(f"{what} failed", found=done.stderr.decode())
        return done.stdout

    monkeypatch.setattr(volume_files, "run_in_pod", run)
    (tmp_path / "file").write_text("live", encoding="utf-8")
    (tmp_path / BEFORE).mkdir()
    (tmp_path / BEFORE / "file").write_text("former", encoding="utf-8")
    return Mounted(t.cast(Container, None), str(tmp_path))


def test_what_was_kept_is_released_once(place: Mounted, tmp_path: pathlib.Path) -> None:
    assert volume_files.release(place, "data")
    assert [found.name for found in tmp_path.iterdir()] == ["file"]
    assert not volume_files.release(place, "data")


def test_what_cannot_be_removed_is_not_called_released(
    place: Mounted, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the pod of an application that is not root, in a directory that the helper pod has made."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "rm").write_text("#!/bin/sh\necho not permitted >&2\nexit 1\n", encoding="utf-8")
    (tmp_path / "bin" / "rm").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    with pytest.raises(EngineError, match="not permitted"):
        volume_files.release(place, "data")


def test_nothing_is_released_in_the_middle_of_a_swap(place: Mounted, tmp_path: pathlib.Path) -> None:
    """Half of what the volume held may be in there, and the rest in its place still."""
    (tmp_path / ".sre-runbooks-swap").write_text(f"aside {BEFORE}\n", encoding="utf-8")
    with pytest.raises(Refused, match="interrupted"):
        volume_files.release(place, "data")
    assert (tmp_path / BEFORE / "file").exists()


@pytest.mark.parametrize("swapping", [False, True])
def test_what_a_killed_restore_prepared_takes_no_room(place: Mounted, tmp_path: pathlib.Path, swapping: bool) -> None:
    (tmp_path / ".sre-runbooks-restoring").mkdir()
    if swapping:
        (tmp_path / ".sre-runbooks-swap").write_text(f"swap {BEFORE}\n", encoding="utf-8")
    volume_files.require_space(place, "data", 1)
    assert (tmp_path / ".sre-runbooks-restoring").exists() == swapping
    with pytest.raises(Refused, match="too little space"):
        volume_files.require_space(place, "data", 1 << 60)


def test_files_are_released_in_a_pod_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    @contextlib.contextmanager
    def mounted(*arguments: t.Any, fresh: bool = False) -> t.Iterator[str]:
        asked.append((arguments[2], fresh))
        yield "place"

    monkeypatch.setattr(volumes, "mounted", mounted)
    monkeypatch.setattr(volumes, "release", lambda place, claim: place == "place")
    entries = [{"claim": "data", "mode": "files"}, {"claim": "other", "mode": "snapshot"}]
    assert volumes.release_volumes(t.cast(t.Any, None), "shop", entries) == ["data"]
    assert asked == [("data", True)]


def test_who_comes_while_files_are_written_keeps_the_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive took its time: asked once more before the swap."""
    asked: list[str] = []

    @contextlib.contextmanager
    def given(*_arguments: t.Any, **_named: t.Any) -> t.Iterator[t.Any]:
        yield "place"

    def refuse(_cluster: t.Any, _namespace: str, claim: str) -> None:
        asked.append(claim)
        if len(asked) == 2:
            raise Refused(f"claim {claim} is in use")

    for name in ("mounted", "open_decoded"):
        monkeypatch.setattr(volumes, name, given)
    for name in ("fetch_listing", "require_space", "prepare", "compare"):
        monkeypatch.setattr(volumes, name, lambda *_arguments: None)
    monkeypatch.setattr(volumes, "swapping", lambda *_arguments: False)
    monkeypatch.setattr(volumes, "swap", lambda *_arguments: pytest.fail("swapped"))
    monkeypatch.setattr(volumes, "refuse_users", refuse)
    point = t.cast(t.Any, type("Point", (), {"objects": [], "point_id": "p"}))
    point.objects = [type("Stored", (), {"name": "a"})]
    entry = {"claim": "data", "mode": "files", "archive": "a", "bytes": 1}
    with pytest.raises(Refused, match="in use"):
        volumes.fill_volumes(
            *t.cast(t.Any, (None, "shop", point, [entry], None, None)),
            t.cast(t.Any, type("Quiet", (), {"step": lambda *_: None})()),
            lambda: None,
            different={"data"},
        )
    assert asked == ["data", "data"]
