# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order in which components are brought up: what a component depends on comes before it."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput


def dependency_waves(depends_on: t.Mapping[str, t.Sequence[str]]) -> list[list[str]]:
    """Waves of components; those of one wave depend only on earlier waves. Alphabetical within a wave.

    :arg depends_on: name → names that must be there before it.
    :raises InvalidInput: naming a dependency that is not among the components, or a cycle as ``a → b → a``.
    """
    for name, needed in sorted(depends_on.items()):
        unknown = sorted(set(needed) - set(depends_on))
        if unknown:
            raise InvalidInput(
                f"depends on {', '.join(unknown)}, which is not a component",
                component=name,
                expected=f"one of {', '.join(sorted(depends_on))}",
                found=", ".join(unknown),
                next_command="correct component_depends_on in the inventory",
            )
    waiting = {name: set(needed) for name, needed in depends_on.items()}
    waves: list[list[str]] = []
    while waiting:
        wave = sorted(name for name, needed in waiting.items() if not needed)
        if not wave:
            raise InvalidInput(
                "components depend on each other in a circle",
                expected="dependencies without a cycle",
                found=" → ".join(_cycle(waiting)),
                next_command="correct component_depends_on in the inventory",
            )
        waves.append(wave)
        waiting = {name: needed.difference(wave) for name, needed in waiting.items() if name not in wave}
    return waves


def dependency_order(depends_on: t.Mapping[str, t.Sequence[str]]) -> list[str]:
    """The components one after the other; errors as in :func:`dependency_waves`."""
    return [name for wave in dependency_waves(depends_on) for name in wave]


def _cycle(waiting: t.Mapping[str, set[str]]) -> list[str]:
    """One cycle, starting and ending with its alphabetically first name. Every name in ``waiting`` needs another."""
    path = [min(waiting)]
    while True:
        following = min(waiting[path[-1]])
        if following in path:
            circle = path[path.index(following) :]
            start = circle.index(min(circle))
            circle = circle[start:] + circle[:start]
            return [*circle, circle[0]]
        path.append(following)


def declared(components: t.Mapping[str, t.Any]) -> dict[str, list[str]]:
    """name → names from ``{name: {depends_on: [...]}}`` or ``{name: [...]}``. Raises :class:`InvalidInput`."""
    found: dict[str, list[str]] = {}
    for name, given in components.items():
        needed = given.get("depends_on") if isinstance(given, t.Mapping) else given
        needed = [] if needed is None else needed
        if isinstance(needed, str) or not isinstance(needed, t.Iterable):
            raise InvalidInput(
                "its dependencies are not a list",
                component=str(name),
                expected="a list of components' names",
                found=repr(needed)[:100],
                next_command="correct component_depends_on in the inventory",
            )
        found[str(name)] = [str(item) for item in needed]
    return found
