# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several things that one look can find wrong, and the one reading that they amount to."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Check, Reading

_SHOWN = 5
_LISTED = 50
_WEIGHT = {"failed": 3, "unknown": 2, "warning": 1, "ok": 0}


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    :ivar outcome: warning, failed or unknown.
    :ivar hint: the next command for exactly this; without one, that of the check.
    """

    outcome: str
    thing: str
    words: str
    hint: str | None = None


def sum_up(check: Check, measured: str, findings: t.Sequence[Finding], **values: t.Any) -> Reading:
    """The reading of what was found: as bad as the worst of it, the worst first."""
    if not findings:
        return check.reading("ok", measured, "as expected", findings=[], **values)
    worst_first = sorted(findings, key=lambda finding: -_WEIGHT[finding.outcome])
    listed = [
        {"outcome": finding.outcome, "thing": finding.thing, "words": finding.words}
        for finding in worst_first[:_LISTED]
    ]
    lines = [f"{finding.thing}: {finding.words}" for finding in worst_first[:_SHOWN]]
    if len(worst_first) > _SHOWN:
        lines.append(f"and {len(worst_first) - _SHOWN} more")
    return check.reading(worst_first[0].outcome, measured, "; ".join(lines), findings=listed, **values)


def with_hints(reading: Reading, findings: t.Sequence[Finding], own: str | None) -> Reading:
    """Show the next command of the worst finding that has one, unless the probe's declaration brought its ``own``."""
    if own is None and reading.hint is not None:
        worst_first = sorted(findings, key=lambda finding: -_WEIGHT[finding.outcome])
        reading.hint = next((finding.hint for finding in worst_first if finding.hint), reading.hint)
    return reading
