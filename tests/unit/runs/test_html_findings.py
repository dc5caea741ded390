# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Findings on the page: whole, and with the command apart, so that it can be copied."""

from __future__ import annotations

import html
import re

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._runs.html_findings import findings_card


def card(text: str) -> str:
    return findings_card([{"severity": "failure", "component": "db", "text": text}])


def test_the_command_stands_by_itself() -> None:
    page = card("refused; expected: status 200; found: none; next: curl -m 5 'http://a/?b=1&c=2'")
    assert "<b>db</b> · refused</p>" in page
    assert ">expected status 200 · found none</p>" in page
    (command,) = re.findall("<code>(.*?)</code>", page)
    assert html.unescape(command) == "curl -m 5 'http://a/?b=1&c=2'"


def test_what_is_missing_leaves_nothing_empty() -> None:
    assert card("broken").count("<p") == 1 and "<code" not in card("broken")
    assert card("broken; found: none").endswith('<p class="seen">found none</p></div></li></ul>')
    assert "<code>look</code>" in card("broken\nin two; next: look")


@given(st.lists(st.sampled_from(["X", " Y", "\n", "; expected: ", "; found: ", "; next: ", "Z"])).map("".join))
def test_no_word_is_lost(text: str) -> None:
    shown = html.unescape(re.sub("<[^>]+>", "", card(text)))
    assert [char for char in shown if char in "XYZ"] == [char for char in text if char in "XYZ"]
