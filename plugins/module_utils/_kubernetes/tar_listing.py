# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a tar archive holds, told while it streams by: one line of JSON an entry, with the sha256 of every file."""

from __future__ import annotations

import hashlib
import json
import posixpath
import tarfile
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.chunks import Reading, produced

_BUFFER = 1 << 20
_KINDS = (
    ("file", tarfile.TarInfo.isreg),
    ("directory", tarfile.TarInfo.isdir),
    ("symlink", tarfile.TarInfo.issym),
    ("hardlink", tarfile.TarInfo.islnk),
    ("fifo", tarfile.TarInfo.isfifo),
    ("device", tarfile.TarInfo.isdev),
)


class Total:
    """What a listing adds up to: entries, files, and the bytes of those."""

    def __init__(self) -> None:
        self.entries = 0
        self.files = 0
        self.bytes = 0
        #: Mode, owner and group of the archive's own directory, where it has one.
        self.root: dict[str, t.Any] | None = None


def listed(archive: t.Iterable[bytes], listing: t.BinaryIO, total: Total) -> t.Iterator[bytes]:
    """The archive's bytes as they are, while ``listing`` and ``total`` are written; complete once it is exhausted.

    :raises IntegrityError: it is no archive, or names what lies outside of it.
    """

    def work(put: t.Callable[[bytes], None]) -> None:
        source = _Passing(archive, put)
        try:
            with tarfile.open(fileobj=t.cast(t.Any, source), mode="r|", bufsize=_BUFFER) as opened:
                _list(opened, listing, total)
        except tarfile.TarError as error:
            raise IntegrityError(
                "what the pod sent is no archive", expected="the output of tar", found=str(error)
            ) from None
        source.drain()

    return produced(work)


class _Passing:
    """A file for tarfile that hands on all that is read of it."""

    def __init__(self, chunks: t.Iterable[bytes], put: t.Callable[[bytes], None]) -> None:
        self._reading = Reading(iter(chunks))
        self._put = put

    def read(self, size: int) -> bytes:
        data = self._reading.read(size)
        if data:
            self._put(data)
        return data

    def drain(self) -> None:
        while self.read(_BUFFER):
            pass


def _list(opened: tarfile.TarFile, listing: t.BinaryIO, total: Total) -> None:
    while True:
        member = opened.next()
        if member is None:
            return
        # tarfile remembers every member otherwise.
        t.cast(t.Any, opened).members = []
        entry = _described(member)
        if entry["kind"] == "file":
            content = opened.extractfile(member)
            digest = hashlib.sha256()
            while content is not None:
                piece = content.read(_BUFFER)
                if not piece:
                    break
                digest.update(piece)
            entry["sha256"] = digest.hexdigest()
            total.files += 1
            total.bytes += member.size
        if entry["path"] == ".":
            total.root = {key: entry[key] for key in ("mode", "uid", "gid")}
        total.entries += 1
        listing.write(json.dumps(entry, sort_keys=True, ensure_ascii=True).encode() + b"\n")


def _described(member: tarfile.TarInfo) -> dict[str, t.Any]:
    kind = next((name for name, fits in _KINDS if fits(member)), "other")
    path = posixpath.normpath(member.name)
    if path.startswith(("/", "../")) or path == "..":
        raise IntegrityError(
            "an archive names what lies outside of its volume", expected="paths below it", found=repr(member.name[:200])
        )
    entry: dict[str, t.Any] = {"path": path, "kind": kind, "mode": member.mode, "uid": member.uid, "gid": member.gid}
    if kind == "file":
        entry["size"] = member.size
    if kind == "symlink":
        entry["link"] = member.linkname
        del entry["mode"]  # of a link it means nothing, and systems differ in what they say
    if kind == "hardlink":
        # Which of its names comes first depends on the directory's order: as the same file under another name.
        entry["link"] = posixpath.normpath(member.linkname)
    if kind in ("file", "directory") and path != ".":
        entry["mtime"] = int(member.mtime)
    return entry


def differences(expected: t.Iterable[bytes], found: t.Iterable[bytes], limit: int = 20) -> list[str]:
    """How one listing differs from another, in words, at most ``limit`` of them; empty when they agree.

    Which of several hard links is called the file is left open, as archives leave it open.
    """
    wanted, present = _by_path(expected), _by_path(found)
    words = []
    for path in sorted(wanted.keys() | present.keys()):
        if path not in present:
            words.append(f"{path} is missing")
        elif path not in wanted:
            words.append(f"{path} is one too many")
        elif wanted[path] != present[path]:
            words.append(f"{path} is another")
        if len(words) == limit:
            break
    return words


def _by_path(listing: t.Iterable[bytes]) -> dict[str, bytes]:
    """A short hash of each entry but its path; a hard link has that of the file that it is a name of."""
    found: dict[str, bytes] = {}
    links = []
    for line in listing:
        entry = json.loads(line)
        path = entry.pop("path")
        if entry["kind"] == "hardlink":
            links.append((path, entry["link"]))
        else:
            found[path] = hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).digest()[:16]
    for path, target in links:
        found[path] = found.get(target, b"")
    return found
