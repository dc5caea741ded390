# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command kind, the last resort: a program that only looks, its exit code and what it says."""

from __future__ import annotations

import re
import shlex
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Kind,
    Option,
    Reading,
    forms_of,
    integer,
    mapping,
    pattern,
    text,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.expectation import shown
from ansible_collections.sre.runbooks.plugins.module_utils._probes.program import (
    Ended,
    NotRun,
    ProgramCheck,
    TooMuch,
    run,
)
from ansible_collections.sre.runbooks.plugins.module_utils._words import masked

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

_KEPT = 2000


class CommandCheck(ProgramCheck):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(session)
        self._argv: tuple[str, ...] = options["argv"]
        self._environment: dict[str, str] = {**options["environment"], **options["secrets"]}
        secrets = [value for value in options["secrets"].values() if value]
        if any(secret in word for secret in secrets for word in self._argv):
            raise ValueError("argv holds a value of secrets, which everybody on the host could see")
        forms = {form for secret in secrets for form in forms_of(secret)}
        self._secrets = sorted(forms, key=lambda form: (-len(form), form))
        self._directory: str | None = options["directory"]
        self._good: tuple[int, ...] = options["exit_codes"]
        self._warning: tuple[int, ...] = options["warning_codes"]
        self._unknown: tuple[int, ...] = options["unknown_codes"]
        self._contains: str | None = options["stdout"]
        self._matches: re.Pattern[str] | None = options["stdout_matches"]
        parts = ["exit code " + " or ".join(map(str, self._good))]
        if self._contains is not None:
            parts.append(f"an output containing {shown(self._contains)}")
        if self._matches is not None:
            parts.append(f"an output matching {shown(self._matches.pattern)}")
        self.expected = ", ".join(parts)
        self.hint = " ".join(shlex.quote(word) for word in self._argv)

    async def ask(self) -> Reading:
        try:
            return self._judge(await run(self._argv, self._environment, self._directory, self._secrets))
        except NotRun as error:
            return self.reading("unknown", "nothing", str(error))
        except TooMuch:
            return self.reading("failed", "an endless output", "it writes more than 16 MiB")

    def _judge(self, ended: Ended) -> Reading:
        stdout, stderr = masked(ended.stdout, self._secrets), ended.stderr
        said = (stdout.strip().splitlines() or [stderr])[0][:200]
        how = f"exit code {ended.code}" if ended.code >= 0 else f"ended by signal {-ended.code}"
        measured = f"{how}: {shown(said)}" if said else how
        values = {"code": ended.code, "stdout": stdout[:_KEPT], "stderr": stderr[:_KEPT]}
        for outcome, codes in (("warning", self._warning), ("unknown", self._unknown)):
            if ended.code in codes:
                return self.reading(outcome, measured, said or how, **values)
        if ended.code not in self._good:
            return self.reading("failed", measured, stderr[:300] or said or how, **values)
        if self._contains is not None and self._contains not in ended.stdout:
            return self.reading("failed", measured, f"the output does not contain {shown(self._contains)}", **values)
        if self._matches is not None and not self._matches.search(ended.stdout):
            message = f"the output does not match {shown(self._matches.pattern)}"
            return self.reading("failed", measured, message, **values)
        return self.reading("ok", measured, "as expected", **values)


def words(value: t.Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError("a list of a program and its arguments is expected: there is no shell")
    found = tuple(text(item) for item in value)
    if not found[0] or any("\0" in word for word in found):
        raise ValueError("a program and its arguments are expected")
    return found


def codes(value: t.Any) -> tuple[int, ...]:
    """``0``, ``"0,2"`` or a list of exit codes."""
    items = value if isinstance(value, (list, tuple)) else str(value).split(",")
    return tuple(integer(0, 255)(str(item).strip()) for item in items)


def variables(value: t.Any) -> dict[str, str]:
    found = {name: text(item) for name, item in mapping(value).items()}
    if not all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and "\0" not in item for name, item in found.items()):
        raise ValueError("a mapping of names of environment variables is expected")
    return found


COMMAND = Kind(
    name="command",
    options={
        "argv": Option(words, required=True),
        "exit_codes": Option(codes, default=(0,), filled=True),
        "warning_codes": Option(codes, default=()),
        "unknown_codes": Option(codes, default=()),
        "stdout": Option(text),
        "stdout_matches": Option(pattern),
        "environment": Option(variables, default={}, secret=True),
        "secrets": Option(variables, default={}, secret=True, wholly=True),
        "directory": Option(text),
    },
    prepare=CommandCheck,
    target=lambda options: t.cast(str, options["argv"][0]),
)
