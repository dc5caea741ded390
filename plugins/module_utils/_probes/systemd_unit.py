# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The systemd_unit kind: whether a unit of systemd runs, is enabled, and stays up."""

from __future__ import annotations

import re
import shlex
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Kind,
    Option,
    Reading,
    boolean,
    choice,
    integer,
    text,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.program import Ended, NotRun, ProgramCheck, run
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

_PROPERTIES = ("LoadState", "ActiveState", "SubState", "UnitFileState", "NRestarts", "Result", "ExecMainStatus")
#: Of units that start at boot, by themselves or because others want them.
_ENABLED = ("enabled", "enabled-runtime", "alias", "static", "indirect", "generated")


class SystemdUnitCheck(ProgramCheck):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(session)
        self._unit: str = options["unit"]
        self._state: str = options["state"]
        self._enabled: bool | None = options["enabled"]
        self._restarts: int | None = options["maximum_restarts"]
        parts = ["not failed" if self._state == "any" else self._state]
        if self._enabled is not None:
            parts.append("enabled" if self._enabled else "not enabled")
        if self._restarts is not None:
            parts.append(f"at most {counted(self._restarts, 'restart')}")
        self.expected = ", ".join(parts)
        self.hint = f"systemctl status {shlex.quote(self._unit)}; journalctl -u {shlex.quote(self._unit)} -n 50"

    async def ask(self) -> Reading:
        try:
            ended = await run(
                ["systemctl", "show", "--no-pager", f"--property={','.join(_PROPERTIES)}", "--", self._unit]
            )
        except NotRun as error:
            return self.reading("unknown", "nothing", f"{error}: it is not run by systemd")
        if ended.code != 0:
            return self.reading("unknown", "nothing", ended.stderr[:300] or f"systemctl: exit code {ended.code}")
        return self._judge(ended)

    def _judge(self, ended: Ended) -> Reading:
        found = dict(line.split("=", 1) for line in ended.stdout.splitlines() if "=" in line)
        if not found.get("LoadState") or not found.get("ActiveState"):
            return self.reading("unknown", "nothing", "systemctl tells no state")
        active, sub, file_state = found["ActiveState"], found.get("SubState", ""), found.get("UnitFileState", "")
        restarts = int(found["NRestarts"]) if found.get("NRestarts", "").isdecimal() else None
        values = {"load": found["LoadState"], "active": active, "sub": sub, "enabled": file_state, "restarts": restarts}
        measured = f"{active} ({sub})" + (f", {file_state}" if file_state else "")
        if found["LoadState"] != "loaded":
            absent = "there is no such unit" if found["LoadState"] == "not-found" else f"it is {found['LoadState']}"
            return self.reading("failed", found["LoadState"], absent, **values)
        if active == "failed":
            words = f"failed ({found.get('Result', '?')}, exit status {found.get('ExecMainStatus', '?')})"
            return self.reading("failed", measured, words, **values)
        if sub == "auto-restart":
            return self.reading("failed", measured, "it ends, and is started again and again", **values)
        if self._state == "inactive" and active != "inactive":
            return self.reading("failed", measured, f"it is {active}", **values)
        if self._state == "active" and active in ("inactive", "deactivating"):
            return self.reading("failed", measured, f"it is {active}", **values)
        if self._enabled is not None and (file_state in _ENABLED) is not self._enabled:
            return self.reading("failed", measured, f"it is {file_state or 'not enabled'}", **values)
        if self._restarts is not None and restarts is None:
            words = "systemd tells no number of restarts: it counts them for services, since version 235"
            return self.reading("unknown", measured, words, **values)
        if self._restarts is not None and restarts is not None and restarts > self._restarts:
            return self.reading("failed", measured, f"it was restarted {counted(restarts, 'time')}", **values)
        if self._state == "active" and active == "activating":
            return self.reading("warning", measured, "it is still starting", **values)
        return self.reading("ok", measured, "as expected", **values)


def unit(value: t.Any) -> str:
    found = text(value)
    if not re.fullmatch(r"[A-Za-z0-9:_.\\@-]{1,255}", found) or found.startswith("-"):
        raise ValueError("the name of a unit such as nginx.service is expected")
    return found


SYSTEMD_UNIT = Kind(
    name="systemd_unit",
    options={
        "unit": Option(unit, required=True),
        "state": Option(choice("active", "inactive", "any"), default="active"),
        "enabled": Option(boolean),
        "maximum_restarts": Option(integer(0, 1_000_000)),
    },
    prepare=SystemdUnitCheck,
    target=lambda options: t.cast(str, options["unit"]),
)
