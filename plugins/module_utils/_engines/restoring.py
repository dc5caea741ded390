# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every module that restores shares: its options, and how it runs the engine's restore."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._engines.acting import Means, Worker, act
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._module import (
    LEASE_OPTIONS,
    REPOSITORY_OPTIONS,
    RUN_OPTIONS,
    SIGNING_OPTIONS,
    Caller,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import check_component

#: The options of a module that restores, but for those of its engine; the last six are documented by the fragment
#: ``sre.runbooks.restore``.
RESTORE_OPTIONS: dict[str, t.Any] = {
    **REPOSITORY_OPTIONS,
    **SIGNING_OPTIONS,
    **RUN_OPTIONS,
    **LEASE_OPTIONS,
    "component": {"type": "str", "required": True},
    "recovery_point": {"type": "str", "default": "newest"},
    "fallback_points": {"type": "int", "default": 2},
    "confirm": {"type": "str"},
    "force": {"type": "bool", "default": False},
    "only_missing": {"type": "bool", "default": False},
}
#: For engines that keep what was live; documented by the fragment ``sre.runbooks.restore.kept``.
KEPT_OPTIONS: dict[str, t.Any] = {
    "release": {"type": "bool", "default": False},
    "release_after": {"type": "str"},
}


def wanted(params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What :data:`RESTORE_OPTIONS` mean, by the names of :class:`RestoreWanted`. Raises :class:`InvalidInput`."""
    if not 0 <= params["fallback_points"] <= 1000:
        raise InvalidInput("not a number of points", expected="0 to 1000", found=str(params["fallback_points"]))
    same = ("recovery_point", "fallback_points", "confirm", "force", "only_missing", "run_id")
    return {
        "component": check_component(params["component"]),
        "lease_ttl": _clock.parse_duration(params["lease_ttl"]),
        "lease_wait": _clock.parse_duration(params["lease_wait"]),
        **{name: params[name] for name in same},
    }


def kept_wanted(params: t.Mapping[str, t.Any]) -> float | None:
    """Seconds after which what was kept is released; None for never. Raises :class:`InvalidInput`."""
    return _clock.parse_duration(params["release_after"]) if params["release_after"] else None


class Restoring(Worker, t.Protocol):
    """A restore of one engine."""

    def run(self, check_mode: bool = False) -> dict[str, t.Any]:
        """Make it true; the module's result, but for the diff. In check mode nothing is written."""


class Releasing(Restoring, t.Protocol):
    """One that keeps what was live."""

    def release(self, check_mode: bool = False) -> dict[str, t.Any]:
        """Drop what former restores kept, and only that."""


def restore(
    caller: Caller,
    component: str,
    make: t.Callable[[Means], Restoring],
    differences: t.Callable[[dict[str, t.Any]], dict[str, str]],
) -> dict[str, t.Any]:
    """Run the restore that ``make`` makes; the module's result.

    :arg differences: the diff, made of the result.
    """
    result = act(caller, component, make, lambda worker: worker.run(caller.check_mode))
    return {**result, "diff": differences(result)}


def restore_or_release(
    caller: Caller,
    component: str,
    make: t.Callable[[Means], Releasing],
    differences: t.Callable[[dict[str, t.Any]], dict[str, str]],
) -> dict[str, t.Any]:
    """As :func:`restore`, for a module with :data:`KEPT_OPTIONS`."""
    if not caller.params["release"]:
        return restore(caller, component, make, differences)
    result = act(caller, component, make, lambda worker: worker.release(caller.check_mode))
    return {**result, "diff": differences(result)}
