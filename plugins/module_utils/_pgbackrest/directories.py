# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two directories change places: the prepared copy becomes the data, and what was the data is kept beside it.

What is under way is written down in ``<data>.pitr.json`` before each step, so that a run after a killed one knows which
of the two directories is which, and finishes. The file outlives the data directory and is in no backup.
"""

from __future__ import annotations

import datetime
import json
import os
import secrets
import shutil
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, IntegrityError, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._whole_file import write_whole

_COPY = "__restoring"
_BEFORE = "__before_"
_STATE = ".pitr.json"


class Directories:
    """The data directory ``data``, the copy that is being prepared, and what former restores kept."""

    def __init__(
        self,
        data: str,
        component: str,
        user: str | None,
        reached: t.Callable[[str], None] = lambda name: None,
    ) -> None:
        self.data = os.path.abspath(data)
        self.copy = self.data + _COPY
        self._component = component
        self._user = user
        self._reached = reached
        if os.path.islink(self.data):
            raise Refused(
                f"{self.data} is a symbolic link, which cannot change places with a directory",
                component,
                expected="the directory itself",
                found=f"a link to {os.readlink(self.data)}",
                next_command=f"name {os.path.realpath(self.data)} as component_pitr_data_dir in the inventory",
            )
        if os.path.ismount(self.data):
            raise Refused(
                f"{self.data} is a mount point, which cannot change places with a directory",
                component,
                expected="a directory below the mount point",
                found="the mount point itself",
                next_command="move the data into a directory below it, once and for all (docs/pitr.md)",
            )

    # -- what is written down ----------------------------------------------------------------------------------------

    @property
    def _path(self) -> str:
        return self.data + _STATE

    def state(self) -> dict[str, t.Any]:
        """``swap`` under way, ``prepared`` copy, ``restored`` record, ``kept`` directories. Empty at first."""
        try:
            with open(self._path, encoding="utf-8") as file:
                found = json.load(file)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise IntegrityError(
                f"{self._path} cannot be read",
                self._component,
                expected="what earlier restores wrote there",
                found=str(error)[:200],
                next_command=f"look at what lies beside {self.data}, then remove the file",
            ) from None
        if not isinstance(found, dict) or found.get("component") != self._component:
            raise Refused(
                f"{self._path} is of another component",
                self._component,
                expected=self._component,
                found=str(found.get("component") if isinstance(found, dict) else "no mapping")[:100],
                next_command="correct component_pitr_data_dir in the inventory",
            )
        return found

    def write(self, **changes: t.Any) -> None:
        """Change what is written down, durably and in one step."""
        state = {**self.state(), **changes, "component": self._component}
        write_whole(self._path, json.dumps(state, indent=1, sort_keys=True).encode(), 0o600, self._user)

    def restored(self) -> dict[str, t.Any] | None:
        """What the data directory was restored to; None when it is not, or is another directory by now."""
        record = self.state().get("restored")
        return record if record and record.get("directory") == identity(self.data) else None

    def prepared(self) -> dict[str, t.Any] | None:
        """What the copy was proven to show, by a run that was ended before it swapped."""
        record = self.state().get("prepared")
        return record if record and record.get("directory") == identity(self.copy) else None

    # -- changing places ---------------------------------------------------------------------------------------------

    def swap(self, record: dict[str, t.Any]) -> str | None:
        """Put the copy in place; no server may run over either. Returns where the former data are kept.

        :arg record: what the copy shows; its directory is added.
        """
        before = None
        if os.path.lexists(self.data):
            before = f"{self.data}{_BEFORE}{_clock.now().strftime('%Y%m%dT%H%M%SZ')}"
            if os.path.lexists(before):
                before += f"-{secrets.token_hex(2)}"
        step = {
            "before": before,
            "live": identity(self.data),
            "copy": identity(self.copy),
            "record": {**record, "directory": identity(self.copy)},
        }
        self.write(swap=step)
        self._finish(step)
        return before

    def finish_interrupted(self) -> bool:
        """Finish a swap that was cut off; whether there was one."""
        step = self.state().get("swap")
        if not step:
            return False
        if os.path.lexists(self.data) and identity(self.data) == step["live"] and step["live"] is not None:
            # Nothing had been renamed: the run that asks begins at its beginning, with the prepared copy.
            self.write(swap=None)
            return False
        self._finish(step)
        return True

    def _finish(self, step: dict[str, t.Any]) -> None:
        before = step["before"]
        try:
            if before is not None and identity(self.data) == step["live"]:
                self._reached("before the first rename")
                os.rename(self.data, before)
                self._sync_parent()
                self._reached("between the renames")
            if identity(self.data) != step["copy"]:
                if os.path.lexists(self.data):
                    raise EngineError(
                        f"{self.data} is neither the former data nor the restored copy",
                        self._component,
                        expected="nothing in the way of the restored copy",
                        found="a directory that appeared in the meantime",
                        next_command=f"find out what made it; the former data are in {before}, the restored copy in {self.copy}",
                    )
                os.rename(self.copy, self.data)
                self._sync_parent()
                self._reached("after the renames")
        except OSError as error:
            raise EngineError(
                "the directories could not change places",
                self._component,
                expected=f"to rename {self.copy} to {self.data}",
                found=str(error),
                next_command="mend that; to finish: the same command",
            ) from None
        state = self.state()
        kept = state.get("kept", [])
        if before is not None:
            replaced = {
                "path": before,
                "since": _clock.format_time(_clock.now()),
                "replaced_by": step["record"]["target"],
            }
            kept = [*kept, {**replaced, "directory": step["live"]}]
        self.write(swap=None, prepared=None, restored=step["record"], kept=kept)

    def undo(self, before: str) -> None:
        """The former data take their place again; the restored copy is a copy again. No server may run."""
        record = self.state().get("restored")
        os.rename(self.data, self.copy)
        os.rename(before, self.data)
        self._sync_parent()
        kept = [item for item in self.state().get("kept", []) if item["path"] != before]
        self.write(restored=None, prepared=record, kept=kept)

    # -- what is kept ------------------------------------------------------------------------------------------------

    def kept(self) -> list[dict[str, t.Any]]:
        """Former data directories that are still there, oldest first; compared by identity, not by name alone."""
        return [item for item in self.state().get("kept", []) if identity(item["path"]) == item["directory"]]

    def expired(self, after: float | None, now: datetime.datetime) -> list[dict[str, t.Any]]:
        if after is None:
            return []
        return [item for item in self.kept() if (now - _clock.parse_time(item["since"])).total_seconds() >= after]

    def release(self, items: t.Sequence[dict[str, t.Any]]) -> None:
        """Delete kept directories for good."""
        for item in items:
            if identity(item["path"]) == item["directory"] and item["path"].startswith(self.data + _BEFORE):
                shutil.rmtree(item["path"])
            gone = item["path"]
            self.write(kept=[other for other in self.state().get("kept", []) if other["path"] != gone])

    def drop_copy(self) -> None:
        """Remove a copy that is of no use."""
        self.write(prepared=None)
        shutil.rmtree(self.copy, ignore_errors=True)

    def _sync_parent(self) -> None:
        descriptor = os.open(os.path.dirname(self.data), os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def identity(path: str) -> list[int] | None:
    """What a directory is, whatever its name: device and number. None when there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return [found.st_dev, found.st_ino]
