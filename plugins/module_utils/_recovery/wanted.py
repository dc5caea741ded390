# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wanted of a restore or drill, whatever the engine; an engine's request adds what is its own."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass
class DrillWanted:
    """Durations in seconds. The names are those of the modules' options."""

    component: str
    recovery_point: str = "newest"
    drill_interval: float = 0.0
    rto: float | None = None
    run_id: str | None = None


@dataclasses.dataclass
class RestoreWanted:
    """Durations in seconds. The names are those of the modules' options.

    :ivar fallback_points: how many older points may be tried after the newest. :ivar confirm: the component's name.
    :ivar only_missing: be content with what is there already, whatever it was made from.
    """

    component: str
    recovery_point: str = "newest"
    fallback_points: int = 2
    confirm: str | None = None
    force: bool = False
    only_missing: bool = False
    run_id: str | None = None
    lease_ttl: float = 120.0
    lease_wait: float = 0.0
