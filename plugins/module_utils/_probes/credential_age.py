# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The credential_age kind: how long ago a secret was changed. The secret itself is neither read nor shown."""

from __future__ import annotations

import datetime
import os
import shlex
import stat
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration, parse_duration, parse_time
from ansible_collections.sre.runbooks.plugins.module_utils._probes.blocking import BlockingCheck
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Kind, Option, Reading, text
from ansible_collections.sre.runbooks.plugins.module_utils._probes.file_age import CLOCK_TOLERANCE_S

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session


class CredentialAgeCheck(BlockingCheck):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(session)
        self._path: str | None = options["path"]
        self._changed: datetime.datetime | None = options["changed_at"]
        self._maximum: float = options["maximum_age"]
        self._warning: float | None = options["warning_age"]
        if (self._path is None) == (self._changed is None):
            raise ValueError("give either path or changed_at")
        if self._warning is not None and self._warning > self._maximum:
            raise ValueError("warning_age is longer than maximum_age")
        self.expected = f"a credential not older than {format_duration(self._maximum)}"
        self.hint = f"stat -c '%y %n' {shlex.quote(self._path)}" if self._path else "rotate it, and note changed_at"

    def look(self) -> Reading:
        changed = self._changed
        if self._path is not None:
            try:
                found = os.stat(self._path)
            except FileNotFoundError:
                return self.reading("failed", "no such file", f"{self._path} does not exist")
            except OSError as error:
                return self.reading("unknown", "nothing", f"{self._path}: {error.strerror}")
            if not stat.S_ISREG(found.st_mode):
                return self.reading("failed", "no file", f"{self._path} is no file")
            if not found.st_size:
                return self.reading("failed", "an empty file", f"{self._path} is empty")
            changed = datetime.datetime.fromtimestamp(found.st_mtime, datetime.timezone.utc)
        return self._judge(t.cast(datetime.datetime, changed))

    def _judge(self, changed: datetime.datetime) -> Reading:
        age = (_clock.now() - changed).total_seconds()
        values = {"changed_at": _clock.format_time(changed), "age_s": round(age, 3), "maximum_age_s": self._maximum}
        measured = f"changed {format_duration(age)} ago" if age >= 0 else f"changed {format_duration(-age)} from now"
        if age < -CLOCK_TOLERANCE_S:
            return self.reading("unknown", measured, "it was changed in the future: clocks are apart", **values)
        if age > self._maximum:
            return self.reading("failed", measured, f"older than {format_duration(self._maximum)}", **values)
        if self._warning is not None and age > self._warning:
            return self.reading("warning", measured, f"older than {format_duration(self._warning)}", **values)
        return self.reading("ok", measured, "as expected", **values)


def moment(value: t.Any) -> datetime.datetime:
    """An ISO 8601 time, or what YAML makes of one. Without an offset it is UTC."""
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        value = value.isoformat()
    return parse_time(value.isoformat() if isinstance(value, datetime.datetime) else text(value))


CREDENTIAL_AGE = Kind(
    name="credential_age",
    options={
        "path": Option(text),
        "changed_at": Option(moment),
        "maximum_age": Option(parse_duration, required=True),
        "warning_age": Option(parse_duration),
    },
    prepare=CredentialAgeCheck,
    target=lambda options: options["path"] or "changed_at",
)
