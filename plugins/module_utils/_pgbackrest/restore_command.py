# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a recovering server calls for each segment: only what the audit found, compared with its hash, never a false end.

PostgreSQL takes every ordinary failure of its ``restore_command`` for the end of the log. So a segment that the audit
saw and that now cannot be had, or whose content is another, ends the recovery with an error instead (an exit code above
128 does that), and nothing that the audit did not see is replayed.
"""

from __future__ import annotations

import os
import shlex
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.archive_audit import Audit
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.place import give

#: Exit codes that PostgreSQL does not take for the end of the log: what is missing, what is not what it was.
LOST, ALTERED = 200, 201
_SCRIPT = """\
#!/bin/sh
# Written by sre.runbooks for one recovery. $1: the file's name, $2: where it is wanted.
fetch() {{
  {fetch} "$1" "$2" >&2
}}
case $1 in
*.history)
  fetch "$1" "$2"; code=$?
  if [ "$code" -gt 1 ]; then exit {lost}; fi
  exit "$code" ;;
esac
if grep -q "^$1 " {faults}; then echo "lost $1" >> {served}; exit {lost}; fi
wanted=$(grep -m 1 "^$1 " {table}) || {{ echo "beyond $1" >> {served}; exit 1; }}
fetch "$1" "$2" || {{ echo "lost $1" >> {served}; exit {lost}; }}
found=$(sha1sum < "$2") || exit {lost}
if [ "${{found%% *}}" != "${{wanted#* }}" ]; then echo "altered $1" >> {served}; exit {altered}; fi
echo "served $1" >> {served}
"""


class RestoreCommand:
    """The script and its tables in ``directory``, which belongs to the server's account.

    :arg fetch: the program and arguments that copy a segment, up to the two of the script.
    """

    def __init__(self, directory: str, fetch: t.Sequence[str], audit: Audit, user: str | None) -> None:
        self._directory = directory
        self._audit = audit
        # The server reads a per cent sign as the beginning of a placeholder.
        self.setting = shlex.quote(self._path("fetch")).replace("%", "%%") + ' %f "%p"'
        self._write("segments", "".join(f"{item.name} {item.sha1}\n" for item in audit.usable), user)
        self._write("faults", "".join(f"{fault.segment} {fault.kind}\n" for fault in audit.faults), user)
        self._write("served", "", user)
        script = _SCRIPT.format(
            fetch=" ".join(shlex.quote(word) for word in fetch),
            table=shlex.quote(self._path("segments")),
            faults=shlex.quote(self._path("faults")),
            served=shlex.quote(self._path("served")),
            lost=LOST,
            altered=ALTERED,
        )
        self._write("fetch", script, user, 0o700)

    def events(self) -> list[tuple[str, str]]:
        """What happened, in order: (``served``, ``beyond``, ``lost`` or ``altered``, segment)."""
        with open(self._path("served"), encoding="ascii") as file:
            pairs = (line.split() for line in file)
            return [(pair[0], pair[1]) for pair in pairs if len(pair) == 2]

    def trouble(self) -> tuple[str, str] | None:
        """(``lost`` or ``altered``, segment) when a segment ended the recovery."""
        return next((event for event in self.events() if event[0] in ("lost", "altered")), None)

    def served_all(self) -> bool:
        """Whether the last segment of the audit was replayed, and the server asked for what follows it."""
        events = self.events()
        last = self._audit.usable[-1].name if self._audit.usable else None
        return ("served", last) in events and any(kind == "beyond" for kind, _name in events)

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)

    def _write(self, name: str, text: str, user: str | None, mode: int = 0o600) -> None:
        descriptor = os.open(self._path(name), os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        give(self._path(name), user)
