# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of claims that a drill gives no volume are read all the same."""

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
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import drill as module
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.content import ENGINE
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding, Identities, store_stream
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    Repository,
    initialise_repository,
)


@pytest.mark.parametrize("damage", [None, "volumes/0001.tar", "volumes/0001.jsonl"])
def test_what_gets_no_volume_is_read_to_its_end(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, damage: str | None
) -> None:
    repository, _created = initialise_repository(f"file://{tmp_path}/repository", "local", check_mode=False)
    assert isinstance(repository, Repository)
    writer = begin_point(repository, "shop", ENGINE, None)
    for name in ("volumes/0001.tar", "volumes/0001.jsonl"):
        stored = store_stream(repository.store, writer.object_key(name), name, io.BytesIO(b"x" * 100), Encoding())
        writer.add(stored)
        if name == damage:
            place = tmp_path / "repository" / stored.key
            place.chmod(0o644)
            with open(place, "r+b") as target:
                target.seek(-1, os.SEEK_END)
                target.write(b"y")
    point = writer.commit(engine_version="1.35", consistency_time=_clock.now(), content={}, restore_guide="")
    entry = {"claim": "data", "mode": "files", "archive": "volumes/0001.tar", "listing": "volumes/0001.jsonl"}
    left_out = {"claim": "other", "mode": "none", "reason": "it was chosen to leave it out"}
    monkeypatch.setattr(module.volumes, "fill_volumes", lambda *arguments, **_named: list(arguments[3]))
    attempt: t.Any = module._NamespaceAttempt.__new__(module._NamespaceAttempt)
    attempt.point, attempt._identities = point, Identities()
    attempt._recorded = types.SimpleNamespace(volumes=[entry, left_out])
    attempt._drill = types.SimpleNamespace(repository=repository, progress=None)
    attempt._cluster, attempt._namespace = None, "shop-drill"
    attempt._request, attempt._found = types.SimpleNamespace(helper_image=""), types.SimpleNamespace()
    with pytest.raises(IntegrityError) if damage else contextlib.nullcontext():
        attempt._prepare({})("workloads")
        assert attempt._found.filled == []
