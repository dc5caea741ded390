# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signatures that ``minisign -V`` checks by hand: ed25519 over the BLAKE2b hash of a document, beside it as ``.minisig``.

A repository handle that carries a :class:`Signer` signs what is written through it; one that carries a :class:`Trust`
believes only what it should. The formats are those of https://jedisct1.github.io/minisign/.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import secrets
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    IntegrityError,
    InvalidInput,
    MissingRequirement,
    ObjectMissing,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import DOCUMENT_LIMIT
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository, open_repository

if t.TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import Store

#: What is appended to a document's key.
SUFFIX = ".minisig"
#: The most bytes that a signature or a key may have.
SIGNATURE_LIMIT = 4096
_COMMENT = "untrusted comment: "
_TRUSTED = "trusted comment: "
_KEY, _PREHASHED = b"Ed", b"ED"
_NOT_ENCRYPTED = b"\0\0"
_SECRET_LENGTH = 158


@dataclasses.dataclass(frozen=True)
class PublicKey:
    """``RW...``: whose signatures are believed."""

    key_id: bytes
    key: bytes

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """A public key, or the text of its file. Raises :class:`InvalidInput`."""
        content = _decoded(_payload(text), "a minisign public key")
        if len(content) != 42 or content[:2] != _KEY:
            raise InvalidInput("not a minisign public key", expected="RW and 54 more characters", found=repr(text[:80]))
        return cls(content[2:10], content[10:])

    def __str__(self) -> str:
        return base64.b64encode(_KEY + self.key_id + self.key).decode()

    @property
    def name(self) -> str:
        """As minisign prints it."""
        return key_name(self.key_id)

    def opened(self) -> Ed25519PublicKey:
        with _Requirement():
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

            return Ed25519PublicKey.from_public_bytes(self.key)


class Signer:
    """Signs with the secret key in a minisign file that has no password."""

    def __init__(self, text: str) -> None:
        """Raises :class:`InvalidInput` without repeating any of ``text``."""
        content = _decoded(_payload(text), "a minisign secret key")
        if len(content) != _SECRET_LENGTH or content[:2] != _KEY:
            raise InvalidInput("not a minisign secret key", expected="a file as minisign -G writes it", found="another")
        if content[2:4] != _NOT_ENCRYPTED:
            raise InvalidInput(
                "the signing key has a password",
                expected="one without, since nothing here can ask",
                found="an encrypted key",
                next_command="minisign -C -W -s KEY takes the password off; keep the file's mode 0600",
            )
        self.public_key = PublicKey(content[54:62], content[94:126])
        with _Requirement():
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
            from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

            self._key: Ed25519PrivateKey = Ed25519PrivateKey.from_private_bytes(content[62:94])
            if self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw) != self.public_key.key:
                raise InvalidInput(
                    "not a minisign secret key", expected="one that fits its public half", found="another"
                )

    def sign(self, content: bytes, name: str) -> bytes:
        """The text of ``<name>.minisig``."""
        signature = self._key.sign(hashlib.blake2b(content).digest())
        trusted = f"timestamp:{int(time.time())}\tfile:{name}\thashed"
        whole = self._key.sign(signature + trusted.encode())
        lines = [
            f"{_COMMENT}signature from the secret key {self.public_key.name}",
            base64.b64encode(_PREHASHED + self.public_key.key_id + signature).decode(),
            _TRUSTED + trusted,
            base64.b64encode(whole).decode(),
        ]
        return ("\n".join(lines) + "\n").encode()


@dataclasses.dataclass(frozen=True)
class Trust:
    """Whose signatures are believed, and whether what bears none is refused."""

    keys: tuple[PublicKey, ...]
    required: bool

    def check(self, store: Store, key: str, content: bytes) -> str | None:
        """The name of the key that signed the document ``content`` at ``key``; None for an unsigned one.

        Raises :class:`ForgedSignature`, and :class:`Unsigned` where a signature is required.
        """
        try:
            signature = store.read(key + SUFFIX, SIGNATURE_LIMIT)
        except ObjectMissing:
            if not self.required:
                return None
            raise Unsigned(
                f"{key} bears no signature",
                expected=f"{key}{SUFFIX} by one of {', '.join(each.name for each in self.keys)}",
                found="none, and require_signature is set",
                next_command="choose another recovery point, or find out who wrote this one",
            ) from None
        return self.verify(content, signature, key)

    def check_at(self, store: Store, key: str) -> str | None:
        """As :meth:`check`, reading the document too."""
        return self.check(store, key, store.read(key, DOCUMENT_LIMIT))

    def verify(self, content: bytes, signature: bytes, key: str) -> str:
        """The name of the key that signed ``content``. Raises :class:`ForgedSignature`."""
        key_id, over_hash, trusted, over_comment = _signature_parts(signature, key)
        for public in self.keys:
            if public.key_id == key_id:
                opened = public.opened()
                if _fits(opened, over_hash, hashlib.blake2b(content).digest()) and _fits(
                    opened, over_comment, over_hash + trusted
                ):
                    return public.name
                raise _forged(key, f"a signature that names {public.name} and does not fit the content")
        raise _forged(key, f"one by the key {key_name(key_id)}, which nobody here trusts")


