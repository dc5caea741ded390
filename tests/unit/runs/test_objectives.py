# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verdicts: what was not measured never counts as met."""

from __future__ import annotations

import datetime

import hypothesis
import hypothesis.strategies as st
import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._runs.measure import (
    PointsSeen,
    measure_rpo,
    measure_rto,
)
from ansible_collections.sre.runbooks.plugins.module_utils._runs.objectives import (
    VERDICTS,
    Objective,
    judge_component,
    runbook_kind,
    worst_verdict,
)

NONE = Objective()
KEPT = Objective(60, 10)
BROKEN = Objective(60, 61)
UNMEASURED = Objective(60)
PROBE = {"name": "port", "outcome": "ok", "critical": True}


@pytest.mark.parametrize(
    ("runbook", "kind"),
    [
        ("back_up_components", "backup"),
        ("backup", "backup"),
        ("drill_restores", "drill"),
        ("restore_components", "restore"),
        ("rebuild_environment", "rebuild"),
        ("check_health", "health"),
        ("check_health-morning", "health"),
        ("verify_backups", "verify"),
        ("verify_objectives", "objectives"),
        ("expire_backups", "other"),
        ("rotate_secrets", "other"),
    ],
)
def test_kind(runbook: str, kind: str) -> None:
    assert runbook_kind(runbook) == kind


@pytest.mark.parametrize(
    ("objective", "verdict"),
    [
        (NONE, None),
        (Objective(None, 5), None),
        (KEPT, "met"),
        (Objective(60, 60), "met"),
        (BROKEN, "missed"),
        (UNMEASURED, "unknown"),
        (Objective(60, None, 59), "met"),
        (Objective(60, None, 61), "unknown"),
        (Objective(0, 0), "met"),
    ],
)
def test_objective(objective: Objective, verdict: str | None) -> None:
    assert objective.verdict == verdict


@pytest.mark.parametrize(
    ("kind", "engine", "outcome", "rpo", "rto", "verdict"),
    [
        ("backup", "postgresql", "ok", KEPT, UNMEASURED, "met"),
        ("backup", "postgresql", "ok", UNMEASURED, KEPT, "unknown"),
        ("backup", "postgresql", "changed", BROKEN, KEPT, "missed"),
        ("backup", "postgresql", "failed", KEPT, KEPT, "failed"),
        ("backup", "postgresql", None, KEPT, KEPT, "unknown"),
        ("backup", "service", "skipped", NONE, UNMEASURED, "met"),
        ("drill", "postgresql", "ok", UNMEASURED, KEPT, "met"),
        ("drill", "postgresql", "ok", KEPT, BROKEN, "missed"),
        ("drill", "postgresql", "skipped", KEPT, UNMEASURED, "unknown"),
        ("restore", "postgresql", "changed", UNMEASURED, KEPT, "met"),
        ("restore", "postgresql", "changed", BROKEN, KEPT, "missed"),
        ("rebuild", "postgresql", "changed", UNMEASURED, KEPT, "unknown"),
        ("rebuild", "postgresql", "changed", KEPT, KEPT, "met"),
        ("rebuild", "service", "ok", UNMEASURED, KEPT, "met"),
        ("rebuild", "service", "ok", NONE, BROKEN, "missed"),
        ("health", "postgresql", "ok", BROKEN, NONE, "missed"),
        ("other", "postgresql", "ok", BROKEN, BROKEN, "met"),
    ],
)
def test_component(kind: str, engine: str, outcome: str | None, rpo: Objective, rto: Objective, verdict: str) -> None:
    assert judge_component(kind, engine, outcome, rpo, rto, [PROBE])[0] == verdict


def test_health_without_probes_is_not_healthy() -> None:
    assert judge_component("health", "service", "ok", NONE, NONE, [])[0] == "failed"


@pytest.mark.parametrize(
    ("outcome", "critical", "verdict"),
    [("failed", True, "failed"), ("unknown", True, "unknown"), ("failed", False, "met"), ("warning", True, "met")],
)
def test_a_critical_probe_decides(outcome: str, critical: bool, verdict: str) -> None:
    probes = [PROBE, {"name": "disk", "outcome": outcome, "critical": critical}]
    assert judge_component("rebuild", "service", "ok", NONE, KEPT, probes)[0] == verdict
    # Asking is what a health check is there for.
    asked = "failed" if verdict == "unknown" else verdict
    for told in ("ok", "failed") if asked == "failed" else ("ok",):
        assert judge_component("health", "service", told, NONE, KEPT, probes)[0] == asked


def test_nothing_checked_proves_nothing() -> None:
    assert worst_verdict([]) == "unknown"


@hypothesis.given(st.lists(st.sampled_from(VERDICTS), min_size=1))
def test_worst_counts(verdicts: list[str]) -> None:
    worst = worst_verdict(verdicts)
    assert worst in verdicts
    assert (worst == "met") == (set(verdicts) == {"met"})
    assert (worst == "failed") == ("failed" in verdicts)


def test_a_restore_that_failed_took_no_time_that_means_anything() -> None:
    began = datetime.datetime(2026, 11, 21, 5, 10, tzinfo=datetime.timezone.utc)
    step = {"at": "2026-11-21T05:10:00Z", "duration_s": 12.0, "outcome": "ok"}
    measured = measure_rto("restore", 300.0, None, PointsSeen(), began, [step])
    assert (measured.measured_s, measured.verdict) == (12.0, "met")
    measured = measure_rto("restore", 300.0, None, PointsSeen(), began, [step], failed=True)
    assert (measured.measured_s, measured.verdict) == (None, "unknown")


def test_a_base_backup_says_nothing_of_what_is_lost_where_the_log_is_archived() -> None:
    began = datetime.datetime(2026, 11, 21, 5, 10, tzinfo=datetime.timezone.utc)
    base = RecoveryPoint.__new__(RecoveryPoint)
    base.consistency_time = began - datetime.timedelta(days=6)
    seen = PointsSeen(newest=base)
    dumped = measure_rpo("health", "postgresql", 300.0, None, seen, began, began)
    assert (dumped.measured_s, dumped.verdict) == (6 * 86400.0, "missed")
    for kind in ("health", "verify", "other", "drill"):
        archived = measure_rpo(kind, "postgresql_pitr", 300.0, None, seen, began, began)
        assert (archived.measured_s, archived.verdict) == (None, "unknown")
    asked = measure_rpo("health", "postgresql_pitr", 300.0, 12.0, seen, began, began)
    assert (asked.measured_s, asked.verdict) == (12.0, "met")
    assert asked.basis == "observed: what the archive did not hold yet"


def test_a_failure_says_in_the_verdict_what_failed() -> None:
    message = "the live data would be replaced; nothing was touched; expected: confirm: db; found: no confirm; next: x"
    _verdict, reason = judge_component("restore", "postgresql", "failed", NONE, NONE, [], message)
    assert reason == "the live data would be replaced; nothing was touched"
    failed = {"name": "port", "outcome": "failed", "critical": True}
    assert judge_component("health", "service", "failed", NONE, NONE, [failed], "1 of 1 probe is not ok: …") == (
        "failed",
        "probe failed: port",
    )
