# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The header of an age file (age-encryption.org/v1): read, opened, and written anew for other recipients.

An age file is a header, which holds one random file key wrapped for each recipient, and a payload encrypted with that
file key. A new header for the same file key before the unchanged payload is a valid age file for other recipients:
keys are rotated by writing a few hundred bytes, whatever the size of the payload.

Headers come from the repository: they are not trusted, and bounded.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import typing as t
from dataclasses import dataclass

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.age_keys import (
    KEY_LENGTH,
    X25519Identity,
    public_key,
    recipient_key,
    x25519,
)

#: The most bytes that a header may have: about a hundred recipients of the largest kind.
HEADER_LIMIT = 1 << 16
#: Bytes of the random nonce between header and payload, and of a payload's chunk as stored (with its tag).
NONCE_LENGTH = 16
CHUNK_LENGTH = (1 << 16) + 16

_VERSION = b"age-encryption.org/v1\n"
_X25519 = "X25519"
_X25519_INFO = b"age-encryption.org/v1/X25519"
_WORD = re.compile(rb"[!-~]+")
_COLUMNS = 64  # letters in each line of a stanza's body but the last, which is shorter
_FILE_KEY_LENGTH = 16
_MAC_LENGTH = 32


class HeaderCutOff(IntegrityError):
    """The bytes end before the header does: more of them are needed, or there are no more."""


@dataclass(frozen=True)
class Stanza:
    """The file key wrapped for one recipient (or grease, or another kind's): its kind, arguments and body."""

    kind: str
    arguments: tuple[str, ...]
    body: bytes


@dataclass(frozen=True)
class Header:
    """A header as read. ``length`` in bytes, the line feed at its end included."""

    stanzas: tuple[Stanza, ...]
    mac: bytes
    authenticated: bytes
    length: int


def read_header(data: bytes) -> Header:
    """The header at the beginning of ``data``, which may go on with anything.

    :raises HeaderCutOff: ``data`` ends before the header does.
    :raises IntegrityError: this is no header, or one longer than :data:`HEADER_LIMIT`.
    """
    if not data.startswith(_VERSION):
        cut = _VERSION.startswith(data)
        raise _cut_off() if cut else _damaged("an age file of version 1", "something else at its beginning")
    lines = _Lines(data[:HEADER_LIMIT], len(_VERSION), len(data) >= HEADER_LIMIT)
    stanzas = []
    while True:
        began = lines.position
        line = lines.next()
        if line.startswith(b"-> "):
            words = line[3:].split(b" ")
            if not all(_WORD.fullmatch(word) for word in words):
                raise _damaged("a stanza of printable words", "another character")
            kind, *arguments = (word.decode("ascii") for word in words)
            stanzas.append(Stanza(kind, tuple(arguments), _body(lines)))
        elif line.startswith(b"--- "):
            mac = _base64(line[4:])
            if len(mac) != _MAC_LENGTH or not stanzas:
                raise _damaged("stanzas and an authentication code of 32 bytes", "something else")
            return Header(tuple(stanzas), mac, data[: began + 3], lines.position)
        else:
            raise _damaged("a stanza or the header's end", "another line")


def open_header(header: Header, identities: t.Iterable[X25519Identity]) -> tuple[bytes, X25519Identity] | None:
    """The file key, which is secret, and the identity that it is wrapped for; None when it is for none of them.

    :raises IntegrityError: an identity fits and the header was changed since: its authentication code is wrong.
    """
    for identity in identities:
        for stanza in header.stanzas:
            if stanza.kind == _X25519:
                file_key = _unwrap(stanza, identity)
                if file_key is not None:
                    if not hmac.compare_digest(_mac(file_key, header.authenticated), header.mac):
                        raise _damaged("a header as it was written", "another authentication code")
                    return file_key, identity
    return None


def write_header(file_key: bytes, recipients: t.Sequence[str]) -> bytes:
    """A header that wraps ``file_key`` for X25519 recipients, with fresh randomness.

    :raises InvalidInput: no recipient is given, or one of another kind.
    """
    if not recipients or len(file_key) != _FILE_KEY_LENGTH:
        raise InvalidInput("nothing to write a header for", expected="recipients and a file key", found="none")
    written = bytearray(_VERSION)
    for recipient in recipients:
        public = recipient_key(recipient)
        if public is None:
            raise InvalidInput(
                "a header cannot be rewritten for this recipient",
                expected="an X25519 recipient: age1…, 62 letters",
                found=recipient[:80],
            )
        share, body = _wrap(file_key, public)
        written += b"-> X25519 %s\n%s\n" % (_letters(share), _letters(body))
    written += b"---"
    return bytes(written) + b" " + _letters(_mac(file_key, bytes(written))) + b"\n"


