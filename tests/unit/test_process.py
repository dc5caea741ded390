# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Field tools: what they get and say, and how they end when their time is up."""

from __future__ import annotations

import pathlib
import signal
import time

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import _process
from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, MissingRequirement


def test_what_a_program_gets_and_says(tmp_path: pathlib.Path) -> None:
    script = 'cat; printf " %s" "$WORD"; pwd'
    said = _process.run(["sh", "-c", script], "looking", {"WORD": "secret"}, b"given", cwd=str(tmp_path))
    assert said == f"given secret{tmp_path}\n".encode()
    assert _process.run(["cat"], "looking") == b""
    with pytest.raises(EngineError, match=r"looking failed.*exit code 3: two \| three"):
        _process.run(["sh", "-c", "printf 'one\ntwo\nthree\n' >&2; exit 3"], "looking", told_lines=2)
    with pytest.raises(MissingRequirement):
        _process.run([str(tmp_path / "none")], "looking")


def test_a_program_that_leaves_a_lock_is_asked_to_end_when_its_time_is_up(tmp_path: pathlib.Path) -> None:
    """It may say a lot while it ends."""
    script = f"trap 'head -c 300000 /dev/zero; rm {tmp_path}/lock; exit' TERM; touch {tmp_path}/lock; while :; do sleep 0.05; done"
    with pytest.raises(EngineError, match="did not end in time"):
        _process.run(["sh", "-c", script], "pushing", timeout=1, death_signal=signal.SIGTERM)
    assert not (tmp_path / "lock").exists()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_a_program_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch, ending: signal.Signals) -> None:
    """Even while what it has started keeps its output open."""
    monkeypatch.setattr(_process, "_PATIENCE_S", 0.3)
    began = time.monotonic()
    with pytest.raises(EngineError, match="did not end in time"):
        _process.run(["sh", "-c", "trap '' TERM; sleep 45; :"], "pushing", timeout=0.3, death_signal=ending)
    assert time.monotonic() - began < 30
