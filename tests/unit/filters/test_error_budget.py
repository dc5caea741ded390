# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters over objectives, with what variables give: numbers, or texts of numbers."""

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.sre.runbooks.plugins.filter.burn_rate import burn_rate
from ansible_collections.sre.runbooks.plugins.filter.error_budget import error_budget


def test_budget_and_rate() -> None:
    assert error_budget("0.9998", "0.9995") == pytest.approx({"total": 0.0005, "used": 0.4, "left": 0.6})
    assert burn_rate(0.99, 0.9995) == pytest.approx(20)
    assert error_budget(0, 0.5)["left"] == -1


@pytest.mark.parametrize(
    ("sli", "target"),
    [(None, 0.9), (1.1, 0.9), (-0.1, 0.9), (0.9, 1), (0.9, 0), ("most", 0.9), (True, 0.9), (float("nan"), 0.9)],
)
def test_what_is_no_share_is_refused(sli: t.Any, target: t.Any) -> None:
    for compute in (error_budget, burn_rate):
        with pytest.raises(AnsibleFilterError, match="not the share of good events"):
            compute(sli, target)
