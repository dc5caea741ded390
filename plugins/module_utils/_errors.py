# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one family of errors that the collection raises on purpose.

Each names the component, what was expected, what was found and the next command, because the person who reads it
is awake at three in the morning. Modules turn them into ``fail_json`` in one place (``_module.py``).
"""

from __future__ import annotations

import typing as t


class RunbookError(Exception):
    """An expected failure with everything that an operator needs to act.

    :arg message: one sentence, without a trailing full stop, that names the thing.
    :arg component: the component concerned, when there is one.
    :arg expected: what should have been true.
    :arg found: what was true instead.
    :arg next_command: a command (or an action) that gets the operator further.
    """

    kind = "error"

    def __init__(
        self,
        message: str,
        component: str | None = None,
        expected: str | None = None,
        found: str | None = None,
        next_command: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.component = component
        self.expected = expected
        self.found = found
        self.next_command = next_command

    def __str__(self) -> str:
        parts = [f"{self.component}: {self.message}" if self.component else self.message]
        if self.expected is not None:
            parts.append(f"expected: {self.expected}")
        if self.found is not None:
            parts.append(f"found: {self.found}")
        if self.next_command is not None:
            parts.append(f"next: {self.next_command}")
        return "; ".join(parts)

    def facts(self) -> dict[str, t.Any]:
        """The error as data, returned beside ``msg`` under ``error``."""
        return {
            "kind": self.kind,
            "message": self.message,
            "component": self.component,
            "expected": self.expected,
            "found": self.found,
            "next_command": self.next_command,
        }


class Refused(RunbookError):
    """A safety rule said no; nothing was touched."""

    kind = "refused"


class InvalidInput(RunbookError):
    """A parameter, manifest or other input is not of the expected form."""

    kind = "invalid_input"


class RepositoryError(RunbookError):
    """The repository could not be used (missing, unwritable, full, another one than expected)."""

    kind = "repository"


class ObjectMissing(RepositoryError):
    """An object that should be in the repository is not."""

    kind = "object_missing"


class NotPermitted(RepositoryError):
    """This identity may not do that in the repository; another one may."""

    kind = "not_permitted"


class ObjectExists(RepositoryError):
    """A create-if-absent found the object already there."""

    kind = "object_exists"


class IntegrityError(RunbookError):
    """Stored content is not what its manifest says."""

    kind = "integrity"


class LeaseHeld(RunbookError):
    """Somebody else operates on the component."""

    kind = "lease_held"


class LeaseLost(RunbookError):
    """The lease was taken over while this run believed that it held it."""

    kind = "lease_lost"


class EngineError(RunbookError):
    """A component's server or one of its tools failed."""

    kind = "engine"


class AssertionFailed(RunbookError):
    """Restored content does not satisfy what was recorded or asserted about it."""

    kind = "assertion_failed"


class MissingRequirement(RunbookError):
    """A program or library that the host must have is missing or too old."""

    kind = "missing_requirement"


def missing_library(library: str, wanted: str, error: ImportError) -> MissingRequirement:
    """What to raise where a Python library that hosts are prepared with cannot be imported."""
    return MissingRequirement(
        f"the Python library {library} cannot be imported",
        expected=f"{wanted} for the interpreter that runs the task",
        found=str(error),
        next_command="ansible-playbook sre.runbooks.prepare_hosts",
    )
