# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The smtp kind: greeting, TLS, offered extensions and, where asked for, a login. It never sends a mail."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import re
import shlex
import socket
import ssl
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._probes.conversation import (
    Conversation,
    Misunderstanding,
    smtp_reply,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Check,
    Kind,
    Option,
    Reading,
    choice,
    integer,
    names,
    pattern,
    text,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.expectation import shown
from ansible_collections.sre.runbooks.plugins.module_utils._probes.http_connection import why
from ansible_collections.sre.runbooks.plugins.module_utils._probes.password import PASSWORD, password_of
from ansible_collections.sre.runbooks.plugins.module_utils._probes.tls_options import TLS_OPTIONS

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

_NAME = re.compile(r"[A-Za-z0-9.\-_:\[\]]{1,255}")


@dataclasses.dataclass
class _Found:
    """How far a conversation came, and what it brought to light."""

    stage: str = "no connection"
    values: dict[str, t.Any] = dataclasses.field(default_factory=dict)


class SmtpCheck(Check):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        self._session = session
        self._options = options
        self._context = session.tls_context(options) if options["tls"] != "none" else None
        self._name: str = options["server_name"] or options["host"]
        self._banner: re.Pattern[str] | None = options["banner"]
        self._mechanisms = tuple(name.upper() for name in options["mechanisms"])
        if options["user"] is not None and self._context is None:
            raise ValueError("a login needs tls: a password is not sent in plain text")
        if options["user"] is not None and options["password"] is None and options["password_file"] is None:
            raise ValueError("user needs password_file or password")
        if options["helo"] is not None and not _NAME.fullmatch(options["helo"]):
            raise ValueError("helo must be a host name")
        wanted = {"none": "a greeting", "starttls": "STARTTLS that validates", "implicit": "TLS that validates"}
        parts = [wanted[options["tls"]] if options["validate_certs"] else f"a greeting with tls {options['tls']}"]
        if self._banner is not None:
            parts.append(f"a greeting matching {shown(self._banner.pattern)}")
        if self._mechanisms:
            parts.append(f"AUTH {' '.join(self._mechanisms)}")
        if options["user"] is not None:
            parts.append(f"a login of {options['user']}")
        if options["latency_limit"] is not None:
            parts.append(f"within {options['latency_limit']:g} s")
        self.expected = ", ".join(parts)
        place = shlex.quote(f"{options['host']}:{options['port']}")
        self.hint = {
            "none": f"nc -v {shlex.quote(options['host'])} {options['port']}",
            "starttls": f"openssl s_client -starttls smtp -crlf -connect {place}",
            "implicit": f"openssl s_client -crlf -connect {place}",
        }[options["tls"]]

    async def ask(self) -> Reading:
        started = time.perf_counter()
        found = _Found()
        # What cannot be read makes the engine say "unknown".
        password = await self._password()
        implicit = self._context if self._options["tls"] == "implicit" else None
        try:
            _, line = await self._session.connections.connect(
                Conversation, self._options["host"], self._options["port"], implicit, self._name if implicit else None
            )
            try:
                await self._talk(line, found, password)
            finally:
                line.close()
        except ssl.SSLCertVerificationError as error:
            found.stage, problem = "a certificate that does not verify", f"TLS: {error.verify_message}"
        except ssl.SSLError as error:
            found.stage, problem = "no TLS connection", f"TLS: {error.reason or error}"
        except Misunderstanding as error:
            problem = str(error)
        except OSError as error:
            problem = why(error)
        else:
            return self._judge(time.perf_counter() - started, found.values)
        return self.reading("failed", found.stage, problem, **found.values)

    async def _talk(self, line: Conversation, found: _Found, password: str | None) -> None:
        """All that is asked of it, in turn. Raises Misunderstanding and OSError, at the stage that was reached."""
        found.stage = "no greeting"
        banner = " ".join(await smtp_reply(line, "220"))[:500]
        found.values["banner"] = banner
        if self._banner is not None and not self._banner.search(banner):
            found.stage = f"greeted with {shown(banner)}"
            raise Misunderstanding("another greeting")
        found.stage = "no answer to EHLO"
        offered = await self._hello(line)
        if self._options["tls"] == "starttls":
            found.stage = "no TLS"
            if "STARTTLS" not in offered:
                raise Misunderstanding("it does not offer STARTTLS")
            line.say(b"STARTTLS\r\n")
            await smtp_reply(line, "220")
            secured = await line.upgrade(t.cast(ssl.SSLContext, self._context), self._name)
            found.values["version"] = secured.version()
            # What it offered before, anybody on the way could have written.
            offered = await self._hello(line)
        mechanisms = offered.get("AUTH", "").upper().split()[:20]
        found.values.update(extensions=sorted(offered)[:50], mechanisms=mechanisms)
        missing = [name for name in self._mechanisms if name not in mechanisms]
        if missing:
            found.stage = f"offers {' '.join(mechanisms) or 'no AUTH at all'}"
            raise Misunderstanding(f"it does not offer {' '.join(missing)}")
        if password is not None:
            found.stage = "no login"
            await self._log_in(line, mechanisms, password)
        line.say(b"QUIT\r\n")

    def _judge(self, latency: float, values: dict[str, t.Any]) -> Reading:
        values["latency_s"] = round(latency, 6)
        measured = f"greeted with {shown(values['banner'], 80)} in {latency:.3f} s"
        limit = self._options["latency_limit"]
        if limit is not None and latency > limit:
            return self.reading("failed", measured, f"slower than {limit:g} s", **values)
        return self.reading("ok", measured, "as expected", **values)

    async def _hello(self, line: Conversation) -> dict[str, str]:
        """The extensions that it offers, with what is said to them."""
        line.say(f"EHLO {self._options['helo'] or _own_name()}\r\n".encode())
        lines = (await smtp_reply(line, "250"))[1:]
        return {text.partition(" ")[0].upper()[:50]: text.partition(" ")[2] for text in lines if text}

    async def _log_in(self, line: Conversation, mechanisms: list[str], password: str) -> None:
        """Raises Misunderstanding, which quotes the server and nothing of ours."""
        user = self._options["user"]
        if "PLAIN" in mechanisms:
            line.say(b"AUTH PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()) + b"\r\n")
        elif "LOGIN" in mechanisms:
            line.say(b"AUTH LOGIN\r\n")
            await smtp_reply(line, "334")
            line.say(base64.b64encode(user.encode()) + b"\r\n")
            await smtp_reply(line, "334")
            line.say(base64.b64encode(password.encode()) + b"\r\n")
        else:
            raise Misunderstanding("it offers neither AUTH PLAIN nor AUTH LOGIN")
        await smtp_reply(line, "235")

    async def _password(self) -> str | None:
        if self._options["user"] is None:
            return None
        return await asyncio.get_running_loop().run_in_executor(None, password_of, self._options)


def _own_name() -> str:
    name = socket.gethostname()
    return name if _NAME.fullmatch(name) else "localhost"


SMTP = Kind(
    name="smtp",
    options={
        "host": Option(text, required=True),
        "port": Option(integer(1, 65535), default=25),
        "tls": Option(choice("none", "starttls", "implicit"), default="starttls"),
        "helo": Option(text),
        "banner": Option(pattern),
        "mechanisms": Option(names, default=(), filled=True),
        "user": Option(text),
        **PASSWORD,
        "latency_limit": Option(parse_duration),
        **TLS_OPTIONS,
        "server_name": Option(text),
    },
    prepare=SmtpCheck,
    target=lambda options: f"{options['host']}:{options['port']}",
)
