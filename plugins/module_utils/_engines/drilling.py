# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every module that drills shares: its options, and how it runs the engine's drill."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._engines.acting import Means, act
from ansible_collections.sre.runbooks.plugins.module_utils._module import (
    REPOSITORY_OPTIONS,
    RUN_OPTIONS,
    SIGNING_OPTIONS,
    Caller,
)
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.drill import Drill
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import check_component

#: The options of a module that drills, but for those of its engine; the last four are documented by the fragment
#: ``sre.runbooks.drill``.
DRILL_OPTIONS: dict[str, t.Any] = {
    **REPOSITORY_OPTIONS,
    **SIGNING_OPTIONS,
    **RUN_OPTIONS,
    "component": {"type": "str", "required": True},
    "recovery_point": {"type": "str", "default": "newest"},
    "drill_interval": {"type": "str", "default": "1d"},
    "rto": {"type": "str"},
}


def wanted(params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What :data:`DRILL_OPTIONS` mean, by the names of :class:`DrillWanted`. Raises :class:`InvalidInput`."""
    return {
        "component": check_component(params["component"]),
        "recovery_point": params["recovery_point"],
        "drill_interval": _clock.parse_duration(params["drill_interval"]),
        "rto": _clock.parse_duration(params["rto"]) if params["rto"] else None,
        "run_id": params["run_id"],
    }


def drill(caller: Caller, component: str, make: t.Callable[[Means], Drill]) -> dict[str, t.Any]:
    """Run the drill that ``make`` makes; the module's result."""
    return act(caller, component, make, lambda worker: worker.run(caller.check_mode))
