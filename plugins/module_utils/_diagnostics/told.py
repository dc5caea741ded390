# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is said of a component's part in the result of a task."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.part import Part


def told(part: Part) -> dict[str, t.Any]:
    """What the module returns of it."""
    return {
        "collectors": [
            {
                "name": one.name,
                "title": one.title,
                "outcome": one.outcome,
                "why": one.why,
                "items": len(one.items),
                "bytes": one.length,
                "duration_s": round(one.duration_s, 3),
            }
            for one in part.collected
        ],
        "plan": [one.name for one in part.collected],
        "findings": [dataclasses.asdict(finding) for finding in part.findings],
        "summary": sentence(part),
        "duration_s": round(part.duration_s, 3),
    }


def sentence(part: Part) -> str:
    """What there is and what is not, for a person."""
    items = sum(len(one.items) for one in part.collected)
    missing = [f"{one.name} ({one.outcome}: {one.why})" for one in part.collected if one.outcome != "collected"]
    return (
        f"{counted(items, 'item')} from {counted(len(part.collected), 'collector')} in {part.duration_s:.1f} s"
        + (f"; not all of {'; '.join(missing)}" if missing else "")
        + (f"; {counted(len(part.findings), 'finding')}" if part.findings else "; nothing stands out")
    )
