# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""age encryption through the ``age`` program (1 GB/s), else the ``pyrage`` library (160 MB/s).

Recipients are public and may show in argv. Identities are secret: they reach ``age`` through a pipe that only it
inherits, or as the path of the file in which the operator keeps them.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    IntegrityError,
    InvalidInput,
    MissingRequirement,
    RunbookError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.chunks import (
    CHUNK,
    Reading,
    Stopped,
    closing,
    produced,
    through,
)

_RECIPIENT = re.compile(r"age1[0-9a-z]{10,4000}|ssh-(ed25519|rsa) [A-Za-z0-9+/=]{20,4000}( .*)?")
_LONGEST_IDENTITY = 60_000  # bytes; must fit in a pipe's buffer, as it is written before anybody reads
#: What to do about an identity that is missing or does not fit.
NEXT = "set repository_encryption_identity_file (or SRE_RUNBOOKS_AGE_IDENTITY_FILE) to the identity of one of the recipients"
#: What to do about a further file, which only the rotation of keys takes.
_NEXT_FURTHER = (
    "correct rewrap_identity_files in the inventory, then: the same command without -e rewrap_identity_files"
)
#: How the two implementations say that none of the identities fits.
_MISMATCH = re.compile(r"no identity matched|no matching keys|incorrect identity", re.IGNORECASE)


class WrongIdentity(InvalidInput):
    """The identities given (or none) do not open this object; it says nothing about whether the object is whole."""

    kind = "wrong_identity"


@dataclass(frozen=True)
class Identities:
    """Where the secret keys are: as text (one or more ``AGE-SECRET-KEY-…`` lines or an SSH key), in files, or both."""

    identity: str | None = field(default=None, repr=False)
    file: str | None = None
    #: Further files, such as that of the old key while keys are rotated.
    more_files: t.Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.identity or self.files)

    @property
    def files(self) -> list[str]:
        return [path for path in (self.file, *self.more_files) if path]


def check_recipients(recipients: t.Sequence[str]) -> list[str]:
    """The recipients, stripped. Raises :class:`InvalidInput`, without repeating what may be a secret key."""
    clean = [recipient.strip() for recipient in recipients]
    for number, recipient in enumerate(clean, 1):
        if not _RECIPIENT.fullmatch(recipient):
            secret = "SECRET" in recipient.upper()
            raise InvalidInput(
                f"encryption recipient number {number} is not one",
                expected="a public key: age1…, or ssh-ed25519 …, or ssh-rsa …",
                found="a secret key (keep it out of the inventory)" if secret else "something else",
                next_command="print each identity's recipient with age-keygen -y, and correct repository_encryption_recipients",
            )
    return clean


def encrypt(chunks: t.Iterator[bytes], recipients: t.Sequence[str]) -> t.Iterator[bytes]:
    """Encrypt to all recipients. Raises :class:`InvalidInput`, :class:`MissingRequirement`."""
    clean = check_recipients(recipients)
    program = age_program()
    if program is not None:
        argv = [program, "--encrypt"]
        for recipient in clean:
            argv += ["--recipient", recipient]
        return through(argv, chunks, _encryption_failed)
    return _encrypt_here(age_library(), chunks, clean)


def decrypt(chunks: t.Iterator[bytes], identities: Identities) -> t.Iterator[bytes]:
    """Decrypt with whichever identity fits.

    :raises WrongIdentity: no identity was given, none fits, or the file cannot be read.
    :raises IntegrityError: the ciphertext is damaged, cut off or has something behind its end.
    """
    if not identities:
        raise WrongIdentity(
            "is encrypted and no identity was given", expected="an age identity", found="none", next_command=NEXT
        )
    program = age_program()
    if program is not None:
        return _decrypt_by_program(program, chunks, identities)
    return _decrypt_here(age_library(), chunks, identity_text(identities))


def age_program() -> str | None:
    """The path of ``age``, or None."""
    return shutil.which("age")


def age_library() -> t.Any:
    """The ``pyrage`` module. Raises :class:`MissingRequirement`."""
    try:
        import pyrage
    except ImportError:
        raise MissingRequirement(
            "encryption needs age, which is not there",
            expected="the program age on PATH, or the Python library pyrage",
            found="neither",
            next_command="ansible-playbook sre.runbooks.prepare_hosts",
        ) from None
    return pyrage


def _decrypt_by_program(program: str, chunks: t.Iterator[bytes], identities: Identities) -> t.Iterator[bytes]:
    argv = [program, "--decrypt"]
    for path in identities.files:
        _check_readable(path, identities)
        argv += ["--identity", path]
    if not identities.identity:
        yield from through(argv, chunks, _decryption_failed)
        return
    with _in_pipe(identities.identity) as descriptor:
        argv += ["--identity", f"/dev/fd/{descriptor}"]
        yield from through(argv, chunks, _decryption_failed, pass_fds=[descriptor])


