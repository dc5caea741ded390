# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who a test cluster believes: its authority, certificates for servers and for people, and kubeconfigs."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import os
import pathlib
import typing as t

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: Names by which pods would call the API server, beside loopback.
_SERVER_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")


class Pair(t.NamedTuple):
    """Paths of a certificate and its key, PEM."""

    certificate: str
    key: str


class Authority:
    """Signs for one cluster; its key never leaves this process."""

    def __init__(self, directory: pathlib.Path) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        self.directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sre.runbooks test cluster")])
        key_usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, encipher_only=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False, decipher_only=False,
        )  # fmt: skip
        certificate = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(True, None), critical=True)
            .add_extension(key_usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.certificate = self._write("ca.crt", certificate.public_bytes(serialization.Encoding.PEM))

    def server(self, name: str) -> Pair:
        """A certificate for a server on loopback."""
        address = x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))
        names = x509.SubjectAlternativeName([*(x509.DNSName(text) for text in _SERVER_NAMES), address])
        return self._sign(name, [], ExtendedKeyUsageOID.SERVER_AUTH, names)

    def client(self, name: str, user: str, groups: t.Sequence[str] = ()) -> Pair:
        """A certificate that makes its bearer ``user`` in ``groups``."""
        return self._sign(name, [(user, groups)], ExtendedKeyUsageOID.CLIENT_AUTH, None)

    def signing_key(self, name: str) -> Pair:
        """A pair of bare keys, public (as ``certificate``) and private, for service account tokens."""
        key = ec.generate_private_key(ec.SECP256R1())
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return Pair(self._write(f"{name}.pub", public), self._write(f"{name}.key", _private(key)))

    def _sign(
        self,
        name: str,
        users: list[tuple[str, t.Sequence[str]]],
        usage: x509.ObjectIdentifier,
        names: x509.SubjectAlternativeName | None,
    ) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
        for user, groups in users:
            attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
            attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, user))
        builder = (
            self._builder(x509.Name(attributes), key.public_key())
            .add_extension(x509.BasicConstraints(False, None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if names:
            builder = builder.add_extension(names, critical=False)
        signed = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        return Pair(self._write(f"{name}.crt", signed), self._write(f"{name}.key", _private(key)))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.timezone.utc)
        return (
            x509.CertificateBuilder(subject_name=subject, issuer_name=self._name, public_key=key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=7))
        )

    def _write(self, name: str, content: bytes) -> str:
        path = self.directory / name
        write_private(path, content)
        return str(path)


def write_private(path: pathlib.Path, content: bytes) -> None:
    """For the owner's eyes only, from the first byte on."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


def kubeconfig(server: str, ca: str, user: Pair | str, namespace: str = "default") -> dict[str, t.Any]:
    """A kubeconfig with everything in it: no file beside it is needed.

    :arg user: a certificate and its key, or a bearer token.
    """
    if isinstance(user, str):
        credentials = {"token": user}
    else:
        credentials = {"client-certificate-data": _inline(user.certificate), "client-key-data": _inline(user.key)}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority-data": _inline(ca)}}],
        "users": [{"name": "test", "user": credentials}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
        "current-context": "test",
    }


def write_kubeconfig(path: pathlib.Path, content: dict[str, t.Any]) -> str:
    """As JSON, which every reader of YAML understands; its path."""
    write_private(path, json.dumps(content, indent=2).encode() + b"\n")
    return str(path)


def _inline(path: str) -> str:
    return base64.b64encode(pathlib.Path(path).read_bytes()).decode()


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    # The SEC 1 form: the only one that the server reads for keys of service accounts and for TLS alike.
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
