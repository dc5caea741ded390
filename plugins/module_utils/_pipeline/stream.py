# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One object from a stream into the repository, and back: hashed, compressed, encrypted, in bounded memory.

Going in: read → sha256 of the raw bytes → zstd → age → sha256 of the stored bytes → store. Coming back, the same
backwards, and nothing counts as read until both lengths and both hashes are those of the manifest.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, InvalidInput, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.age import (
    Identities,
    WrongIdentity,
    decrypt,
    encrypt,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.chunks import (
    CHUNK,
    Reading,
    Source,
    ahead,
    closing,
    read_chunks,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.compression import (
    DEFAULT_LEVEL,
    compress,
    decompress,
    useful_workers,
)
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import StoredObject
from ansible_collections.sre.runbooks.plugins.module_utils._repository.rewraps import NewHeader, header_choices
from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import Store
from ansible_collections.sre.runbooks.plugins.module_utils._repository.stored import open_stored

__all__ = [
    "Decoded",
    "Encoding",
    "Identities",
    "WrongIdentity",
    "copy_decoded",
    "open_decoded",
    "store_stream",
    "verify_stored",
]


@dataclass(frozen=True)
class Encoding:
    """How objects are stored: zstd at ``level`` or not, and for which age recipients (none: not encrypted)."""

    compress: bool = True
    recipients: t.Sequence[str] = field(default_factory=list)
    level: int = DEFAULT_LEVEL

    @property
    def steps(self) -> list[str]:
        """As recorded in the manifest, in the order in which they were applied."""
        return ["zstd"] * self.compress + ["age"] * bool(self.recipients)

    @property
    def suffix(self) -> str:
        """For the object's name: ``.zst``, ``.age``, ``.zst.age`` or nothing."""
        return ".zst" * self.compress + ".age" * bool(self.recipients)


class _Measure:
    """Length in bytes and sha256 of what passes."""

    def __init__(self) -> None:
        self.length = 0
        self._hash = hashlib.sha256()

    def add(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self.length += len(chunk)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def over(self, chunks: t.Iterator[bytes], progress: Progress | None = None) -> t.Iterator[bytes]:
        """The chunks, measured (and counted) as they pass."""
        with closing(chunks):
            for chunk in chunks:
                self.add(chunk)
                if progress is not None:
                    progress.add(len(chunk))
                yield chunk


def store_stream(
    store: Store,
    key: str,
    name: str,
    source: Source,
    encoding: Encoding,
    progress: Progress | None = None,
    kind: str = "data",
) -> StoredObject:
    """Store everything that ``source`` holds as one object, visible only when it is whole and durable.

    The length and hash of both the raw and the stored bytes are in the result. Errors of the source, the store and
    the programs used are raised as they are, and leave no object.
    """
    raw, stored = _Measure(), _Measure()
    first = _read_full(source)
    small = len(first) < CHUNK
    chunks = raw.over(_continued(first, source, small), progress)
    if encoding.compress:
        chunks = compress(chunks if small else ahead(chunks), encoding.level, 0 if small else useful_workers())
    if encoding.recipients:
        chunks = encrypt(chunks, encoding.recipients)
    elif not small:
        chunks = ahead(chunks)
    with closing(chunks), store.writer(key) as writer:
        for chunk in chunks:
            stored.add(chunk)
            writer.write(chunk)
    return StoredObject(
        name=name,
        key=key,
        length=stored.length,
        sha256=stored.sha256,
        raw_length=raw.length,
        raw_sha256=raw.sha256,
        encoding=encoding.steps,
        kind=kind,
        version_id=writer.version_id,
    )


def _read_full(source: Source) -> bytes:
    """The first chunk, whole unless the source ends before; most objects end here and need no threads."""
    parts: list[bytes] = []
    missing = CHUNK
    while missing:
        part = source.read(missing)
        if not part:
            break
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _continued(first: bytes, source: Source, ended: bool) -> t.Iterator[bytes]:
    if first:
        yield first
    if not ended:
        yield from read_chunks(source)


class Decoded:
    """The raw bytes of a stored object. Its end is only reached when all that was read is what the manifest says."""

    def __init__(self, chunks: t.Iterator[bytes]) -> None:
        self._chunks = chunks
        self._reading = Reading(chunks)
        self._abandoned = False

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes, empty only at the end; all of the rest without a size.

        :raises IntegrityError: what is stored is not what was stored; before the last chunk is handed over.
        :raises WrongIdentity: it cannot be decrypted.
        """
        return self._reading.read(size)

    def __iter__(self) -> t.Iterator[bytes]:
        """The rest in chunks; the cheapest way to read."""
        return read_chunks(self)

    def abandon(self) -> None:
        """Leave the rest unread and unproven on purpose."""
        self._abandoned = True

    def finish(self) -> None:
        """Read what the consumer left, so that leaving the context cleanly always means: proven."""
        if not self._abandoned:
            for _chunk in self:
                pass


@contextlib.contextmanager
def open_decoded(
    store: Store,
    stored_object: StoredObject,
    identities: Identities,
    progress: Progress | None = None,
    header: NewHeader | None = None,
) -> t.Iterator[Decoded]:
    """Read an object's raw content.

    Leaving the context without an exception means that every byte, stored and raw, was what the manifest says (unless
    the reader was abandoned on purpose). Never more than ``raw_length`` bytes come out, whatever was stored.

    What its own age header does not open for is opened with the headers of the point's rewraps, the newest first.

    :arg header: try this age header only.
    :raises IntegrityError: from reading or from leaving: damaged, cut off, longer, or another object.
    :raises WrongIdentity: no identity, or none that fits.
    :raises ObjectMissing: there is no such object.
    """
    if header is None and "age" in stored_object.encoding and identities:
        chunks = _proven_somehow(store, stored_object, identities, progress)
    else:
        chunks = _proven(store, stored_object, identities, progress, header)
    with closing(chunks):
        decoded = Decoded(chunks)
        yield decoded
        decoded.finish()


def _proven_somehow(
    store: Store, stored_object: StoredObject, identities: Identities, progress: Progress | None
) -> t.Iterator[bytes]:
    """The raw chunks, decrypted with the first header that the identities open."""
    mismatch: WrongIdentity | None = None
    damage: IntegrityError | None = None
    for header, opened in header_choices(store, stored_object.key):
        chunks = _proven(store, stored_object, identities, progress, header)
        try:
            first = next(chunks, None)
        except WrongIdentity as error:
            mismatch = mismatch or error
        except IntegrityError as error:
            if header is None:
                raise
            damage = damage or error  # a forged or damaged rewrap must not stand in the way of a good one
        else:
            opened()
            with closing(chunks):
                if first is not None:
                    yield first
                    yield from chunks
            return
    if damage is not None:
        raise damage
    if mismatch is not None:
        raise mismatch


def _proven(
    store: Store,
    stored_object: StoredObject,
    identities: Identities,
    progress: Progress | None,
    header: NewHeader | None,
) -> t.Iterator[bytes]:
    """The raw chunks; the last one is held back until everything matches."""
    unknown = set(stored_object.encoding) - {"zstd", "age"}
    if unknown or len(set(stored_object.encoding)) != len(stored_object.encoding):
        raise InvalidInput(
            f"{stored_object.key} has an encoding that this version cannot read", found=str(stored_object.encoding)
        )
    stored, raw = _Measure(), _Measure()
    with contextlib.closing(open_stored(store, stored_object)) as source:
        chunks = _bounded(stored.over(read_chunks(source)), stored_object.length, "stored bytes")
        small = stored_object.length < CHUNK
        if header is not None:
            chunks = _with_header(chunks, header)
        for step in reversed(stored_object.encoding):
            chunks = chunks if small else ahead(chunks)
            chunks = decrypt(chunks, identities) if step == "age" else decompress(chunks)
        chunks = _bounded(
            chunks if small and stored_object.raw_length < CHUNK else ahead(chunks),
            stored_object.raw_length,
            "raw bytes",
        )
        held: bytes | None = None
        try:
            with closing(chunks):
                for chunk in chunks:
                    raw.add(chunk)
                    if progress is not None:
                        progress.add(len(chunk))
                    if held is not None:
                        yield held
                    held = chunk
        except (IntegrityError, WrongIdentity) as error:
            raise _explained(store, stored_object, error) from None
    _compare(stored_object, stored, "stored", stored_object.length, stored_object.sha256)
    _compare(stored_object, raw, "raw", stored_object.raw_length, stored_object.raw_sha256)
    if held is not None:
        yield held


def _with_header(chunks: t.Iterator[bytes], header: NewHeader) -> t.Iterator[bytes]:
    """The chunks with another age header in place of their own."""
    skip = header.replaces
    with closing(chunks):
        yield header.header
        for chunk in chunks:
            if skip < len(chunk):
                yield chunk[skip:]
            skip = max(0, skip - len(chunk))


def _bounded(chunks: t.Iterator[bytes], length: int, what: str) -> t.Iterator[bytes]:
    """Stop as soon as there is more than the manifest allows: a small object may decompress to anything."""
    seen = 0
    with closing(chunks):
        for chunk in chunks:
            seen += len(chunk)
            if seen > length:
                raise IntegrityError("is longer than recorded", expected=f"{length} {what}", found=f"at least {seen}")
            yield chunk


#: Up to this many bytes a wrong identity is double-checked by hashing the object: a damaged header looks the same.
_QUICK_TO_HASH = 256 << 20


def _explained(store: Store, stored_object: StoredObject, error: RunbookError) -> RunbookError:
    """The same failure with the object's name; damage to the stored bytes is the better explanation where there is any."""
    if not isinstance(error, WrongIdentity) or stored_object.length <= _QUICK_TO_HASH:
        try:
            verify_stored(store, stored_object)
        except IntegrityError as damage:
            return damage
    return type(error)(
        f"{stored_object.key} {error.message}",
        expected=error.expected,
        found=error.found,
        next_command=error.next_command,
    )


def _compare(stored_object: StoredObject, measure: _Measure, what: str, length: int, sha256: str) -> None:
    if measure.length != length:
        raise IntegrityError(
            f"{stored_object.key} is damaged: its {what} length is another",
            expected=f"{length} bytes",
            found=f"{measure.length} bytes",
            next_command="restore from another recovery point (restore_recovery_point)",
        )
    if measure.sha256 != sha256:
        raise IntegrityError(
            f"{stored_object.key} is damaged: its {what} content is another",
            expected=f"sha256 {sha256}",
            found=f"sha256 {measure.sha256}",
            next_command="restore from another recovery point (restore_recovery_point)",
        )


def verify_stored(store: Store, stored_object: StoredObject, progress: Progress | None = None) -> None:
    """Read every stored byte and compare length and sha256, without decoding (no identity needed).

    ``progress`` counts stored bytes. Raises :class:`IntegrityError`, :class:`ObjectMissing`.
    """
    stored = _Measure()
    with contextlib.closing(open_stored(store, stored_object)) as source:
        for _chunk in stored.over(read_chunks(source), progress):
            if stored.length > stored_object.length:
                break
    _compare(stored_object, stored, "stored", stored_object.length, stored_object.sha256)


def copy_decoded(
    store: Store,
    stored_object: StoredObject,
    identities: Identities,
    target_path: str,
    progress: Progress | None = None,
) -> None:
    """Write an object's raw content to a file that appears under its name only when it is proven whole.

    The file is readable by its owner only. Errors are those of :func:`open_decoded` and ``OSError``.
    """
    partial = f"{target_path}.{secrets.token_hex(4)}.part"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            with open_decoded(store, stored_object, identities, progress) as decoded:
                for chunk in decoded:
                    view = memoryview(chunk)
                    while view:
                        view = view[file.write(view) :]
        os.replace(partial, target_path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
        raise
