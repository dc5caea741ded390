# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Posts a JSON document to a URL, within a time that is known beforehand whatever the other side does.

The URL may hold a secret (as those of chat programs do), so only its scheme, host and port are ever shown, and of what is
answered nothing that stood in it.
"""

from __future__ import annotations

import dataclasses
import json
import re
import ssl
import threading
import time
import typing as t
import urllib.error
import urllib.parse
import urllib.request

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._runs.words import printable
from ansible_collections.sre.runbooks.plugins.module_utils._words import shortened

#: Seconds before the second attempt; doubled for each further one.
_PAUSE_S = 1.0
_ANSWER_LIMIT = 4096
_LINE_LIMIT = 120
#: Shorter parts of a URL or a header are words, and no secrets.
_SECRET_LENGTH = 6
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


@dataclasses.dataclass
class Delivery:
    """How it went. ``problem`` is empty when it was taken; ``status`` is that of the last answer, None without one."""

    attempts: int = 0
    status: int | None = None
    problem: str = ""


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows nobody: what is sent, and its secret, are for the host that was named."""

    def redirect_request(self, *_args: t.Any, **_more: t.Any) -> None:
        return None


def deliver(
    url: str,
    document: t.Mapping[str, t.Any],
    headers: t.Mapping[str, str],
    timeout_s: float,
    attempts: int,
    ca_cert: str | None = None,
) -> Delivery:
    """Try until it is taken (2xx), refused for good, or ``attempts`` are used up; each lasts ``timeout_s`` at most.

    Only silence, broken connections, 429 and 5xx are tried again.

    :raises InvalidInput: for a URL, a header or a file with certificates that cannot be used.
    """
    request = _request(url, document, headers)
    try:
        context = ssl.create_default_context(cafile=ca_cert)
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput("the webhook's certificates cannot be used", found=f"{ca_cert}: {error}") from None
    done = Delivery()
    pause = _PAUSE_S
    while done.attempts < attempts:
        if done.attempts:
            time.sleep(pause)
            pause *= 2
        done.attempts += 1
        done.status, done.problem = _attempt(request, context, timeout_s)
        if not done.problem or (done.status is not None and done.status != 429 and done.status < 500):
            break
    return done


def shown(url: str) -> str:
    """As much of a URL as may be shown."""
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or "?"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}" + (f":{parts.port}" if parts.port else "")


def _request(url: str, document: t.Mapping[str, t.Any], headers: t.Mapping[str, str]) -> urllib.request.Request:
    try:
        parts = urllib.parse.urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or not url.isprintable() or " " in url:
        raise InvalidInput(
            "not a webhook's URL", expected="http:// or https://, a host and a path", found="something else"
        )
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or not value.isprintable() or not value.isascii():
            raise InvalidInput(
                "not a header", expected="a name of HTTP, and a value of one printable line", found=f"header {name!r}"
            )
    body = json.dumps(document, ensure_ascii=False).encode("utf-8")
    own = {"Content-Type": "application/json", "User-Agent": "sre.runbooks", **headers}
    return urllib.request.Request(url, data=body, headers=own, method="POST")  # noqa: S310 (the scheme was checked above)


def _attempt(request: urllib.request.Request, context: ssl.SSLContext, timeout_s: float) -> tuple[int | None, str]:
    """Status and problem. A thread of its own, because a server that sends a byte now and then has no time-out."""
    found: list[tuple[int | None, str]] = []

    def post() -> None:
        opener = urllib.request.build_opener(_Stay(), urllib.request.HTTPSHandler(context=context))
        try:
            with opener.open(request, timeout=timeout_s) as answer:
                found.append((answer.status, ""))
        except urllib.error.HTTPError as error:
            with error:
                found.append((error.code, f"it answered {error.code}"))
                # It may take its time with the rest; the status is known by now.
                line = _first_line(error.read(_ANSWER_LIMIT), request)
                if line:
                    found[0] = (error.code, f"it answered {error.code}: {line}")
        except Exception as error:  # whatever it is, it must not take the result of the run with it
            reason = getattr(error, "reason", error)
            if isinstance(reason, TimeoutError):
                found.append((None, f"no answer within {timeout_s:g} s"))
                return
            text = reason.strerror if isinstance(reason, OSError) and reason.strerror else type(reason).__name__
            found.append((None, f"it could not be reached: {text}"))

    thread = threading.Thread(target=post, daemon=True)
    thread.start()
    thread.join(timeout_s)
    return found[0] if found else (None, f"no answer within {timeout_s:g} s")


def _first_line(answer: bytes, request: urllib.request.Request) -> str:
    """What it says, without anything that may be secret: servers like to repeat what they were asked for."""
    lines = [printable(line).strip() for line in answer.decode("utf-8", "replace").splitlines()]
    line = next((line for line in lines if line), "")
    asked = [*re.split(r"[/?&=#;,]", urllib.parse.unquote(request.selector)), *re.split(r"[/?&=#;,]", request.selector)]
    carried = [word for _name, value in request.header_items() for word in value.split()]
    for secret in sorted({*asked, *carried}, key=len, reverse=True):
        if len(secret) >= _SECRET_LENGTH:
            line = line.replace(secret, "…")
    return shortened(line, _LINE_LIMIT)
