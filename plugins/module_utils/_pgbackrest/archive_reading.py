# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archive as it lies in the repository: listed, its histories read, and the last transaction found in it."""

from __future__ import annotations

import bz2
import dataclasses
import datetime
import os
import re
import tempfile
import typing as t
import zlib

from ansible_collections.sre.runbooks.plugins.module_utils import _clock, _process
from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.archive_audit import (
    Archive,
    StoredSegment,
    parse_listing,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.command import Pgbackrest
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.wal import format_lsn, parse_lsn

_COMMIT = re.compile(
    rb"tx: +(\d+), lsn: ([0-9A-F]+/[0-9A-F]+),.*desc: (?:COMMIT|ABORT)(?:_PREPARED)? ?(?:prepared )?"
    rb".*?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}) (?:UTC|GMT)"
)
#: A quiet server writes segments without any transaction; how many of them to look through for one.
_LOOK_BACK = 32


@dataclasses.dataclass(frozen=True)
class Transaction:
    """The end of a transaction, as the log has it; ``lsn`` is the start of that record."""

    time: datetime.datetime
    lsn: str
    xid: int

    def facts(self) -> dict[str, t.Any]:
        return {"time": _clock.format_time(self.time), "lsn": self.lsn, "transaction": self.xid}


def read_archive(tool: Pgbackrest, archive_id: str, timeout: float = 300.0) -> Archive:
    """Everything that the archive holds, its histories' contents too. Raises :class:`IntegrityError`."""
    below = f"archive/{tool.stanza}"
    listing = tool.run(
        "repo-ls",
        "--recurse",
        "--output=json",
        timeout=timeout,
        what="listing the archived log",
        operand=f"{below}/{archive_id}",
    )
    archive, histories = parse_listing(listing or b"{}", archive_id)
    for timeline, path in histories:
        content = tool.run(
            "repo-get", timeout=60, what=f"reading the history of timeline {timeline}", operand=f"{below}/{path}"
        )
        archive.histories[timeline] = content.decode("utf-8", "replace")
    return archive


def last_transaction(
    tool: Pgbackrest, segments: t.Sequence[StoredSegment], bin_dir: str, user: str | None = None
) -> Transaction | None:
    """The newest transaction in ``segments`` (in the log's order); None when there is none in the last ones, or no tool.

    A recovery to a time ends at the first transaction after it: so none that is later than this one can be reached.
    """
    program = os.path.join(bin_dir, "pg_waldump")
    if not os.access(program, os.X_OK):
        return None
    for segment in list(reversed(segments))[:_LOOK_BACK]:
        content = fetch_segment(tool, segment)
        if content is None:
            return None
        found = _last_in(program, segment.name, content)
        if found is not None:
            return found
    return None


def fetch_segment(tool: Pgbackrest, segment: StoredSegment) -> bytes | None:
    """A segment's content; None for a compression that Python does not know. Raises :class:`IntegrityError`."""
    stored = tool.run(
        "repo-get", timeout=120, what=f"reading segment {segment.name}", operand=f"archive/{tool.stanza}/{segment.path}"
    )
    suffix = os.path.splitext(segment.path)[1]
    try:
        if not segment.compressed:
            return stored
        if suffix == ".gz":
            return zlib.decompress(stored, 31)
        if suffix == ".bz2":
            return bz2.decompress(stored)
        if suffix == ".zst":
            import zstandard

            return zstandard.ZstdDecompressor().decompressobj().decompress(stored)
    except ImportError:
        return None
    except Exception as error:  # each library has errors of its own
        raise IntegrityError(
            f"segment {segment.name} is damaged",
            tool.component,
            expected=f"content compressed as {suffix[1:]}",
            found=str(error)[:200],
        ) from None
    return None


def _last_in(program: str, name: str, content: bytes) -> Transaction | None:
    with tempfile.TemporaryDirectory(prefix="srb-wal-") as directory:
        path = os.path.join(directory, name)
        with open(path, "wb") as file:
            file.write(content)
        try:
            # It ends with an error at the end of a segment that is not full: what it printed until then counts.
            output = _process.run(
                ["/bin/sh", "-c", '"$0" --rmgr=Transaction "$1" || :', program, path],
                f"looking through segment {name}",
                environment={"LC_ALL": "C", "TZ": "UTC"},
                timeout=120,
                cwd="/",
            )
        except RunbookError:
            return None
    found = None
    for line in output.splitlines():
        found = _COMMIT.search(line) or found
    if found is None:
        return None
    moment = _clock.parse_time(found.group(3).decode().replace(" ", "T"))
    return Transaction(moment, format_lsn(parse_lsn(found.group(2).decode())), int(found.group(1)))
