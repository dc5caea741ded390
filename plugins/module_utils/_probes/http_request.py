# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The bytes of a request, and the request that a redirect leads to: no credential goes to another server than meant."""

from __future__ import annotations

import base64
import dataclasses
import re
import typing as t
import urllib.parse

from ansible_collections.sre.runbooks.plugins.module_utils._probes.expectation import shown

_TOKEN = re.compile(r"[A-Za-z][A-Za-z0-9!#$%&'*+.^_`|~-]*")
_HOST = re.compile(r"[^\s/?#@\\\x00-\x20\x7f]+")
_PATH = "/%:@!$&'()*+,;=~-._"
_PLAIN = re.compile(r"[A-Za-z0-9/%:@!$&'()*+,;=~._-]*")
#: Statuses with a Location that is to be followed.
REDIRECTS = (301, 302, 303, 307, 308)


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a URL leads. ``authority`` is its value of Host, ``target`` what a request asks for, both as they are sent."""

    url: str
    secure: bool
    host: str
    port: int
    authority: str
    target: str


@dataclasses.dataclass(frozen=True)
class Request:
    """:ivar foreign: whether a redirect has led away from the server that was meant, whose credentials stay behind."""

    place: Place
    method: str
    body: bytes
    headers: dict[str, str]
    credentials: dict[str, str]
    keep_alive: bool
    foreign: bool = False

    def data(self) -> bytes:
        """The whole request as it is sent."""
        headers = {
            "Host": self.place.authority,
            "User-Agent": "sre.runbooks-probe",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "keep-alive" if self.keep_alive else "close",
        }
        if self.body or self.method in ("POST", "PUT", "PATCH"):
            headers["Content-Length"] = str(len(self.body))
        if not self.foreign:
            for name, value in (*self.credentials.items(), *self.headers.items()):
                headers = {key: old for key, old in headers.items() if key.lower() != name.lower()}
                headers[name] = value
        lines = [f"{self.method} {self.place.target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("utf-8") + self.body

    def redirected(self, status: int, location: str) -> Request:
        """The request that a redirect asks for. Raises ValueError, in words, for one that is not to be followed."""
        try:
            there = place_of(urllib.parse.urljoin(self.place.url, location).partition("#")[0])
        except ValueError:
            raise ValueError(f"a redirect to {shown(location.partition('?')[0])}, which is not followed") from None
        method, body = self.method, self.body
        if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
            method, body = "GET", b""
        here = self.place
        foreign = self.foreign or (there.secure, there.host, there.port) != (here.secure, here.host, here.port)
        if foreign and body:
            raise ValueError(f"a redirect that would send the body to another server, {there.host}:{there.port}")
        return dataclasses.replace(self, place=there, method=method, body=body, foreign=foreign)


def place_of(text: str) -> Place:
    """Raises ValueError for a URL that cannot be asked."""
    url = urllib.parse.urlsplit(text)
    host, given = url.hostname, url.port
    if url.scheme not in ("http", "https") or not host or not _HOST.fullmatch(host):
        raise ValueError("url must be such as http://host:port/path or https://host/path")
    if "@" in url.netloc:
        raise ValueError("the url holds a credential; use user and password instead")
    if given == 0:
        raise ValueError("url has no usable port")
    secure = url.scheme == "https"
    name = host if host.isascii() else host.encode("idna").decode("ascii")
    authority = f"[{name}]" if ":" in name else name
    target = _quoted(url.path or "/", _PATH) + (f"?{_quoted(url.query, _PATH + '?')}" if url.query else "")
    port = given or (443 if secure else 80)
    return Place(text, secure, host, port, f"{authority}:{given}" if given else authority, target)


def _quoted(text: str, safe: str) -> str:
    return text if _PLAIN.fullmatch(text) else urllib.parse.quote(text, safe=safe)


def request_of(options: dict[str, t.Any], url: str) -> Request:
    """The first request of a probe. Raises ValueError for what cannot be sent."""
    place = place_of(url)
    method = options["method"].upper()
    if not _TOKEN.fullmatch(method):
        raise ValueError("method must be such as GET")
    credentials = {}
    if options["user"] is not None:
        token = f"{options['user']}:{options['password'] or ''}".encode()
        credentials["Authorization"] = "Basic " + base64.b64encode(token).decode("ascii")
    for name, value in options["headers"].items():
        if not _TOKEN.fullmatch(name) or re.search(r"[\r\n\0]", str(value)):
            raise ValueError(f"the header {name!r} has characters that a header cannot have")
    return Request(
        place=place,
        method=method,
        body=(options["request_body"] or "").encode("utf-8"),
        headers={name: str(value) for name, value in options["headers"].items()},
        credentials=credentials,
        keep_alive=options["keep_alive"],
    )
