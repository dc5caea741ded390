# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that is wrong in a list of the inventory, said at once."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput

#: Mistakes of one call that are named.
_NAMED = 20


class Mistakes(InvalidInput):
    """Several errors as one: as it is where it is one thing, else each in brackets.

    :arg place: where they are, as in "2 mistakes in …".
    """

    def __init__(self, problems: t.Sequence[InvalidInput], place: str) -> None:
        self.problems = tuple(problems)
        first = self.problems[0]
        if len(self.problems) == 1:
            super().__init__(first.message, first.component, first.expected, first.found, first.next_command)
            return
        owners = {problem.component for problem in self.problems}
        component = first.component if len(owners) == 1 else None
        said = [_in_brackets(problem, component) for problem in self.problems[:_NAMED]]
        if len(self.problems) > _NAMED:
            said.append(f"and {len(self.problems) - _NAMED} more")
        super().__init__(
            f"{len(self.problems)} mistakes in {place}; " + "; ".join(said),
            component,
            next_command="correct them in the inventory, then: the same command",
        )


def _in_brackets(problem: InvalidInput, component: str | None) -> str:
    """A problem with what was expected and found, but for a list of names where the nearest one is said."""
    text = problem.message if problem.component == component else f"{problem.component}: {problem.message}"
    if "did you mean" in text:
        return text
    parts = [f"expected: {problem.expected}"] if problem.expected else []
    parts += [f"found: {problem.found}"] if problem.found else []
    return f"{text} [{', '.join(parts)}]" if parts else text
