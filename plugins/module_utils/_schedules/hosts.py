# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The schedules of a machine: a file for ``/etc/cron.d``, or a service and a timer each for systemd."""

from __future__ import annotations

import re
import shlex
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._schedules.table import Entry, Place

#: A cron that finds a longer command takes none of the file's lines.
_CRON_LIMIT = 998


def cron_files(entries: t.Sequence[Entry], place: Place, user: str) -> dict[str, str]:
    """One file for the environment. A line that is not enabled is left out."""
    lines = [
        place.mark,
        f"# Times are meant in {place.timezone}. Crons that do not know CRON_TZ take them for the machine's own.",
        f"CRON_TZ={place.timezone}",
        "",
    ]
    for entry in entries:
        if entry.enabled:
            command = shlex.join([place.executable, *entry.arguments(place)])
            line = _for_cron(f"cd {shlex.quote(place.directory)} && {command}")
            if len(line.encode("utf-8")) > _CRON_LIMIT:
                raise InvalidInput(
                    f"schedule {entry.name}: its command is too long for cron",
                    expected=f"at most {_CRON_LIMIT} bytes, with every inventory and variable",
                    found=f"{len(line.encode('utf-8'))} bytes",
                    next_command="put its variables into the inventory, or leave cron out of schedules_formats",
                )
            lines += [f"# {entry.description}", f"{entry.calendar.cron()} {user} {line}"]
    return {f"cron/sre-runbooks-{place.slug}": "\n".join(lines) + "\n"}


def systemd_files(entries: t.Sequence[Entry], place: Place, user: str) -> dict[str, str]:
    """A service and a timer for each line. Two runs of one line never overlap; one that was slept through is made up for."""
    files = {}
    for entry in entries:
        unit = f"systemd/sre-runbooks-{place.slug}-{entry.name}"
        command = " ".join(_quoted(word) for word in [place.executable, *entry.arguments(place)])
        files[f"{unit}.service"] = "\n".join(
            [
                place.mark,
                "[Unit]",
                f"Description={_escaped(entry.description)} ({place.environment})",
                "Wants=network-online.target",
                "After=network-online.target",
                "",
                "[Service]",
                "Type=oneshot",
                f"User={user}",
                f"WorkingDirectory={_escaped(place.directory)}",
                f"ExecStart={command}",
                "",
            ]
        )
        if entry.enabled:
            files[f"{unit}.timer"] = "\n".join(
                [
                    place.mark,
                    "[Unit]",
                    f"Description={_escaped(entry.description)} ({place.environment})",
                    "",
                    "[Timer]",
                    f"OnCalendar={entry.calendar.on_calendar(place.timezone)}",
                    "Persistent=true",
                    "",
                    "[Install]",
                    "WantedBy=timers.target",
                    "",
                ]
            )
    return files


def _for_cron(command: str) -> str:
    """To cron a percent sign is the end of the command, unless a backslash is before it.

    Whether two backslashes are one to it, crons disagree. So no backslash of the command, which are all within quotes, is left
    beside another one or a percent sign: an empty pair of quotes comes between.
    """
    return re.sub(r"\\(?=[\\%])", r"\\''", command).replace("%", r"\%")


def _escaped(text: str) -> str:
    """Without the meaning that a percent sign has in a unit."""
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    """One word of ``ExecStart``, which knows quotes and backslashes, but is no shell."""
    word = _escaped(word).replace("$", "$$")
    if word and not set(word) & set(" \t\"'\\;"):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
