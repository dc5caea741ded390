# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Authorities and certificates of all characters: expired, too young, self-signed, for others, in long chains."""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
import pathlib
import ssl
import typing as t

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_PEM = serialization.Encoding.PEM


@dataclasses.dataclass(frozen=True)
class Issued:
    """A certificate with its key, and what issued it (None for a self-signed one)."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    issuer: Issued | None

    def issue(
        self,
        common_name: str,
        names: t.Sequence[str] = (),
        days: tuple[float, float] = (-10, 90),
        authority: bool = False,
    ) -> Issued:
        """:arg days: from when to when it is valid, counted from now. :arg names: hosts and addresses that it is for."""
        return _make(common_name, names, days, authority, self)

    def pem(self) -> bytes:
        return self.certificate.public_bytes(_PEM)

    def chain(self) -> list[Issued]:
        """It and what is above it, without the root."""
        found, place = [self], self.issuer
        while place is not None and place.issuer is not None:
            found.append(place)
            place = place.issuer
        return found

    def files(self, sent: t.Sequence[Issued] | None = None) -> tuple[bytes, bytes]:
        """What a server sends, by default the whole chain, and its key: two PEM files."""
        key = self.key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return b"".join(one.pem() for one in (self.chain() if sent is None else sent)), key

    def context(self, directory: pathlib.Path, sent: t.Sequence[Issued] | None = None) -> ssl.SSLContext:
        """Of a server that has it."""
        path = directory / f"{self.certificate.serial_number}.pem"
        path.write_bytes(b"".join(self.files(sent)))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def self_signed(
    common_name: str, names: t.Sequence[str] = (), days: tuple[float, float] = (-10, 90), authority: bool = True
) -> Issued:
    return _make(common_name, names, days, authority, None)


def _make(
    common_name: str, names: t.Sequence[str], days: tuple[float, float], authority: bool, issuer: Issued | None
) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    signer = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if authority:
        # Since Python 3.13 an authority that does not say what its key is for is refused.
        unused = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only")
        usage = dict.fromkeys((*unused, "decipher_only"), False)
        builder = builder.add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, **usage), critical=True
        )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
    return Issued(builder.sign(signer, hashes.SHA256()), key, issuer)


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
