# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The http kind: status, body, JSON values, latency, redirects and certificate of one request."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import shlex
import ssl
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._curl import curl, patience
from ansible_collections.sre.runbooks.plugins.module_utils._probes.certificate import read_certificate
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Check,
    Kind,
    Option,
    Reading,
    boolean,
    choice,
    integer,
    mapping,
    number,
    pattern,
    text,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.expectation import at_path, parse_path, same, shown
from ansible_collections.sre.runbooks.plugins.module_utils._probes.http_connection import (
    HttpConnection,
    NotHttp,
    Response,
    why,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.http_request import REDIRECTS, Request, request_of
from ansible_collections.sre.runbooks.plugins.module_utils._probes.presets import PRESETS, Preset
from ansible_collections.sre.runbooks.plugins.module_utils._probes.tls_options import TLS_OPTIONS
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

_BODY_LIMIT = 1024 * 1024


@dataclasses.dataclass(frozen=True)
class _Hop:
    """A request, its bytes, and where it goes: (host, port, identity of the TLS context, name given to it)."""

    request: Request
    data: bytes
    context: ssl.SSLContext | None
    origin: tuple[t.Any, ...]


@dataclasses.dataclass
class _Asked:
    """What one attempt went through.

    :ivar url: where it is now. :ivar ends: when certificates on the way end, in seconds since the epoch.
    """

    url: str
    redirects: int = 0
    ends: list[float] = dataclasses.field(default_factory=list)


class HttpCheck(Check):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        self._session = session
        self._options = options
        preset = PRESETS.get(options["preset"]) or Preset()
        url = options["url"].rstrip("/") + preset.path if preset.path else options["url"]
        request = request_of(options, url)
        # Also for what it may be redirected to, so that files which cannot be read are named before anything runs.
        if options["follow_redirects"]:
            session.tls_context(options)
        # What is asked again and again is put together once.
        self._first = self._hop(request)
        self._turnstile = session.turnstile(("http", request.place.host, request.place.port))
        self._statuses: list[int] = options["status"] or list(preset.status)
        self._contains: str | None = options["body"]
        self._patterns = [
            one for one in (options["body_matches"], preset.body_matches and re.compile(preset.body_matches)) if one
        ]
        values = {**preset.json, **options["json"]}
        self._json = [(path, parse_path(path), value) for path, value in values.items()]
        self._limit: float | None = options["latency_limit"]
        self._warning: float | None = options["latency_warning"]
        self._days: float | None = options["certificate_days"]
        self._warning_days: float | None = options["certificate_warning_days"]
        if (
            (self._days, self._warning_days) != (None, None)
            and not request.place.secure
            and not options["follow_redirects"]
        ):
            raise ValueError("certificate_days needs an https url")
        if options["final_url"] and not options["follow_redirects"]:
            raise ValueError("final_url needs follow_redirects")
        self.expected = self._in_words()
        follow = " -L" if options["follow_redirects"] else ""
        before, flags = curl(options)
        method = {"GET": "", "HEAD": " -I"}.get(options["method"], f" -X {shlex.quote(options['method'])}")
        self.hint = f"{before}curl -sv{follow}{method}{flags} {patience(options)} {shlex.quote(url)}"

    async def admit(self) -> None:
        await self._turnstile.enter()

    def dismiss(self) -> None:
        self._turnstile.leave()

    async def ask(self) -> Reading:
        started = time.perf_counter()
        asked = _Asked(self._first.request.place.url)
        try:
            response = await self._follow(asked)
        except ssl.SSLCertVerificationError as error:
            return self.reading("failed", "a certificate that does not verify", f"TLS: {error.verify_message}")
        except ssl.SSLError as error:
            return self.reading("failed", "no TLS connection", f"TLS: {error.reason or error}")
        except NotHttp as error:
            return self.reading("failed", "no HTTP response", str(error))
        except _NotFollowed as error:
            return self.reading("failed", f"a redirect from {_bare(asked.url)}", str(error), url=_bare(asked.url))
        except OSError as error:
            return self.reading("failed", "no response", why(error))
        return self._judge(response, time.perf_counter() - started, asked)

    async def _follow(self, asked: _Asked) -> Response:
        hop = self._first
        while True:
            response = await self._fetch(hop, asked)
            location = response.headers.get("location")
            if not self._options["follow_redirects"] or response.status not in REDIRECTS or not location:
                return response
            if asked.redirects == self._options["follow_redirects"]:
                raise _NotFollowed(f"more than {counted(asked.redirects, 'redirect')}")
            try:
                hop = self._hop(hop.request.redirected(response.status, location))
            except ValueError as error:
                raise _NotFollowed(str(error)) from None
            asked.url, asked.redirects = hop.request.place.url, asked.redirects + 1

    def _hop(self, request: Request) -> _Hop:
        # A certificate and a name that were given are for the first server alone.
        own = {"client_cert": None, "client_key": None} if request.foreign else {}
        context = self._session.tls_context({**self._options, **own}) if request.place.secure else None
        name = None if request.foreign else self._options["server_name"]
        # The context is shared by probes with the same TLS options, so its identity belongs to the key.
        origin = (request.place.host, request.place.port, id(context) if context else None, name)
        return _Hop(request, request.data(), context, origin)

    async def _fetch(self, hop: _Hop, asked: _Asked) -> Response:
        async def ask(connection: HttpConnection) -> Response:
            if hop.context is not None and (self._days is not None or self._warning_days is not None):
                asked.ends.append(_certificate_end(connection))
            return await connection.request(hop.data, _BODY_LIMIT, hop.request.method == "HEAD")

        again = hop.request.method in ("GET", "HEAD")
        return await self._session.connections.use(hop.origin, hop.context, ask, hop.request.keep_alive, again)

    def _judge(self, response: Response, latency: float, asked: _Asked) -> Reading:
        measured = f"status {response.status} in {latency:.3f} s"
        values: dict[str, t.Any] = {"status": response.status, "latency_s": round(latency, 6)}
        if asked.redirects:
            measured += f" from {_bare(asked.url)}"
            values.update(url=_bare(asked.url), redirects=asked.redirects)
        problem = self._problem(response)
        if problem is not None:
            return self.reading("failed", measured, problem, **values)
        wanted = self._options["final_url"]
        if wanted is not None and wanted not in (asked.url, asked.url.partition("?")[0]):
            return self.reading("failed", measured, f"it ends at {_bare(asked.url)}", **values)
        left = None
        if (self._days, self._warning_days) != (None, None):
            if not asked.ends:
                return self.reading("failed", measured, "no certificate was met: it is not reached over TLS", **values)
            left = (min(asked.ends) - time.time()) / 86400
            values["certificate_days"] = round(left, 3)
            if self._days is not None and left < self._days:
                return self.reading("failed", measured, f"the certificate ends in {left:.1f} days", **values)
        if self._limit is not None and latency > self._limit:
            return self.reading("failed", measured, f"slower than {self._limit:g} s", **values)
        if self._warning is not None and latency > self._warning:
            return self.reading("warning", measured, f"slower than {self._warning:g} s", **values)
        if left is not None and self._warning_days is not None and left < self._warning_days:
            return self.reading("warning", measured, f"the certificate ends in {left:.1f} days", **values)
        return self.reading("ok", measured, "as expected", **values)

    def _problem(self, response: Response) -> str | None:
        if response.status not in self._statuses:
            start = response.body[:200].decode("utf-8", "replace").strip()
            return f"status {response.status}" + (f": {shown(start)}" if start else "")
        if self._contains is None and not self._patterns and not self._json:
            return None
        body = response.body.decode("utf-8", "replace")
        cut = f" (only the first {_BODY_LIMIT} bytes were read)" if response.truncated else ""
        if self._contains is not None and self._contains not in body:
            return f"the body does not contain {shown(self._contains)}{cut}"
        for wanted in self._patterns:
            if not wanted.search(body):
                return f"the body does not match {shown(wanted.pattern)}: {shown(body[:100])}{cut}"
        if self._json:
            try:
                document = json.loads(body)
            except ValueError:
                return f"the body is not JSON{cut}: {shown(body[:100])}"
            for path, steps, value in self._json:
                try:
                    found = at_path(document, steps)
                except LookupError:
                    return f"the JSON has no {path}"
                if not same(found, value):
                    return f"{path} is {shown(found)}"
        return None

    def _in_words(self) -> str:
        parts = ["status " + " or ".join(str(status) for status in self._statuses[:5])]
        if len(self._statuses) > 5:
            parts = [f"status {self._statuses[0]} to {self._statuses[-1]}"]
        if self._contains is not None:
            parts.append(f"a body containing {shown(self._contains)}")
        parts += [f"a body matching {shown(wanted.pattern)}" for wanted in self._patterns]
        parts += [f"{path} = {shown(value)}" for path, _, value in self._json]
        if self._options["final_url"] is not None:
            parts.append(f"at {self._options['final_url']}")
        if self._days is not None:
            parts.append(f"a certificate for {self._days:g} more days")
        if self._limit is not None:
            parts.append(f"within {self._limit:g} s")
        return ", ".join(parts)


class _NotFollowed(Exception):
    """A redirect that leads nowhere, in words."""


def _bare(url: str) -> str:
    """For messages: what a server puts behind the path may be a token."""
    path, mark, _ = url.partition("?")
    return path[:200] + ("?…" if mark else "")


def _certificate_end(connection: HttpConnection) -> float:
    """When the server's certificate ends, in seconds since the epoch."""
    secured = t.cast(asyncio.Transport, connection.transport).get_extra_info("ssl_object")
    checked = secured.getpeercert()
    if checked:
        return ssl.cert_time_to_seconds(checked["notAfter"])
    # One that was not checked is only to be had as bytes.
    return read_certificate(secured.getpeercert(binary_form=True) or b"").not_after.timestamp()


def statuses(value: t.Any) -> list[int]:
    """``200``, ``"2xx"``, or a list of such."""
    found: list[int] = []
    for item in value if isinstance(value, list) else [value]:
        word = str(item).strip().lower()
        if re.fullmatch(r"[1-5]xx", word):
            found += range(int(word[0]) * 100, int(word[0]) * 100 + 100)
        elif re.fullmatch(r"[1-5]\d\d", word):
            found.append(int(word))
        else:
            raise ValueError("a status such as 200, 2xx, or a list of them is expected")
    if not found:
        raise ValueError("at least one status is expected")
    return found


def json_values(value: t.Any) -> dict[str, t.Any]:
    values = mapping(value)
    for path in values:
        parse_path(path)
    return values


HTTP = Kind(
    name="http",
    options={
        "url": Option(text, required=True),
        "method": Option(text, default="GET"),
        "headers": Option(mapping, default={}, secret=True),
        "request_body": Option(text),
        "user": Option(text),
        "password": Option(text, secret=True),
        "preset": Option(choice(*PRESETS)),
        "status": Option(statuses, filled=True),
        "body": Option(text),
        "body_matches": Option(pattern),
        "json": Option(json_values, default={}, filled=True),
        "latency_limit": Option(parse_duration),
        "latency_warning": Option(parse_duration),
        "follow_redirects": Option(integer(0, 20), default=0),
        "final_url": Option(text),
        "certificate_days": Option(number),
        "certificate_warning_days": Option(number),
        "keep_alive": Option(boolean, default=True),
        **TLS_OPTIONS,
        "server_name": Option(text),
    },
    prepare=HttpCheck,
    target=lambda options: t.cast(str, options["url"]),
)
