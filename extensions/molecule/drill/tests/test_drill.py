# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a drill that passed, and damage to its recovery point."""

from __future__ import annotations

import json

import pytest

testinfra_hosts = ["local://"]  # not molecule's instances: it has none


def proofs(local):
    found = sorted((local.root / "repository/components/flights_db/points").glob("*/proofs/*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in found]


def test_the_drill_asserted_the_point_and_measured_its_time(local):
    asserted = [proof for proof in proofs(local) if proof["level"] == "asserted" and proof["outcome"] == "ok"]
    assert len(asserted) == 1  # the second drill found it young enough
    assert 0 < asserted[0]["duration_s"] < 300


def test_the_next_drill_finds_the_damage(local):
    done = local.play("drill_restores", "-e", "drill_force=true", capture_output=True)
    assert done.returncode != 0
    assert local.latest_report()["verdict"] == "failed"
    assert any(proof["outcome"] == "failed" for proof in proofs(local))


@pytest.mark.parametrize("program", ["postgres", "initdb", "pg_restore"])
def test_no_scratch_server_is_left(host, local, program):
    running = [p for p in host.process.filter(comm=program) if f"{local.root}/temporary/" in p.args]
    assert running == []
