# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A restore that needed more than one attempt, and one whose archive is cut off."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import types
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import restore as module
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.content import ENGINE
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.outcome import Outcome
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.plan import Plan
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.restore import Restore
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.volume_planning import (
    FILLED,
    LEFT,
    NEW,
    SAME,
    VolumeChange,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding, Identities, store_stream
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    Repository,
    initialise_repository,
)


def bare(repository: t.Any, **attributes: t.Any) -> t.Any:
    found: t.Any = Restore.__new__(Restore)
    found._repository = repository
    for name, value in attributes.items():
        setattr(found, name, value)
    return found


@pytest.mark.parametrize(("kept", "told"), [(["b"], ""), (["a", "b"], "is in a")])
def test_what_an_earlier_attempt_overwrote_is_named(
    monkeypatch: pytest.MonkeyPatch, kept: list[str], told: str
) -> None:
    """The first attempt may have overwritten objects before it met an archive that it could not read."""
    result = {"kept": "b", "told": "what was live before is in b"}
    monkeypatch.setattr(module, "restore_first_good", lambda *_arguments: (dict(result), []))
    store = types.SimpleNamespace(now=_clock.now)
    restore = bare(
        types.SimpleNamespace(store=store),
        _request=types.SimpleNamespace(run_id=None, target_namespace=None),
        _target=types.SimpleNamespace(points=lambda: ([], []), beside=False),
        _kept=kept,
        warnings=[],
    )
    message = restore._first_good(None)["message"]
    assert "is in b" in message and ("an attempt before" in message) == bool(told) and told in message


@pytest.mark.parametrize(
    ("mode", "action", "proven"),
    [
        ("files", NEW, True),
        ("files", FILLED, True),
        ("files", SAME, False),
        ("snapshot", SAME, True),
        ("files", LEFT, False),
        ("snapshot", LEFT, False),
    ],
)
def test_a_point_is_proven_by_who_has_read_all_of_it(mode: str, action: str, proven: bool) -> None:
    """That a claim holds the same files says nothing of the archive."""
    outcome = Outcome(
        t.cast(t.Any, None), Plan(), [], [], [], [VolumeChange("shop", {"claim": "data", "mode": mode}, action)]
    )
    levels: list[str] = []
    prover = types.SimpleNamespace(succeeded=lambda _point, level, *_rest: levels.append(level))
    restore = bare(
        None,
        _request=types.SimpleNamespace(only_missing=False),
        _target=types.SimpleNamespace(beside=False),
        _phases=types.SimpleNamespace(facts=dict),
        _began=0.0,
    )
    restore._prove(outcome, Plan(), prover)
    assert levels == (["restored", "asserted"] if proven else [])


@pytest.mark.parametrize(("action", "refused"), [(NEW, True), (LEFT, False)])
def test_an_archive_that_is_cut_off_is_known_before_anything_is_touched(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, action: str, refused: bool
) -> None:
    repository, _created = initialise_repository(f"file://{tmp_path}/repository", "local", check_mode=False)
    assert isinstance(repository, Repository)
    writer = begin_point(repository, "shop", ENGINE, None)
    name = "volumes/0001.tar"
    stored = store_stream(repository.store, writer.object_key(name), name, io.BytesIO(b"x" * 100), Encoding())
    writer.add(stored)
    point = writer.commit(engine_version="1.35", consistency_time=_clock.now(), content={}, restore_guide="")
    place = pathlib.Path(tmp_path, "repository", stored.key)
    place.parent.chmod(0o755)
    place.chmod(0o644)
    os.truncate(place, 99)
    entry = {"claim": "data", "mode": "files", "archive": name}
    planner = types.SimpleNamespace(plan=lambda *_arguments: [VolumeChange("shop", entry, action)])
    monkeypatch.setattr(module, "VolumePlanner", lambda *_arguments: planner)

    @contextlib.contextmanager
    def phase(_name: str) -> t.Iterator[t.Any]:
        yield types.SimpleNamespace(facts={})

    restore = bare(
        repository,
        _request=types.SimpleNamespace(
            only_missing=False, volumes="missing", check_mode_pods=False, helper_image="", component="shop"
        ),
        _target=types.SimpleNamespace(namespace="shop"),
        _phases=types.SimpleNamespace(phase=phase),
        _identities=Identities(),
        _cluster=None,
        _progress=None,
        warnings=[],
    )
    recorded = types.SimpleNamespace(volumes=[entry])
    with pytest.raises(IntegrityError) if refused else contextlib.nullcontext():
        assert restore._look_at_volumes(point, recorded, None)[0].action == action