@contextlib.contextmanager
def _in_pipe(secret: str) -> t.Iterator[int]:
    """A descriptor from which the secret can be read once."""
    data = secret.strip().encode() + b"\n"
    if len(data) > _LONGEST_IDENTITY:
        raise InvalidInput(
            "the age identity is too long", expected=f"at most {_LONGEST_IDENTITY} bytes", found=str(len(data))
        )
    reading, writing = os.pipe()
    try:
        try:
            os.write(writing, data)
        finally:
            os.close(writing)
        yield reading
    finally:
        os.close(reading)


def _check_readable(path: str, identities: Identities) -> None:
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise WrongIdentity(
            "the age identity file cannot be read",
            expected=path,
            found=error.strerror,
            next_command=NEXT if path == identities.file else _NEXT_FURTHER,
        ) from None


def identity_text(identities: Identities) -> str:
    """All that the identities' text and files say. Secret. Raises :class:`WrongIdentity` for an unreadable file."""
    text = identities.identity or ""
    for path in identities.files:
        _check_readable(path, identities)
        with open(path, encoding="utf-8", errors="replace") as file:
            text += "\n" + file.read(_LONGEST_IDENTITY)
    return text


def _encryption_failed(code: int, complaint: str) -> Exception:
    return RunbookError(
        "encrypting failed", expected="exit code 0 from age", found=f"exit code {code}: {_brief(complaint)}"
    )


def _decryption_failed(code: int, complaint: str) -> Exception:
    return _decryption_error(_brief(complaint) or f"exit code {code}")


def _brief(complaint: str) -> str:
    """age's own words without the lines that ask for a bug report."""
    return " ".join(line for line in complaint.splitlines() if "[ Did age" not in line and "age: report" not in line)


def _decryption_error(found: str) -> Exception:
    if _MISMATCH.search(found):
        return WrongIdentity(
            "cannot be decrypted with the identity given",
            expected="the identity of one of the recipients named in the recovery point",
            found="an identity that none of them is",
            next_command=NEXT,
        )
    if re.search(r"identity file|reading \"|malformed secret key|unknown identity", found):
        # age names the line, never the key; yet nothing of it is repeated here.
        return WrongIdentity(
            "the age identity is not one",
            expected="AGE-SECRET-KEY-1… or an SSH private key",
            found="something else",
            next_command=NEXT,
        )
    return IntegrityError("does not decrypt", expected="an age file that is whole", found=found)


def _encrypt_here(library: t.Any, chunks: t.Iterator[bytes], recipients: t.Sequence[str]) -> t.Iterator[bytes]:
    keys = []
    for number, recipient in enumerate(recipients, 1):
        kind = library.ssh if recipient.startswith("ssh-") else library.x25519
        try:
            keys.append(kind.Recipient.from_str(recipient))
        except library.RecipientError as error:
            raise InvalidInput(f"encryption recipient number {number} is not one", found=str(error)) from None
    return _in_library(chunks, lambda source, sink: library.encrypt_io(source, sink, keys), library.EncryptError)


def _decrypt_here(library: t.Any, chunks: t.Iterator[bytes], text: str) -> t.Iterator[bytes]:
    keys: list[t.Any] = []
    try:
        if "-----BEGIN" in text:
            keys.append(library.ssh.Identity.from_buffer(text.strip().encode() + b"\n"))
        else:
            lines = (line.strip() for line in text.splitlines())
            keys += [library.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except library.IdentityError:
        raise _decryption_error("malformed secret key") from None
    return _in_library(chunks, lambda source, sink: library.decrypt_io(source, sink, keys), library.DecryptError)


class _Sink:
    """What pyrage writes to: gathers its 64 KiB pieces into chunks."""

    def __init__(self, put: t.Callable[[bytes], None]) -> None:
        self._put = put
        self._waiting = bytearray()

    def write(self, data: bytes) -> int:
        self._waiting += data
        if len(self._waiting) >= CHUNK:
            self.flush()
        return len(data)

    def flush(self) -> None:
        if self._waiting:
            self._put(bytes(self._waiting))
            self._waiting.clear()


class _Remembering(Reading):
    """pyrage turns an exception of what it reads from into one of its own; this keeps the first."""

    error: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            return super().read(size)
        except BaseException as error:
            self.error = error
            raise


def _in_library(
    chunks: t.Iterator[bytes], call: t.Callable[[t.Any, t.Any], None], failure: type[Exception]
) -> t.Iterator[bytes]:
    def work(put: t.Callable[[bytes], None]) -> None:
        source, sink = _Remembering(chunks), _Sink(put)
        try:
            with closing(chunks):
                call(source, sink)
        except Stopped:
            raise
        except Exception as error:
            if source.error is not None:
                raise source.error from None
            if isinstance(error, (failure, OSError)):
                raise _decryption_error(str(error)) from None
            raise
        sink.flush()

    return produced(work)