def open_first_chunk(file_key: bytes, payload: bytes, payload_length: int) -> bytes:
    """The content of the payload's first chunk: proof that this file key belongs to this payload.

    :arg payload: what follows the header, from its nonce on; as much as there is of ``NONCE_LENGTH + CHUNK_LENGTH``.
    :arg payload_length: bytes that follow the header altogether.
    :raises IntegrityError: it does not decrypt.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    nonce, chunk = payload[:NONCE_LENGTH], payload[NONCE_LENGTH : NONCE_LENGTH + CHUNK_LENGTH]
    last = payload_length <= NONCE_LENGTH + CHUNK_LENGTH
    try:
        # Eleven bytes count the chunks; the twelfth says whether this is the last one.
        return ChaCha20Poly1305(_derived(file_key, nonce, b"payload")).decrypt(bytes(11) + bytes([last]), chunk, None)
    except (InvalidTag, ValueError):
        raise _damaged("a payload of the header's own file key", "one that it does not open") from None


class _Lines:
    """The lines of a header, from ``position`` on."""

    def __init__(self, data: bytes, position: int, limited: bool) -> None:
        self._data = data
        self._limited = limited
        self.position = position

    def next(self) -> bytes:
        end = self._data.find(b"\n", self.position)
        if end < 0:
            raise _damaged(f"at most {HEADER_LIMIT} bytes", "more") if self._limited else _cut_off()
        line = self._data[self.position : end]
        self.position = end + 1
        return line


def _body(lines: _Lines) -> bytes:
    letters = bytearray()
    while True:
        line = lines.next()
        letters += line
        if len(line) < _COLUMNS:
            return _base64(bytes(letters))
        if len(line) > _COLUMNS:
            raise _damaged(f"lines of {_COLUMNS} letters", "a longer one")


def _unwrap(stanza: Stanza, identity: X25519Identity) -> bytes | None:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    share = _base64(stanza.arguments[0].encode()) if len(stanza.arguments) == 1 else b""
    if len(share) != KEY_LENGTH or len(stanza.body) != _FILE_KEY_LENGTH + 16:
        raise _damaged("an X25519 stanza with a share and a wrapped key", "one of another form")
    key = _wrap_key(identity.secret, share, share + identity.public)
    try:
        return ChaCha20Poly1305(key).decrypt(bytes(12), stanza.body, None)
    except InvalidTag:
        return None


def _wrap(file_key: bytes, public: bytes) -> tuple[bytes, bytes]:
    """An ephemeral share, and the file key wrapped with what only it and the recipient's secret key lead to."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    ephemeral = secrets.token_bytes(KEY_LENGTH)
    share = public_key(ephemeral)
    key = _wrap_key(ephemeral, public, share + public)
    return share, ChaCha20Poly1305(key).encrypt(bytes(12), file_key, None)


def _wrap_key(secret: bytes, public: bytes, salt: bytes) -> bytes:
    keys = x25519()
    try:
        shared = keys.X25519PrivateKey.from_private_bytes(secret).exchange(
            keys.X25519PublicKey.from_public_bytes(public)
        )
    except ValueError:  # a point of low order leads to a secret that everybody knows
        raise _damaged("a share that is a proper key", "one of low order") from None
    return _derived(shared, salt, _X25519_INFO)


def _derived(secret: bytes, salt: bytes, info: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(secret)


def _mac(file_key: bytes, authenticated: bytes) -> bytes:
    return hmac.new(_derived(file_key, b"", b"header"), authenticated, hashlib.sha256).digest()


def _letters(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def _base64(letters: bytes) -> bytes:
    """Decoded from base64 without padding, of which there is only one spelling."""
    try:
        data = base64.b64decode(letters + b"=" * (-len(letters) % 4), validate=True)
    except (ValueError, binascii.Error):
        data = b""
    if _letters(data) != letters:
        raise _damaged("base64 without padding", "something else")
    return data


def _damaged(expected: str, found: str) -> IntegrityError:
    return IntegrityError("its age header is damaged", expected=expected, found=found)


def _cut_off() -> HeaderCutOff:
    return HeaderCutOff("its age header is damaged", expected="a whole header", found="one that is cut off")
