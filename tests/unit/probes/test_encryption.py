# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The encryption kind on a repository made by the collection itself."""

from __future__ import annotations

import datetime
import io
import pathlib
import typing as t

import pyrage
import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._clock import now
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding, store_stream
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Reading
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.kept import before_component
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import initialise_repository
from tests.unit.probes.conftest import ask_all

MINE, OTHER = (pyrage.x25519.Identity.generate() for _ in range(2))


class Filled:
    def __init__(self, directory: pathlib.Path) -> None:
        made, _ = initialise_repository(f"file://{directory}/repository", "local", check_mode=False)
        assert made is not None
        self.repository = made
        self.root = directory / "repository"
        self.identity = directory / "identity.txt"
        self.identity.write_text(f"{MINE}\n")

    def point(self, age_h: float, key: pyrage.x25519.Identity | None, component: str = "db") -> RecoveryPoint:
        writer = begin_point(self.repository, component, "postgresql", None)
        encoding = Encoding(recipients=[str(key.to_public())] if key else [])
        name = f"a{encoding.suffix}"
        writer.add(store_stream(self.repository.store, writer.object_key(name), name, io.BytesIO(b"some"), encoding))
        return writer.commit(
            engine_version="15",
            consistency_time=now() - datetime.timedelta(hours=age_h),
            content={},
            restore_guide="Unpack it.",
            encryption={"recipients": encoding.recipients},
        )

    def ask(self, **options: t.Any) -> Reading:
        declaration = {"kind": "encryption", "component": "db", "identity_file": str(self.identity), **options}
        return ask_all([declaration], repository=self.repository.url, environment_name="local")[0].reading


@pytest.fixture
def filled(tmp_path: pathlib.Path) -> Filled:
    return Filled(tmp_path)


def test_nothing_is_encrypted(filled: Filled) -> None:
    assert filled.ask().measured == "nothing is encrypted"
    filled.point(1, None)
    assert (filled.ask().outcome, filled.ask().measured) == ("ok", "nothing is encrypted")


def test_every_point_opens(filled: Filled) -> None:
    filled.point(2, MINE)
    filled.point(1, None)
    reading = filled.ask()
    assert (reading.outcome, reading.measured) == ("ok", "1 of 2 recovery points open")


def test_a_key_that_nobody_here_has_is_named(filled: Filled) -> None:
    orphan = filled.point(2, OTHER)
    filled.point(1, MINE)
    reading = filled.ask()
    assert (reading.outcome, reading.values["closed"]) == ("warning", [orphan.point_id])
    assert orphan.point_id in reading.message and str(OTHER.to_public()) in reading.message
    assert "rotate_encryption_key --limit db" in (reading.hint or "")
    newest = filled.point(0, OTHER)
    assert filled.ask().outcome == "failed" and newest.point_id in filled.ask().message


def test_what_restores_replaced_is_opened_too(filled: Filled) -> None:
    filled.point(1, MINE)
    replaced = filled.point(2, OTHER, before_component("db"))
    reading = filled.ask()
    assert (reading.outcome, reading.values["closed"]) == ("warning", [replaced.point_id])
    assert reading.measured == "1 of 2 recovery points open"


def test_damaged_headers_and_identities(filled: Filled) -> None:
    point = filled.point(1, MINE)
    path = filled.root / point.objects[0].key
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:100])
    reading = filled.ask()
    assert reading.outcome == "failed" and "damaged" in reading.message
    filled.identity.write_text("AGE-SECRET-KEY-1NONSENSE\n")
    assert filled.ask().message == "an age identity is damaged"
    assert filled.ask(identity_file="/nonexistent").message == "the age identity file cannot be read"
    assert filled.ask(repository="file:///nonexistent/repository").outcome == "failed"
    filled.identity.write_text(f"{MINE}\n")
    assert filled.ask(repository="file:///nonexistent/repository").outcome == "unknown"


def test_a_repository_that_is_away_is_told_with_one_next_command(filled: Filled) -> None:
    filled.root.rename(filled.root.with_name("away"))
    reading = filled.ask()
    assert reading.outcome == "unknown" and "no repository at" in reading.message
    assert "next:" not in reading.message and "prepare_repository" in (reading.hint or "")
