# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Recovery points of what restores replaced, under a name of their own beside the component's.

Such a point shows what a restore was meant to undo, so it must never be taken for the component's newest point, nor for a
fresh backup; by its id it can be restored like any other.
"""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import check_component
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import PointListing, list_points

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

_SUFFIX = "--before"


def before_component(component: str) -> str:
    """Under which name the repository keeps what restores of a component replaced. Raises :class:`InvalidInput`."""
    try:
        return check_component(component + _SUFFIX)
    except InvalidInput:
        raise InvalidInput(
            "the component's name is too long for what restores keep of it",
            component,
            expected=f"at most {63 - len(_SUFFIX)} characters",
            found=str(len(component)),
        ) from None


def component_of(name: str) -> str:
    """The component itself, of its own name or that of :func:`before_component`."""
    return name[: -len(_SUFFIX)] if name.endswith(_SUFFIX) else name


def name_for(repository: Repository, component: str, selector: str) -> str:
    """Under which of the two names the point is that ``selector`` means."""
    if selector != "newest":
        with contextlib.suppress(InvalidInput):  # a name too long for restores to have kept anything
            kept = before_component(component)
            if any(point.point_id == selector for point in list_points(repository, kept).points):
                return kept
    return component


def list_for(repository: Repository, component: str, selector: str) -> PointListing:
    """The component's points, or what its restores kept when ``selector`` is the id of a point among those."""
    return list_points(repository, name_for(repository, component, selector))


def replaced_points(repository: Repository, component: str) -> list[RecoveryPoint]:
    """What restores of the component replaced and kept, newest first."""
    try:
        return list_points(repository, before_component(component)).points
    except InvalidInput:  # a name too long for restores to have kept anything
        return []
