# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""age's X25519 keys in their text form (bech32): what a recipient or an identity file says."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput, MissingRequirement

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_RECIPIENT, _IDENTITY = "age", "age-secret-key-"
#: Length in bytes of every X25519 key.
KEY_LENGTH = 32


@dataclass(frozen=True)
class X25519Identity:
    """A secret key, the public one that belongs to it, and the recipient as an inventory names it."""

    secret: bytes = field(repr=False)
    public: bytes = field(repr=False)
    recipient: str

    def text(self) -> str:
        """As an identity file holds it. Secret."""
        return _bech32(_IDENTITY, self.secret).upper()


def recipient_key(recipient: str) -> bytes | None:
    """The public key of ``age1…``, or None for a recipient of another kind (ssh, a plugin's)."""
    return _decoded(recipient.strip(), _RECIPIENT)


def identities_in(text: str) -> tuple[list[X25519Identity], bool]:
    """The X25519 identities among the lines of an identity file, and whether there is anything else that may be one.

    :raises InvalidInput: a line begins as an X25519 identity and is none; it is not repeated.
    """
    found: list[X25519Identity] = []
    others = False
    for number, line in enumerate(text.splitlines(), 1):
        word = line.strip()
        if not word or word.startswith("#"):
            continue
        if not word.upper().startswith("AGE-SECRET-KEY-1"):
            others = True
            continue
        secret = _decoded(word, _IDENTITY)
        if secret is None:
            raise InvalidInput(
                "an age identity is damaged",
                expected="AGE-SECRET-KEY-1…, whole",
                found=f"something else in line {number}",
            )
        identity = _identity(secret)
        if identity not in found:
            found.append(identity)
    return found, others


def _identity(secret: bytes) -> X25519Identity:
    public = public_key(secret)
    return X25519Identity(secret, public, _bech32(_RECIPIENT, public))


def public_key(secret: bytes) -> bytes:
    """The public key that belongs to a secret one. Raises :class:`MissingRequirement`."""
    key = x25519().X25519PrivateKey.from_private_bytes(secret).public_key()
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return t.cast(bytes, key.public_bytes(Encoding.Raw, PublicFormat.Raw))


def x25519() -> t.Any:
    """The library's X25519. Raises :class:`MissingRequirement`."""
    try:
        from cryptography.hazmat.primitives.asymmetric import x25519 as found
    except ImportError:
        raise MissingRequirement(
            "looking into age headers needs the Python library cryptography",
            expected="cryptography 38 or newer",
            found="none",
            next_command="ansible-playbook sre.runbooks.prepare_hosts",
        ) from None
    return found


def _decoded(text: str, kind: str) -> bytes | None:
    """The 32 bytes behind bech32 ``text`` of that kind, or None."""
    if text not in (text.lower(), text.upper()):
        return None
    text = text.lower()
    prefix, separator, data = text.rpartition("1")
    if not separator or prefix != kind or len(data) != 58 or any(letter not in _ALPHABET for letter in data):
        return None
    values = [_ALPHABET.index(letter) for letter in data]
    if _checksum(prefix, values) != 1:
        return None
    number = 0
    for value in values[:-6]:
        number = number << 5 | value
    # 52 letters hold 260 bits: 256 of the key, and four that are zero.
    return None if number & 15 else (number >> 4).to_bytes(KEY_LENGTH, "big")


def _bech32(prefix: str, key: bytes) -> str:
    number = int.from_bytes(key, "big") << 4
    values = [number >> shift & 31 for shift in range(255, -1, -5)]
    check = _checksum(prefix, values + [0] * 6) ^ 1
    values += [check >> shift & 31 for shift in range(25, -1, -5)]
    return f"{prefix}1{''.join(_ALPHABET[value] for value in values)}"


def _checksum(prefix: str, values: t.Sequence[int]) -> int:
    """BIP 173's polynomial over the prefix and the values; 1 says that the checksum at their end fits."""
    check = 1
    for value in [ord(letter) >> 5 for letter in prefix] + [0] + [ord(letter) & 31 for letter in prefix] + list(values):
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATORS):
            check ^= generator if top >> bit & 1 else 0
    return check
