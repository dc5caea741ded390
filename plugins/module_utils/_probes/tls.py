# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tls kind: a chain that validates, its host name, how long it stays valid, its age, the protocol's version."""

from __future__ import annotations

import dataclasses
import shlex
import socket
import ssl
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration, parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._probes.certificate import (
    EXPIRED,
    Certificate,
    chains,
    listed,
    read_certificate,
    why_invalid,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.conversation import (
    START_TLS,
    Conversation,
    Misunderstanding,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Check,
    Kind,
    Option,
    Reading,
    choice,
    integer,
    number,
    text,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.expectation import shown
from ansible_collections.sre.runbooks.plugins.module_utils._probes.http_connection import why
from ansible_collections.sre.runbooks.plugins.module_utils._probes.tls_options import TLS_OPTIONS

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
#: What OpenSSL says of an answer that is no TLS at all.
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG")


@dataclasses.dataclass
class _Shaken:
    """What a handshake brought to light."""

    version: str
    cipher: str
    sent: list[Certificate]
    verified: list[Certificate]
    latency_s: float


class TlsCheck(Check):
    libraries = ("cryptography.x509",)

    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        self._session = session
        self._options = options
        self._host, self._port = options["host"], options["port"]
        self._name: str = options["server_name"] or self._host
        self._context = session.tls_context(options)
        wanted = f"a certificate that validates for {self._name}" if options["validate_certs"] else "a certificate"
        self.expected = f"{wanted}, valid for {options['days']:g} more days, {options['minimum_version']} or newer"
        if options["maximum_age"] is not None:
            self.expected += f", not older than {format_duration(options['maximum_age'])}"
        command = f"openssl s_client -connect {shlex.quote(f'{self._host}:{self._port}')} -showcerts"
        command += f" -servername {shlex.quote(self._name)}"
        self.hint = command + (f" -starttls {options['starttls']}" if options["starttls"] else "") + " </dev/null"

    async def ask(self) -> Reading:
        invalid: OSError | None = None
        try:
            try:
                found = await self._shake_hands(self._context)
            except (ssl.SSLError, ConnectionResetError) as error:
                if isinstance(error, ssl.SSLError) and error.reason in _NO_TLS:
                    raise
                # Once more, believing everything: what there is, is to be seen all the same.
                invalid = error
                found = await self._shake_hands(_lenient(self._options))
        except ssl.SSLError as error:
            words = _told(error) + (": what answers does not speak TLS" if error.reason in _NO_TLS else "")
            return self.reading("failed", "no TLS connection", words)
        except Misunderstanding as error:
            return self.reading("failed", "no TLS connection", str(error))
        except InvalidInput as error:
            return self.reading("failed", "no certificate", error.message)
        except OSError as error:
            return self.reading("failed", "no TLS connection", _told(error))
        return self._judge(found, invalid)

    async def _shake_hands(self, context: ssl.SSLContext) -> _Shaken:
        started = time.perf_counter()
        way = START_TLS.get(self._options["starttls"])
        connect = self._session.connections.connect
        _, conversation = await connect(
            Conversation, self._host, self._port, None if way else context, None if way else self._name
        )
        try:
            if way is not None:
                await way(conversation, socket.gethostname())
                secured = await conversation.upgrade(context, self._name)
            else:
                secured = conversation.transport.get_extra_info("ssl_object")
            latency = time.perf_counter() - started
            sent, verified = chains(secured)
            return _Shaken(
                version=secured.version() or "?",
                cipher=(secured.cipher() or ("?",))[0],
                sent=[read_certificate(der) for der in sent],
                verified=[read_certificate(der) for der in verified],
                latency_s=latency,
            )
        finally:
            conversation.close()

    def _judge(self, found: _Shaken, invalid: OSError | None) -> Reading:
        if not found.sent:
            return self.reading("failed", found.version, "the server presents no certificate")
        now, leaf = _clock.now(), found.sent[0]
        # Of a path that validates, each part has to live on; of what is only sent, nobody knows what is needed.
        path = found.verified if invalid is None and self._options["validate_certs"] else []
        first = min(path or [leaf], key=lambda one: one.not_after)
        left, age = first.days_left(now), leaf.age_days(now)
        whose = "" if first.subject == leaf.subject else f" (that of {shown(first.subject)})"
        names = listed(leaf.names) or "no host"
        measured = f"{shown(leaf.subject)} for {names}, ends in {left:.1f} days{whose}, {found.version}"
        values: dict[str, t.Any] = {
            "validates": invalid is None and self._options["validate_certs"],
            "subject": leaf.subject,
            "issuer": leaf.issuer,
            "names": list(leaf.names[:50]),
            "not_before": _clock.format_time(leaf.not_before),
            "not_after": _clock.format_time(first.not_after),
            "days_left": round(left, 3),
            "age_days": round(age, 3),
            "key": leaf.key,
            "version": found.version,
            "cipher": found.cipher,
            "chain": [one.subject for one in found.sent[:20]],
            "chain_length": len(found.sent),
            "latency_s": round(found.latency_s, 6),
        }
        problems = self._handshake_problems(found, invalid) + self._age_problems(invalid, left, age, whose)
        if not problems:
            return self.reading("ok", measured, "as expected", **values)
        outcome = "failed" if any(one == "failed" for one, _ in problems) else "warning"
        return self.reading(outcome, measured, "; ".join(words for _, words in problems), **values)

    def _handshake_problems(self, found: _Shaken, invalid: OSError | None) -> list[tuple[str, str]]:
        """What is wrong with the chain and the protocol: outcomes and words."""
        leaf, problems = found.sent[0], []
        if isinstance(invalid, ssl.SSLCertVerificationError):
            problems.append(("failed", why_invalid(invalid, found.sent, self._name, _clock.now())))
        elif invalid is not None and _newness(found.version) < _newness("TLSv1.2"):
            problems.append(("failed", f"it speaks nothing newer than {found.version}"))
        elif invalid is not None:
            problems.append(("failed", _told(invalid)))
        elif _newness(found.version) < _newness(self._options["minimum_version"]):
            problems.append(("failed", f"it speaks {found.version}"))
        if self._options["validate_certs"] and invalid is None and not leaf.names:
            # OpenSSL still takes the common name for the host's.
            problems.append(("warning", "it names no host (subjectAltName), so that browsers and Go refuse it"))
        if len(found.sent) > self._options["maximum_chain"]:
            problems.append(("failed", f"the chain is too long: {len(found.sent)} certificates"))
        return problems

    def _age_problems(self, invalid: OSError | None, left: float, age: float, whose: str) -> list[tuple[str, str]]:
        """What is wrong with its times. Days: how many are left of what ends first, and since its own was made."""
        options, problems = self._options, []
        told = isinstance(invalid, ssl.SSLCertVerificationError) and invalid.verify_code == EXPIRED
        if not told and left < max(options["warning_days"], options["days"]):
            words = f"expired {-left:.1f} days ago" if left < 0 else f"ends in {left:.1f} days"
            problems.append(("failed" if left < options["days"] else "warning", words + whose))
        if options["maximum_age"] is not None and age * 86400 > options["maximum_age"]:
            problems.append(("failed", f"it was made {age:.1f} days ago"))
        return problems


def _told(error: OSError) -> str:
    """What went wrong with a handshake."""
    if isinstance(error, ssl.SSLError):
        return "TLS: " + (error.reason or str(error)).replace("_", " ").lower()[:200]
    if isinstance(error, ConnectionResetError):
        return "the connection was closed in the middle of the handshake"
    return why(error)


def _newness(version: str) -> int:
    return _VERSIONS.index(version) if version in _VERSIONS else -1


def _lenient(options: dict[str, t.Any]) -> ssl.SSLContext:
    """For looking alone: nothing is believed that comes this way."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    if options["client_cert"]:
        context.load_cert_chain(options["client_cert"], options["client_key"])
    return context


TLS = Kind(
    name="tls",
    options={
        "host": Option(text, required=True),
        "port": Option(integer(1, 65535), default=443),
        "server_name": Option(text),
        "starttls": Option(choice(*sorted(START_TLS))),
        "days": Option(number, default=7.0),
        "warning_days": Option(number, default=30.0),
        "maximum_age": Option(parse_duration),
        "minimum_version": Option(choice(*_VERSIONS[2:]), default="TLSv1.2"),
        "maximum_chain": Option(integer(1, 100), default=10),
        **TLS_OPTIONS,
    },
    prepare=TlsCheck,
    target=lambda options: f"{options['host']}:{options['port']}",
)
