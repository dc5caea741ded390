# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One component's diagnostics on their way from its host to the controller: a document that is checked where it arrives."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import json
import math
import string
import typing as t
import zlib

from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.desk import SEVERITIES, Finding, Item, clean
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.gathering import OUTCOMES, Gathered
from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError

_FORMAT = 1
#: Characters between two breaks, which no password has in it.
_PIECE = 3
_BREAK = "\n"
_DIGITS = "0123456789abcdef"
#: In their order, in which no packed text begins.
_LETTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase
#: Unpacked; what is collected is bounded to much less.
_LARGEST = 512 << 20


@dataclasses.dataclass
class Part:
    """What was collected about one component.

    :ivar host: where. :ivar started: when (ISO 8601). :ivar duration_s: how long it took.
    """

    component: str
    alert: str
    host: str
    started: str
    duration_s: float
    collected: list[Gathered]

    @property
    def findings(self) -> list[Finding]:
        """Of all collectors, the worst first."""
        found = [finding for one in self.collected for finding in one.findings]
        return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def pack(part: Part, secrets: t.Iterable[str] = ()) -> str:
    """As text that a module can return.

    Broken into pieces that are shorter than passwords: Ansible takes those out of whatever a module returns, in the
    middle of a word too. Of letters that no password of a few letters has, where there is one.

    :arg secrets: what Ansible takes out.
    """
    document = {"format": _FORMAT, **dataclasses.asdict(part)}
    for one in document["collected"]:
        for item in one["items"]:
            item["content"] = item["content"].decode("utf-8", "replace")
    content = gzip.compress(json.dumps(document).encode(), 6, mtime=0)
    taken = {letter for secret in secrets if len(secret) <= _PIECE for letter in secret}
    letters = "".join(letter for letter in _LETTERS if letter not in taken)[: len(_DIGITS)]
    if taken and len(letters) == len(_DIGITS):
        packed = letters + content.hex().translate(str.maketrans(_DIGITS, letters))
    else:
        packed = base64.b64encode(content).decode()
    return _BREAK.join(packed[start : start + _PIECE] for start in range(0, len(packed), _PIECE))


def unpack(text: str | bytes) -> Part:
    """What :func:`pack` made. Raises :class:`IntegrityError` for anything else: it comes from another host."""
    try:
        reader = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        packed = (text.decode("ascii") if isinstance(text, bytes) else text).replace(_BREAK, "")
        content = reader.decompress(_bytes(packed), _LARGEST)
        if not reader.eof:
            raise ValueError("cut off, or too long")
        document = json.loads(content)
        if document["format"] != _FORMAT:
            raise ValueError(f"format {document['format']}")
        return Part(
            component=_text(document["component"]),
            alert=_text(document["alert"]),
            host=_text(document["host"]),
            started=_text(document["started"]),
            duration_s=_seconds(document["duration_s"]),
            collected=[_gathered(one) for one in document["collected"]],
        )
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, zlib.error, RecursionError) as error:
        raise IntegrityError(
            "what was collected did not arrive whole",
            expected="what sre.runbooks.diagnostics returns",
            found=f"{type(error).__name__}: {error}"[:200],
            next_command="the same command",
        ) from None


def _bytes(packed: str) -> bytes:
    letters = packed[: len(_DIGITS)]
    # What is packed in base64 begins otherwise: with the same letters always, which are in no order.
    if len(set(letters)) == len(_DIGITS) and "".join(sorted(letters)) == letters:
        return bytes.fromhex(packed[len(_DIGITS) :].translate(str.maketrans(letters, _DIGITS)))
    return base64.b64decode(packed.encode("ascii"), validate=True)


def _gathered(one: t.Any) -> Gathered:
    if one["outcome"] not in OUTCOMES:
        raise ValueError("an unknown outcome")
    return Gathered(
        name=_text(one["name"]),
        title=_text(one["title"]),
        outcome=one["outcome"],
        duration_s=_seconds(one["duration_s"]),
        why=_text(one["why"]),
        items=[
            Item(_text(item["name"]), _text(item["content"]).encode(), _count(item["length"]), _text(item["note"]))
            for item in one["items"]
        ],
        findings=[_finding(finding) for finding in one["findings"]],
    )


def _finding(found: t.Any) -> Finding:
    if found["severity"] not in SEVERITIES:
        raise ValueError("an unknown severity")
    return Finding(found["severity"], _text(found["text"]))


def _text(value: t.Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return clean(value)


def _seconds(value: t.Any) -> float:
    found = float(value)
    if not math.isfinite(found) or found < 0:
        raise ValueError("not a duration")
    return found


def _count(value: t.Any) -> int:
    found = int(value)
    if not 0 <= found < 1 << 63:
        raise ValueError("not a length")
    return found