class ForgedSignature(IntegrityError):
    """A signature that is not that of a trusted key over this content."""


class Unsigned(IntegrityError):
    """No signature where one is required."""


def with_signing(repository: Repository, params: t.Mapping[str, t.Any]) -> Repository:
    """The repository, signing and believing as the options of the fragment ``sre.runbooks.signing`` say.

    Raises :class:`InvalidInput`, :class:`MissingRequirement`.
    """
    keys = tuple(PublicKey.parse(text) for text in params.get("signing_public_keys") or ())
    required = bool(params.get("require_signature"))
    if required and not keys:
        raise InvalidInput(
            "signatures are required and no key is trusted",
            expected="signing_public_keys with at least one key",
            found="none",
            next_command="set repository_signing_public_keys in the inventory; sre.runbooks.signing_key returns them",
        )
    text = params.get("signing_key") or _read_key(params.get("signing_key_file"))
    signer = Signer(text) if text else None
    if signer is not None and keys and signer.public_key not in keys:
        raise InvalidInput(
            "the signing key is not among those that are trusted",
            expected=f"one of {', '.join(key.name for key in keys)}",
            found=signer.public_key.name,
            next_command=f"add {signer.public_key} to repository_signing_public_keys in the inventory",
        )
    return dataclasses.replace(repository, signer=signer, trust=Trust(keys, required) if keys else None)


def open_signed(params: t.Mapping[str, t.Any]) -> Repository:
    """The repository that the options of the fragments ``sre.runbooks.repository`` and ``sre.runbooks.signing`` mean.

    Raises as :func:`open_repository` and :func:`with_signing`.
    """
    return with_signing(open_repository(params["repository"], params["environment_name"], params["s3"]), params)


def create_signed(repository: Repository, key: str, content: bytes) -> None:
    """Create the document at ``key``, and before it its signature where the repository's handle signs."""
    if repository.signer is not None:
        repository.store.create(key + SUFFIX, repository.signer.sign(content, key.rpartition("/")[2]))
    repository.store.create(key, content)


def generate_key() -> tuple[str, PublicKey]:
    """The text of a new secret key's file, as ``minisign -G -W`` writes it, and its public key."""
    with _Requirement():
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

        key = Ed25519PrivateKey.generate()
        secret = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        public = PublicKey(secrets.token_bytes(8), key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    content = _KEY + _NOT_ENCRYPTED + b"B2" + bytes(48) + public.key_id + secret + public.key + bytes(32)
    return f"{_COMMENT}minisign secret key {public.name}\n{base64.b64encode(content).decode()}\n", public


def key_name(key_id: bytes) -> str:
    """A key's number in 16 hexadecimal digits."""
    return f"{int.from_bytes(key_id, 'little'):016X}"


def _read_key(path: str | None) -> str | None:
    if not path:
        return None
    try:
        with open(path, encoding="ascii", errors="replace") as source:
            return source.read(SIGNATURE_LIMIT)
    except OSError as error:
        raise InvalidInput(
            "the signing key cannot be read",
            expected=f"a minisign secret key in {path}",
            found=str(error.strerror),
            next_command=f"ls -l {path}",
        ) from None


def _payload(text: str) -> str:
    """The line that matters of a key's file, or the bare key."""
    lines = [line.strip() for line in text.strip().splitlines()]
    return next((line for line in lines if line and not line.startswith(_COMMENT)), "")


def _decoded(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput(f"not {what}", expected="base64", found="something else") from None


def _signature_parts(signature: bytes, key: str) -> tuple[bytes, bytes, bytes, bytes]:
    lines = signature.split(b"\n")
    trusted = _TRUSTED.encode()
    try:
        if (
            len(lines) != 5
            or lines[4]
            or not lines[0].startswith(_COMMENT.encode())
            or not lines[2].startswith(trusted)
        ):
            raise ValueError
        first, last = (base64.b64decode(lines[number], validate=True) for number in (1, 3))
        # Base64 has bits to spare before its padding: no changed byte passes there either.
        if [base64.b64encode(first), base64.b64encode(last)] != [lines[1], lines[3]]:
            raise ValueError
        if len(first) != 74 or len(last) != 64 or first[:2] != _PREHASHED:
            raise ValueError
    except (binascii.Error, ValueError):
        raise _forged(key, "something that is no minisign signature over a hash") from None
    return first[2:10], first[10:], lines[2][len(trusted) :], last


def _fits(key: Ed25519PublicKey, signature: bytes, content: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, content)
    except InvalidSignature:
        return False
    return True


def _forged(key: str, found: str) -> ForgedSignature:
    return ForgedSignature(
        f"the signature of {key} is not to be believed",
        expected="the signature of a trusted key over exactly this content",
        found=found,
        next_command="keep the repository as it is for the inquiry, and choose a recovery point whose signature holds",
    )


class _Requirement:
    """Says which library is missing, in place of an ImportError."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, ImportError):
            raise MissingRequirement(
                "signatures need the Python library cryptography",
                expected="cryptography 38 or newer",
                found=str(error),
                next_command="pip install cryptography, or apt-get install python3-cryptography",
            ) from None
