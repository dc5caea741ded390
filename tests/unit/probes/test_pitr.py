# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kinds postgresql_archive and pitr_passphrase, without a server; tests/integration/test_archiving_playbooks.py has one."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import declare
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import KINDS, Session
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import initialise_repository
from tests.servers.http import closed_port
from tests.unit.probes.conftest import Ask, ask_all


@pytest.mark.parametrize(
    ("lag", "outcome", "measured"),
    [
        (0.0, "ok", "all of it is archived"),
        (299.0, "ok", "4 m 59 s behind"),
        (301.0, "failed", "5 m 01 s behind"),
        (None, "failed", "nothing was ever archived"),
    ],
)
def test_an_archive_may_lag_as_far_as_the_rpo_allows(lag: float | None, outcome: str, measured: str) -> None:
    probe = declare({"kind": "postgresql_archive", "component": "db", "rpo": "5m"}, 1, KINDS, Session())
    reading = probe.check.judge(lag)  # type: ignore[attr-defined]
    assert (reading.outcome, reading.measured, reading.values.get("lag_s")) == (outcome, measured, lag)
    assert outcome == "ok" or reading.hint == "ansible-playbook sre.runbooks.prepare_archiving --limit db"


def test_a_server_that_does_not_answer_has_failed(ask: Ask, tmp_path: pathlib.Path) -> None:
    options = {"component": "db", "rpo": "5m", "host": "127.0.0.1", "port": closed_port()}
    assert ask("postgresql_archive", **options).reading.outcome == "failed"
    unreadable = ask("postgresql_archive", **options, password_file=str(tmp_path / "none")).reading
    assert unreadable.outcome == "unknown" and "password file" in unreadable.message


@pytest.mark.parametrize(
    ("found", "closed", "outcome"),
    [
        (["0001"], [], "ok"),
        (["0001", "0002"], ["0001"], "warning"),
        (["0001", "0002"], ["0002"], "failed"),
        ([], [], "unknown"),
    ],
)
def test_only_the_current_generation_has_to_open(found: list[str], closed: list[str], outcome: str) -> None:
    given = {"kind": "pitr_passphrase", "component": "db", "repository": "file:///r", "environment_name": "local"}
    reading = declare(given, 1, KINDS, Session()).check.judge(found, closed)  # type: ignore[attr-defined]
    assert reading.outcome == outcome
    assert outcome == "ok" or "component_pitr_cipher_pass_file" in str(reading.hint)


def test_without_an_archive_nothing_is_known(tmp_path: pathlib.Path) -> None:
    url = f"file://{tmp_path}/repository"
    initialise_repository(url, "local", check_mode=False)
    given = {"kind": "pitr_passphrase", "component": "db"}
    (result,) = ask_all([given], repository=url, environment_name="local")
    assert (result.reading.outcome, result.reading.measured) == ("unknown", "no archive")
