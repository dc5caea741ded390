# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An authority of its own and a certificate for loopback, for servers with TLS."""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
import os
import ssl
import typing as t

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclasses.dataclass(frozen=True)
class Certificates:
    """Paths of PEM files: the authority's certificate, the server's certificate and its key."""

    ca: str
    certificate: str
    key: str

    def context(self) -> ssl.SSLContext:
        """What a client needs to believe the server."""
        return ssl.create_default_context(cafile=self.ca)


def make_certificates(directory: str) -> Certificates:
    """Valid for a day, for localhost and 127.0.0.1; the directory is created."""
    os.makedirs(directory, mode=0o755)
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name, name = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in ("sre.runbooks tests", "localhost")
    )
    ca = _builder(ca_name, ca_name, ca_key).add_extension(x509.BasicConstraints(True, 0), critical=True)
    ca = ca.add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
    usage = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
    usage = {**usage, "encipher_only": False, "decipher_only": False}
    ca = ca.add_extension(
        x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, **usage), critical=True
    )
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))])
    server = _builder(name, ca_name, key).add_extension(names, critical=False)
    server = server.add_extension(x509.BasicConstraints(False, None), critical=True)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    server = server.add_extension(authority, critical=False)
    made = Certificates(*(os.path.join(directory, name) for name in ("ca.pem", "server.pem", "server.key")))
    pem = serialization.Encoding.PEM
    _write(made.ca, ca.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    _write(made.certificate, server.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    _write(
        made.key,
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    return made


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=t.cast(t.Any, key.public_key()))
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )


def _write(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
