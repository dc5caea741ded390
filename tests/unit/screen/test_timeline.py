# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The timeline on the screen: short lines, nothing of a result that was not meant for it."""

from __future__ import annotations

import types
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.callback import timeline


def test_a_step_is_one_line():
    step = timeline.Step(1795237802.0, 12.3, "Take a recovery point", "changed", "20261121T051002Z-1a2b")
    assert (
        timeline.step_line(step)
        == "  05:10:02        12 s  changed      Take a recovery point  (20261121T051002Z-1a2b)"
    )


def test_the_detail_is_the_recovery_point_or_the_reason():
    result = {"recovery_point": {"point_id": "20261121T051002Z-1a2b"}, "msg": "first line\nsecond", "password": "hush"}
    assert timeline.detail_of(result, "ok") == "20261121T051002Z-1a2b"
    assert timeline.detail_of(result, "failed") == "first line"
    assert timeline.detail_of({"recovery_point": None}, "ok") == ""
    assert timeline.detail_of({}, "failed") == ""
    assert len(timeline.detail_of({"msg": "x" * 1000}, "failed")) == 120


def test_the_objectives_that_had_been_judged_are_told_when_the_run_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    callback = timeline.CallbackModule()
    told: list[t.Any] = []
    monkeypatch.setattr(timeline, "open_repository", lambda *_: None)
    monkeypatch.setattr(timeline, "close_own", lambda *given: told.append(given[-1]))
    monkeypatch.setattr(callback, "_display", types.SimpleNamespace(display=lambda _line: None))
    host = types.SimpleNamespace(get_name=lambda: "api")

    def ended(module: str, **result: t.Any) -> None:
        task = types.SimpleNamespace(
            _uuid=module, resolved_action=f"sre.runbooks.{module}", action=module, get_name=lambda: module
        )
        callback.v2_runner_on_start(host, task)
        callback.v2_runner_on_ok(
            types.SimpleNamespace(host=host, task=task, result=result, is_changed=lambda: bool(result.get("changed")))
        )

    given = {"repository": "file:///r", "environment_name": "e"}
    record = {"record": True, "run_id": "r", "report_dir": "", "next_command": "", "invocation": {"module_args": given}}
    ended("run", changed=True, **record)
    ended("objective_info", objectives=[{"name": "availability"}])
    callback._last_words(timeline.os.getpid())
    assert told == [[{"name": "availability"}]]
    callback._open_run = None
