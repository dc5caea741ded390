# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Figures as they are said."""

from __future__ import annotations

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._runs.words import share_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0 %"),
        (0.0004, "0.04 %"),
        (-0.0004, "-0.04 %"),
        (0.383, "38.3 %"),
        (0.9995, "99.95 %"),
        (1.0, "100 %"),
        (-0.7, "-70 %"),
    ],
)
def test_a_share_keeps_what_tells_it_from_all_and_from_nothing(value: float | None, text: str) -> None:
    assert share_text(value) == text
