# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every byte of pgBackRest's backups and log read back, and what that means for one recovery point.

``pgbackrest verify`` reads the whole stanza and always ends with 0, so that what it prints is what counts: nothing is
taken for whole that it did not name as valid.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.archive import (
    archived_segments,
    segments_between,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.command import Pgbackrest
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.info import Backup, StanzaInfo

_BACKUP = re.compile(
    r"^\s*backup: (\S+), status: ([a-z -]+?), total files checked: (\d+), total valid files: (\d+)", re.M
)
_ARCHIVE = re.compile(r"^\s*archiveId: (\S+), total WAL checked: (\d+), total valid WAL: (\d+)", re.M)
_FAULTS = (
    (re.compile(r"invalid result (\S+): "), "unreadable"),
    (re.compile(r"invalid checksum '([^']+)'"), "its checksum is another"),
    (re.compile(r"invalid size '([^']+)'"), "its size is another"),
    (re.compile(r"file missing '([^']+)'"), "missing"),
)
_SEGMENT_FILE = re.compile(r"(?:.*/)?([0-9A-F]{24})-[0-9a-f]{40}(?:\.[a-z0-9]+)?$")


@dataclasses.dataclass(frozen=True)
class Verified:
    """What ``pgbackrest verify`` said.

    :ivar backups: label → (status, files checked, files valid). :ivar archives: id → (segments checked, valid).
    :ivar faults: path below ``backup/<stanza>`` or ``archive/<stanza>`` → what is wrong with it.
    """

    backups: dict[str, tuple[str, int, int]]
    archives: dict[str, tuple[int, int]]
    faults: dict[str, str]

    @property
    def bad_segments(self) -> dict[str, str]:
        """Segments that cannot be replayed, by name."""
        found = ((_SEGMENT_FILE.match(path), fault) for path, fault in self.faults.items())
        return {match.group(1): fault for match, fault in found if match}


def verify_stanza(
    tool: Pgbackrest, jobs: int = 1, timeout: float | None = None, check: t.Callable[[], None] | None = None
) -> Verified:
    """Read all of it. ``timeout`` in seconds; without one it may take as long as reading takes."""
    output: list[bytes] = []
    tool.watch(
        "verify",
        "--output=text",
        "--verbose",
        f"--process-max={jobs}",
        "--log-level-console=info",
        # A second look at once, none after a quarter of a minute for each damaged file.
        "--job-retry=1",
        timeout=timeout,
        what="reading pgBackRest's repository back",
        on_output=output.append,
        check=check,
    )
    return parse_verified(b"".join(output).decode("utf-8", "replace"))


def parse_verified(text: str) -> Verified:
    """As :func:`verify_stanza`, of what was printed."""
    backups = {
        match.group(1): (match.group(2), int(match.group(3)), int(match.group(4))) for match in _BACKUP.finditer(text)
    }
    archives = {match.group(1): (int(match.group(2)), int(match.group(3))) for match in _ARCHIVE.finditer(text)}
    faults: dict[str, str] = {}
    for pattern, words in _FAULTS:
        for match in pattern.finditer(text):
            faults.setdefault(match.group(1), words)
    return Verified(backups, archives, faults)


@dataclasses.dataclass
class BackupVerdict:
    """Whether one backup is whole with the log that makes it consistent: files, segments, and what is wrong."""

    files: int = 0
    segments: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)
    #: Damage of the log elsewhere: this backup restores, later moments may not.
    elsewhere: list[str] = dataclasses.field(default_factory=list)


def judge_backup(
    verified: Verified,
    info: StanzaInfo,
    backup: Backup,
    segments: t.Collection[str],
    segment_size: int = 16 * 1024 * 1024,
) -> BackupVerdict:
    """What the verification means for ``backup``.

    :arg segments: names that are in its archive now.
    """
    verdict = BackupVerdict()
    status, checked, valid = verified.backups.get(backup.label, ("not read", 0, 0))
    verdict.files = valid
    if status != "valid" or checked != valid or checked == 0:
        related = {backup.label, *backup.references}
        named = [f"{path}: {fault}" for path, fault in verified.faults.items() if path.split("/")[0] in related]
        verdict.failures += named or [f"{backup.label}: {status}, {valid} of {checked} files valid"]
    bad = verified.bad_segments
    needed: list[str] = []
    if backup.archive_start and backup.archive_stop:
        needed = list(segments_between(backup.archive_start, backup.archive_stop, segment_size))
    else:
        verdict.failures.append(f"{backup.label}: pgBackRest names no segments of the log for it")
    for segment in needed:
        if segment not in segments:
            verdict.failures.append(f"segment {segment} of the log: missing")
        elif segment in bad:
            verdict.failures.append(f"segment {segment} of the log: {bad[segment]}")
        else:
            verdict.segments += 1
    # Told without a name, which a later release may do: then nothing can be said of ours either.
    read, whole = verified.archives.get(info.archive_id(backup.database_id), (0, 0))
    if read < len(set(segments)) or read - whole > len(bad):
        verdict.failures.append(f"the log: {whole} of {len(set(segments))} segments shown to be whole")
    verdict.elsewhere = sorted(
        f"segment {name} of the log: {fault}" for name, fault in bad.items() if name not in needed
    )
    return verdict


def verify_backup(
    tool: Pgbackrest,
    info: StanzaInfo,
    label: str,
    segment_size: int = 16 * 1024 * 1024,
    jobs: int = 1,
    check: t.Callable[[], None] | None = None,
) -> BackupVerdict:
    """Read everything and judge one backup. Raises :class:`IntegrityError` when there is no such backup."""
    backup = info.backup(label)
    if backup is None:
        raise IntegrityError(
            f"pgBackRest has no backup {label}",
            tool.component,
            expected=f"it among {len(info.backups)} backups",
            found=", ".join(known.label for known in info.backups[-3:]) or "none",
        )
    archive_id = info.archive_id(backup.database_id)
    # Listed first: what arrives while we read is not asked for.
    segments = archived_segments(tool, archive_id)
    return judge_backup(verify_stanza(tool, jobs, check=check), info, backup, segments, segment_size)
