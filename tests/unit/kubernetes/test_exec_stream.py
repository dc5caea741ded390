# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an error about a program in a pod repeats, and what it never says."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import exec_stream
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.access import Access

STDERR, STATUS = 2, 3
TOKEN = "Zq9-token-of-anna-4711"


class Identity:
    def secrets(self) -> list[str]:
        return [TOKEN]


class Line:
    """The API's side of a program that never began."""

    def __init__(self, channel: int, text: str) -> None:
        self._said = [(channel, text.encode())]

    def receive(self) -> tuple[int, bytes] | None:
        return self._said.pop() if self._said else None

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("channel", "text"),
    [
        (STDERR, f"{TOKEN} {'x' * 990}"),
        (STATUS, f"{'x' * 490} {TOKEN}"),
        (STATUS, json.dumps({"status": "Failure", "message": f"{'x' * 490} {TOKEN}"})),
    ],
)
def test_a_token_is_in_no_message_wherever_that_is_cut(
    monkeypatch: pytest.MonkeyPatch, channel: int, text: str
) -> None:
    monkeypatch.setattr(exec_stream, "open_channels", lambda *_arguments: Line(channel, text))
    container = exec_stream.Container(t.cast("Access", Identity()), "shop", "db-0")
    with pytest.raises(EngineError) as caught:
        exec_stream.run_in_pod(container, ["cat"], "reading")
    found = str(caught.value.found)
    assert "xxx" in found and not any(part in found for part in (TOKEN[:5], TOKEN[-5:])), found
