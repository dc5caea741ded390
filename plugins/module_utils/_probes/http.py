# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The http kind: status, body, JSON values and latency of one request."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shlex
import ssl
import time
import typing as t
import urllib.parse

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Check,
    Kind,
    Option,
    Reading,
    boolean,
    mapping,
    text,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.expectation import at_path, parse_path, same, shown
from ansible_collections.sre.runbooks.plugins.module_utils._probes.http_connection import (
    HttpConnection,
    NotHttp,
    Response,
)

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

_BODY_LIMIT = 1024 * 1024
_TOKEN = re.compile(r"[A-Za-z][A-Za-z0-9!#$%&'*+.^_`|~-]*")


class HttpCheck(Check):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        self._session = session
        url = urllib.parse.urlsplit(options["url"])
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError("url must be such as http://host:port/path or https://host/path")
        if url.username or url.password:
            raise ValueError("the url holds a credential; use user and password instead")
        secure = url.scheme == "https"
        self._host, self._port = url.hostname, url.port or (443 if secure else 80)
        self._server_name = options["server_name"]
        self._context = session.tls_context(options) if secure else None
        # The context is shared by probes with the same TLS options, so its identity belongs to the key.
        self._origin = (self._host, self._port, id(self._context) if secure else None, self._server_name)
        self._turnstile = session.turnstile(("http", self._host, self._port))
        self._method = options["method"].upper()
        if not _TOKEN.fullmatch(self._method):
            raise ValueError("method must be such as GET")
        self._keep = options["keep_alive"]
        self._request = _request(self._method, url, options)
        self._statuses: list[int] = options["status"]
        self._contains: str | None = options["body"]
        self._matches: re.Pattern[str] | None = options["body_matches"]
        self._json = [(path, parse_path(path), value) for path, value in options["json"].items()]
        self._limit: float | None = options["latency_limit"]
        self._warning: float | None = options["latency_warning"]
        self.expected = self._in_words()
        self.hint = f"curl -sv -m {max(1, round(options['timeout']))} {shlex.quote(options['url'])}"

    async def admit(self) -> None:
        await self._turnstile.enter()

    def dismiss(self) -> None:
        self._turnstile.leave()

    async def ask(self) -> Reading:
        started = time.perf_counter()
        try:
            response = await self._fetch()
        except ssl.SSLCertVerificationError as error:
            return self.reading("failed", "a certificate that does not verify", f"TLS: {error.verify_message}")
        except ssl.SSLError as error:
            return self.reading("failed", "no TLS connection", f"TLS: {error.reason or error}")
        except NotHttp as error:
            return self.reading("failed", "no HTTP response", str(error))
        except OSError as error:
            return self.reading("failed", "no response", why(error))
        return self._judge(response, time.perf_counter() - started)

    async def _fetch(self) -> Response:
        connections = self._session.connections
        connection = connections.take(self._origin) if self._keep else None
        if connection is not None:
            try:
                return await self._on(connection)
            except OSError:
                # The server may have closed a kept connection at the very moment of its use: not its failure.
                if connection.received or self._method not in ("GET", "HEAD"):
                    raise
        return await self._on(await connections.open(self._host, self._port, self._context, self._server_name))

    async def _on(self, connection: HttpConnection) -> Response:
        try:
            response = await connection.request(self._request, _BODY_LIMIT, self._method == "HEAD")
        except BaseException:
            connection.close()
            raise
        if self._keep:
            self._session.connections.give(self._origin, connection)
        else:
            connection.close()
        return response

    def _judge(self, response: Response, latency: float) -> Reading:
        measured = f"status {response.status} in {latency:.3f} s"
        values = {"status": response.status, "latency_s": round(latency, 6)}
        problem = self._problem(response)
        if problem is not None:
            return self.reading("failed", measured, problem, **values)
        if self._limit is not None and latency > self._limit:
            return self.reading("failed", measured, f"slower than {self._limit:g} s", **values)
        if self._warning is not None and latency > self._warning:
            return self.reading("warning", measured, f"slower than {self._warning:g} s", **values)
        return self.reading("ok", measured, "as expected", **values)

    def _problem(self, response: Response) -> str | None:
        if response.status not in self._statuses:
            start = response.body[:200].decode("utf-8", "replace").strip()
            return f"status {response.status}" + (f": {shown(start)}" if start else "")
        if self._contains is None and self._matches is None and not self._json:
            return None
        body = response.body.decode("utf-8", "replace")
        cut = f" (only the first {_BODY_LIMIT} bytes were read)" if response.truncated else ""
        if self._contains is not None and self._contains not in body:
            return f"the body does not contain {shown(self._contains)}{cut}"
        if self._matches is not None and not self._matches.search(body):
            return f"the body does not match {shown(self._matches.pattern)}{cut}"
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
        if self._matches is not None:
            parts.append(f"a body matching {shown(self._matches.pattern)}")
        parts += [f"{path} = {shown(value)}" for path, _, value in self._json]
        if self._limit is not None:
            parts.append(f"within {self._limit:g} s")
        return ", ".join(parts)


def _request(method: str, url: urllib.parse.SplitResult, options: dict[str, t.Any]) -> bytes:
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else (url.hostname or "").encode("idna").decode("ascii")
    headers = {
        "Host": f"{host}:{url.port}" if url.port else host,
        "User-Agent": "sre.runbooks-probe",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "keep-alive" if options["keep_alive"] else "close",
    }
    body = (options["request_body"] or "").encode("utf-8")
    if body or method in ("POST", "PUT", "PATCH"):
        headers["Content-Length"] = str(len(body))
    if options["user"] is not None:
        token = f"{options['user']}:{options['password'] or ''}".encode()
        headers["Authorization"] = "Basic " + base64.b64encode(token).decode("ascii")
    for name, value in options["headers"].items():
        headers = {key: old for key, old in headers.items() if key.lower() != name.lower()}
        if not _TOKEN.fullmatch(name) or re.search(r"[\r\n\0]", str(value)):
            raise ValueError(f"the header {name!r} has characters that a header cannot have")
        headers[name] = str(value)
    path = urllib.parse.quote(url.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = "?" + urllib.parse.quote(url.query, safe="/%:@!$&'()*+,;=~-._?") if url.query else ""
    lines = [f"{method} {path}{query} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("utf-8") + body


def why(error: OSError) -> str:
    """An operating system's error in a few words, without the address that the probe's name has already."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, asyncio.TimeoutError):
        return "timed out"
    return (error.strerror or str(error) or type(error).__name__)[:200]


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


def pattern(value: t.Any) -> re.Pattern[str]:
    try:
        return re.compile(text(value))
    except re.error as error:
        raise ValueError(f"a regular expression is expected ({error})") from None


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
        "status": Option(statuses, default=[200]),
        "body": Option(text),
        "body_matches": Option(pattern),
        "json": Option(json_values, default={}),
        "latency_limit": Option(parse_duration),
        "latency_warning": Option(parse_duration),
        "keep_alive": Option(boolean, default=True),
        "validate_certs": Option(boolean, default=True),
        "ca_cert": Option(text),
        "client_cert": Option(text),
        "client_key": Option(text),
        "server_name": Option(text),
    },
    prepare=HttpCheck,
    target=lambda options: t.cast(str, options["url"]),
)
