# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The certificates that a server presents, and what is wrong with them in words."""

from __future__ import annotations

import dataclasses
import datetime
import ssl
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput, missing_library
from ansible_collections.sre.runbooks.plugins.module_utils._probes.expectation import shown

_DAY = 86400.0
_SHOWN = 5
# X509_V_ERR_… of OpenSSL.
EXPIRED = 10
_NOT_YET_VALID, _SELF_SIGNED, _UNTRUSTED_ROOT = 9, 18, 19
_NO_ISSUER = (2, 20, 21)
_OTHER_HOST = (62, 63, 64)


@dataclasses.dataclass(frozen=True)
class Certificate:
    """:ivar names: host names and addresses that it is for. :ivar key: kind and size of its public key."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: datetime.datetime
    not_after: datetime.datetime
    self_issued: bool
    key: str

    def days_left(self, now: datetime.datetime) -> float:
        return (self.not_after - now).total_seconds() / _DAY

    def age_days(self, now: datetime.datetime) -> float:
        return (now - self.not_before).total_seconds() / _DAY


def read_certificate(der: bytes) -> Certificate:
    """Raises InvalidInput for what is no certificate, and MissingRequirement where the library is missing."""
    try:
        from cryptography import x509
    except ImportError as error:
        raise missing_library("cryptography", "cryptography 38 or newer", error) from None
    try:
        found = x509.load_der_x509_certificate(der)
        return Certificate(
            subject=_name(x509, found.subject),
            issuer=_name(x509, found.issuer),
            names=_names(x509, found),
            not_before=moment(found, "not_valid_before"),
            not_after=moment(found, "not_valid_after"),
            self_issued=found.subject == found.issuer,
            key=_key(found.public_key()),
        )
    except Exception as error:  # what a hostile server sends makes the parser raise much more than ValueError
        raise InvalidInput(f"what the server presents is no certificate: {type(error).__name__}") from None


def chains(connection: ssl.SSLObject) -> tuple[list[bytes], list[bytes]]:
    """What the server sent and, where it was verified, the path to the authority: DER, its own certificate first.

    Before Python 3.13 only a private method tells; before 3.10 nothing does, and all there is is the first one.
    """
    leaf = connection.getpeercert(binary_form=True)
    sent, verified = (_chain(connection, name) for name in ("get_unverified_chain", "get_verified_chain"))
    return sent or ([leaf] if leaf else []), verified


def _chain(connection: ssl.SSLObject, method: str) -> list[bytes]:
    if hasattr(connection, method):
        return list(getattr(connection, method)())
    ask = getattr(getattr(connection, "_sslobj", None), method, None)
    return [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in (ask() or [])] if ask is not None else []


def why_invalid(
    error: ssl.SSLCertVerificationError, sent: t.Sequence[Certificate], host: str, now: datetime.datetime
) -> str:
    """The reason in words.

    :arg sent: the certificates that the server sent, its own first; empty where they could not be had.
    """
    reason = str(error.verify_message)
    if not sent:
        return f"does not validate: {reason}"
    leaf, last = sent[0], _end_of_path(sent)
    if error.verify_code == EXPIRED:
        ended = next((one for one in sent if one.not_after < now), None)
        whose = "" if ended is leaf else f": that of {shown(ended.subject)}" if ended else ": one that was not sent"
        since = f" {-ended.days_left(now):.1f} days ago" if ended else ""
        return f"expired{since}{whose}"
    if error.verify_code == _NOT_YET_VALID:
        return f"not valid before {leaf.not_before:%Y-%m-%d %H:%M} UTC, or clocks are apart"
    if error.verify_code == _SELF_SIGNED:
        return "self-signed, and not trusted here"
    if error.verify_code == _UNTRUSTED_ROOT:
        return f"the chain ends at the self-signed {shown(last.subject)}, which is not trusted here"
    if error.verify_code in _NO_ISSUER:
        if last.self_issued:
            return f"the chain ends at {shown(last.subject)}, which is not trusted here"
        return (
            f"incomplete chain or unknown authority: the certificate of {shown(last.issuer)}, which issued that of "
            f"{shown(last.subject)}, is neither sent nor trusted here"
        )
    if error.verify_code in _OTHER_HOST:
        return f"wrong host: the certificate is for {listed(leaf.names) or shown(leaf.subject)}, not for {host}"
    return f"does not validate: {reason}"


def listed(names: t.Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN])[:300] + more


def _end_of_path(sent: t.Sequence[Certificate]) -> Certificate:
    """From the server's own certificate as far up as what it sent goes."""
    place, rest = sent[0], list(sent[1:])
    while not place.self_issued:
        above = next((one for one in rest if one.subject == place.issuer), None)
        if above is None:
            break
        rest.remove(above)
        place = above
    return place


def _name(x509: t.Any, name: t.Any) -> str:
    found = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(found[0].value if found else name.rfc4514_string())[:200]


def _names(x509: t.Any, certificate: t.Any) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    names = [*found.get_values_for_type(x509.DNSName), *found.get_values_for_type(x509.IPAddress)]
    return tuple(ascii(str(name))[1:-1] for name in names)


def moment(certificate: t.Any, name: str) -> datetime.datetime:
    """``not_valid_before`` or ``not_valid_after`` of a certificate of the library."""
    # Since cryptography 42 there is one with a time zone, and the other warns.
    aware = getattr(certificate, f"{name}_utc", None)
    return t.cast(datetime.datetime, aware or getattr(certificate, name).replace(tzinfo=datetime.timezone.utc))


def _key(key: t.Any) -> str:
    curve = getattr(getattr(key, "curve", None), "name", "")
    size = getattr(key, "key_size", "")
    return f"{type(key).__name__.strip('_').replace('PublicKey', '')} {curve or size}".strip()
