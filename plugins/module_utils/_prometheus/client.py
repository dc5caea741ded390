# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small client for the HTTP interfaces of Prometheus (or what speaks like it) and Alertmanager.

Blocking, with a bound on the time and on the size of every answer. An answer that says of itself that it is partial
(``warnings``, as Thanos and its like give) is an error here: what is computed from it would look whole.
"""

from __future__ import annotations

import base64
import dataclasses
import http.client
import json
import re
import shlex
import socket
import ssl
import threading
import time
import typing as t
import urllib.error
import urllib.parse
import urllib.request

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, InvalidInput

#: Bytes of an answer; 10,000 points of a dozen series are 4 MB.
ANSWER_LIMIT = 64 * 1024 * 1024
_PIECE = 256 * 1024


class PrometheusError(EngineError):
    """Prometheus or Alertmanager gave no usable answer.

    :ivar reason: "unreachable", "denied" (401, 403), "query" (it refused the expression), "partial" (it answered with
        a part only), "size" (more than we read) or "answer" (what it sent cannot be understood, or is an HTTP error).
    """

    def __init__(self, reason: str, message: str, **details: t.Any) -> None:
        super().__init__(message, **details)
        self.reason = reason


@dataclasses.dataclass
class Series:
    """One time series: labels, and points of (Unix time in seconds, value)."""

    labels: dict[str, str]
    points: list[tuple[float, float]]

    @property
    def name(self) -> str:
        """As Prometheus writes it: ``up{job="api"}``."""
        inner = ", ".join(f'{key}="{value}"' for key, value in sorted(self.labels.items()) if key != "__name__")
        return self.labels.get("__name__", "") + "{" + inner + "}"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the credential to whoever it names; it is shown as what it is instead."""

    def redirect_request(self, *_args: t.Any, **_kwargs: t.Any) -> None:
        return None


