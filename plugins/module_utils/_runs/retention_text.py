# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A retention plan in lines that people read: what happens to each point, and every reason."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._runs.words import printable, size_text


def plan_lines(rows: t.Iterable[t.Mapping[str, t.Any]]) -> list[str]:
    """One line a row of :meth:`expiry_plan.Row.facts`, in columns."""
    return [
        printable(
            f"{row['action']:<9}{row['point_id']}  {row['consistency_time'][:19]}Z  {row['level']:<10}"
            f"{size_text(row['size']):>11}  {'; '.join(row['reasons'])}"
        )
        for row in rows
    ]
