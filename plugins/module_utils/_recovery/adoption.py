# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When something that exists may be marked as an environment's: never by mistake, and never quietly from another's hands."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import Refused
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import check_environment


@dataclasses.dataclass(frozen=True)
class Adoption:
    """What was asked for. ``confirm`` repeats the environment's name, ``replaces`` names the one that it was before."""

    environment: str
    confirm: str | None = None
    replaces: str | None = None

    @classmethod
    def asked(cls, params: t.Mapping[str, t.Any]) -> Adoption:
        """From a module's options. Refuses a confirmation that names something else."""
        name = check_environment(params["environment_name"])
        if params["confirm"] not in (None, "", name):
            raise Refused(
                "the confirmation names something else than the environment",
                expected=f"adopt_confirm={name}",
                found=params["confirm"],
                next_command=f"if this belongs to it: the same command with -e adopt_confirm={name}",
            )
        return cls(name, params["confirm"], params["replaces"])

    def require_permission(self, what: str, previous: str | None, content: t.Sequence[str]) -> None:
        """Refuse to mark what has content, or another environment's marker, without being told so by name.

        :arg what: what would be marked, in words. :arg previous: the environment of its marker.
        """
        name = self.environment
        if previous is not None and self.replaces != previous:
            raise Refused(
                f"{what} is marked as another environment's",
                expected=f"environment {name}",
                found=f"environment {previous}",
                next_command="if it really changes hands: the same command with"
                f" -e adopt_replaces={previous} -e adopt_confirm={name}",
            )
        if (content or previous is not None) and self.confirm != name:
            raise Refused(
                f"{what} has content; marking it as environment {name} must be confirmed",
                expected=f"adopt_confirm={name}",
                found=f"adopt_confirm={self.confirm}" if self.confirm else "no confirmation",
                next_command=f"the same command with -e adopt_confirm={name}",
            )