class Server:
    """One server's address and how to be let in. Opens a connection for each request and closes it.

    :arg context: TLS for an ``https`` URL.
    :arg timeout: seconds for one whole request.
    """

    def __init__(
        self,
        url: str,
        user: str | None = None,
        password: str | None = None,
        bearer_token: str | None = None,
        context: ssl.SSLContext | None = None,
        timeout: float = 30.0,
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidInput("the URL of a server", expected="such as http://host:9090", found=repr(url)[:200])
        if parts.username or parts.password:
            raise InvalidInput("the URL holds a credential", expected="user and password in their own options")
        self.url = url.rstrip("/")
        #: What :meth:`command` says before curl, and as its flags, for who asks by hand to be let in as well.
        self.before, self.flags = "", ""
        self._timeout = timeout
        self._headers = {"User-Agent": "sre.runbooks", "Accept": "application/json"}
        if bearer_token is not None:
            self._headers["Authorization"] = "Bearer " + _header_value(bearer_token)
        elif user is not None:
            pair = f"{user}:{password or ''}".encode()
            self._headers["Authorization"] = "Basic " + base64.b64encode(pair).decode("ascii")
        # Proxies of the environment are for the way out, and monitoring is inside.
        handlers: list[t.Any] = [urllib.request.ProxyHandler({}), _NoRedirect()]
        if context is not None:
            handlers.append(urllib.request.HTTPSHandler(context=context))
        self._opener = urllib.request.build_opener(*handlers)

    def fetch(self, path: str, form: dict[str, str] | None = None) -> tuple[int, bytes]:
        """Status and body; with a ``form`` by POST, else by GET. Raises :class:`PrometheusError`."""
        data = urllib.parse.urlencode(form).encode("ascii") if form is not None else None
        request = urllib.request.Request(self.url + path, data=data, headers=self._headers)  # noqa: S310  (the scheme was checked)
        found: list[tuple[int, bytes]] = []
        problems: list[BaseException] = []

        def ask() -> None:
            try:
                found.append(self._ask(request, path, form))
            except BaseException as error:  # whatever it is belongs to who asked
                problems.append(error)

        # A thread of its own, because a server that sends a byte of its headers now and then has no time-out. It ends
        # with the connection, or with us.
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(self._timeout)
        if problems:
            raise problems[0]
        if not found:
            raise self._unreachable("no answer in time", path, form)
        return found[0]

    def _ask(self, request: urllib.request.Request, path: str, form: dict[str, str] | None) -> tuple[int, bytes]:
        deadline = time.monotonic() + self._timeout
        try:
            with self._opener.open(request, timeout=self._timeout) as response:
                return response.status, self._read(response, path, deadline)
        except urllib.error.HTTPError as error:
            with error:
                if error.code in (401, 403):
                    raise PrometheusError(
                        "denied",
                        f"{self.url} does not let us in",
                        expected="a user and password, or a bearer token, that may read",
                        found=f"status {error.code}",
                        next_command=self.command(path, form),
                    ) from None
                return error.code, self._read(error, path, deadline)
        except ssl.SSLError as error:
            raise self._unreachable(f"TLS: {error.reason or error}", path, form) from None
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(_why(error), path, form) from None

    def api(self, path: str, form: dict[str, str] | None = None) -> t.Any:
        """The ``data`` of a successful answer of Prometheus's API. Raises :class:`PrometheusError`."""
        status, body = self.fetch(path, form)
        query = (form or {}).get("query")
        about = f" to {query}" if query else ""
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or "status" not in answer:
            start = body[:120].decode("utf-8", "replace").strip()
            raise PrometheusError(
                "answer",
                f"{self.url}{path} does not answer{about} as Prometheus does",
                expected="JSON with a status",
                found=f"status {status}: {start}",
                next_command=self.command(path, form),
            )
        if answer["status"] != "success":
            kind, text = str(answer.get("errorType", "error")), str(answer.get("error", "no reason"))[:500]
            raise PrometheusError(
                "query" if kind in ("bad_data", "execution") else "answer",
                f"Prometheus refuses the query {query}" if query else f"{self.url}{path} failed",
                expected="an expression that it can evaluate" if query else "an answer",
                found=f"{kind}: {text}",
                next_command=self.command(path, form),
            )
        if answer.get("warnings"):
            raise PrometheusError(
                "partial",
                f"the answer{about} is partial",
                expected="an answer without warnings",
                found="; ".join(str(item) for item in answer["warnings"])[:500],
                next_command=self.command(path, form),
            )
        return answer.get("data")

    def query(self, expression: str, at: float | None = None) -> list[Series]:
        """An instant query, at a Unix time or at the server's now; each series has one point."""
        form = {"query": expression}
        if at is not None:
            form["time"] = f"{at:.3f}"
        data = self._data("/api/v1/query", form)
        if data["resultType"] in ("scalar", "string"):
            return [Series({}, [_point(data["result"], self.url)])]
        key = "value" if data["resultType"] == "vector" else "values"
        if key == "values":
            return [self._series(item, item.get("values")) for item in data["result"]]
        return [self._series(item, [item.get("value")]) for item in data["result"]]

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[Series]:
        """Values at ``start``, ``start + step``, … up to ``end`` (Unix times), absent where there is none."""
        form = {"query": expression, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        data = self._data("/api/v1/query_range", form)
        return [self._series(item, item.get("values")) for item in data["result"]]

    def time(self) -> tuple[float, float]:
        """The server's clock (Unix time in seconds), and by how many seconds it is ahead of ours (less its doubt).

        Half of the time that the question took is in doubt, so a difference within it counts as none.
        """
        before = time.time()
        points = [point for one in self.query("time()") for point in one.points]
        if len(points) != 1:
            raise PrometheusError(
                "answer",
                f"{self.url} does not answer to time() as Prometheus does",
                expected="one value",
                found=f"{len(points)} of them",
                next_command=self.command("/api/v1/query", {"query": "time()"}),
            )
        server = points[0][1]
        after = time.time()
        doubt = (after - before) / 2
        ahead = server - (before + after) / 2
        return server, 0.0 if abs(ahead) <= doubt else ahead - (doubt if ahead > 0 else -doubt)

    def command(self, path: str, form: dict[str, str] | None = None) -> str:
        """How to ask the same by hand."""
        query = (form or {}).get("query")
        # What does not answer lets nobody wait for ever.
        patience = f"-m {max(1, round(self._timeout))}"
        if query is None:
            return f"{self.before}curl -sS{self.flags} {shlex.quote(self.url + path)} {patience}"
        # Of a range, too, what is there now is what to look at first.
        words = ["-G", self.url + "/api/v1/query", "--data-urlencode", f"query={query}"]
        return f"{self.before}curl -sS{self.flags} {shlex.join(words)} {patience}"

    def _data(self, path: str, form: dict[str, str]) -> dict[str, t.Any]:
        data = self.api(path, form)
        if isinstance(data, dict) and isinstance(data.get("result"), list) and data.get("resultType"):
            return data
        raise PrometheusError(
            "answer", f"{self.url}{path} does not answer as Prometheus does", next_command=self.command(path, form)
        )

    def _series(self, item: t.Any, points: t.Any) -> Series:
        if not isinstance(item, dict) or not isinstance(points, list) or not isinstance(item.get("metric"), dict):
            raise PrometheusError("answer", f"{self.url} answers with what is no series")
        labels = {str(key): str(value) for key, value in item["metric"].items()}
        return Series(labels, [_point(point, self.url) for point in points])

    def _read(self, response: t.Any, path: str, deadline: float) -> bytes:
        body = bytearray()
        while True:
            # A server that sends a byte now and then would otherwise hold us for ever.
            if time.monotonic() > deadline:
                raise TimeoutError(f"no whole answer after {self._timeout:g} s")
            piece = response.read1(_PIECE) if hasattr(response, "read1") else response.read(_PIECE)
            if not piece:
                return bytes(body)
            body += piece
            if len(body) > ANSWER_LIMIT:
                raise PrometheusError(
                    "size",
                    f"the answer of {self.url}{path} is larger than {ANSWER_LIMIT} bytes",
                    expected="fewer series",
                    next_command="record the expression with a rule, and name the recorded series instead",
                )

    def _unreachable(self, found: str, path: str, form: dict[str, str] | None) -> PrometheusError:
        return PrometheusError(
            "unreachable",
            f"{self.url} does not answer",
            expected="an answer",
            found=found,
            next_command=self.command(path, form),
        )


def _point(raw: t.Any, url: str) -> tuple[float, float]:
    try:
        moment, value = raw
        return float(moment), float(value)
    except (TypeError, ValueError):
        raise PrometheusError("answer", f"{url} answers with a point that is no number") from None


def _why(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ConnectionRefusedError):
        return "connection refused"
    if isinstance(reason, (TimeoutError, socket.timeout)):
        return "no answer in time"
    if isinstance(reason, ssl.SSLError):
        return f"TLS: {getattr(reason, 'verify_message', '') or reason.reason or reason}"
    return (getattr(reason, "strerror", None) or str(reason) or type(reason).__name__)[:200]


def _header_value(token: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]+", token.strip()):
        raise InvalidInput("the bearer token", expected="printable characters without spaces", found="others")
    return token.strip()
