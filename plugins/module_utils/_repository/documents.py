# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The small JSON objects of a repository: written in one canonical form, read with suspicion."""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_time
from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, InvalidInput

#: The version of the repository's layout and documents that this release writes and reads.
FORMAT = 1
#: The most bytes that a small document (everything but a manifest) may have.
DOCUMENT_LIMIT = 1024 * 1024

#: What stands for a document's own digest while it is computed.
_NO_DIGEST = "0" * 64
#: The pattern of a sha256 in a document.
SHA256 = r"[0-9a-f]{64}"

_COMPONENT = re.compile(r"[a-z0-9_-]{1,63}")
_ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def canonical_json(data: t.Mapping[str, t.Any]) -> bytes:
    """Sorted keys, UTF-8, one space of indentation, a newline at the end: readable, and the same bytes every time."""
    return (
        json.dumps(data, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1, separators=(",", ": ")) + "\n"
    ).encode()


def sealed_json(data: t.Mapping[str, t.Any]) -> bytes:
    """As :func:`canonical_json`, with ``digest``: the sha256 of these bytes with itself written as 64 zeros.

    No changed byte passes :func:`parse_sealed`. It is no signature: who can write can also seal.
    """
    document = {"format": FORMAT, **data, "digest": _NO_DIGEST}
    document["digest"] = hashlib.sha256(canonical_json(document)).hexdigest()
    return canonical_json(document)


def parse_sealed(content: bytes, what: str) -> Fields:
    """The JSON object that :func:`sealed_json` wrote, of the format that we know. Raises :class:`IntegrityError`."""
    fields = parse_document(content, what)
    fields.format()
    digest = fields.text("digest", SHA256)
    found = hashlib.sha256(content.replace(digest.encode(), _NO_DIGEST.encode(), 1)).hexdigest()
    if found != digest:
        raise IntegrityError(f"{what} is damaged", expected=f"digest {digest}", found=found)
    return fields


def parse_document(content: bytes, what: str) -> Fields:
    """The JSON object in ``content``. Raises :class:`IntegrityError` naming ``what`` for anything else."""
    try:
        data = json.loads(content.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{what} is damaged", expected="JSON in UTF-8", found=str(error)[:200]) from None
    if not isinstance(data, dict):
        raise IntegrityError(f"{what} is damaged", expected="a JSON object", found=type(data).__name__)
    return Fields(data, what)


def _refuse_constant(name: str) -> t.NoReturn:
    raise ValueError(f"{name} is not JSON")


class Fields:
    """Typed access to a parsed document; what is missing or of another type raises :class:`IntegrityError`."""

    def __init__(self, data: dict[str, t.Any], what: str) -> None:
        self.data = data
        self.what = what

    def _fail(self, name: str, expected: str) -> t.NoReturn:
        found = f"{name}: {json.dumps(self.data[name])[:100]}" if name in self.data else f"no {name}"
        raise IntegrityError(f"{self.what} is damaged", expected=f"{name}: {expected}", found=found)

    def text(self, name: str, pattern: str | None = None, limit: int = 4096) -> str:
        value = self.data.get(name)
        if not isinstance(value, str) or len(value) > limit or (pattern and not re.fullmatch(pattern, value)):
            self._fail(name, f"text of at most {limit} characters" + (f" matching {pattern}" if pattern else ""))
        return value

    def optional_text(self, name: str, pattern: str | None = None) -> str | None:
        return None if self.data.get(name) is None else self.text(name, pattern)

    def integer(self, name: str) -> int:
        value = self.data.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
            self._fail(name, "a whole number from 0")
        return value

    def number(self, name: str) -> float:
        value = self.data.get(name)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 1e15:
            self._fail(name, "a number from 0")
        return float(value)

    def time(self, name: str) -> datetime.datetime:
        try:
            return parse_time(self.text(name, limit=40))
        except InvalidInput:
            self._fail(name, "a time in ISO 8601")

    def mapping(self, name: str) -> dict[str, t.Any]:
        value = self.data.get(name)
        if not isinstance(value, dict):
            self._fail(name, "an object")
        return value

    def texts(self, name: str) -> list[str]:
        value = self.data.get(name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self._fail(name, "a list of texts")
        return value

    def items(self, name: str) -> list[Fields]:
        value = self.data.get(name)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self._fail(name, "a list of objects")
        return [Fields(item, f"{self.what}, {name}[{index}]") for index, item in enumerate(value)]

    def format(self) -> None:
        """Refuse a document of a format that this release does not know."""
        if self.data.get("format") != FORMAT:
            self._fail("format", f"{FORMAT}, the only one that this release reads")


def check_component(name: str) -> str:
    """The name, or :class:`InvalidInput`."""
    if not _COMPONENT.fullmatch(name):
        raise InvalidInput("not a component's name", expected="1 to 63 of a-z 0-9 _ -", found=repr(name[:100]))
    return name


def check_environment(name: str) -> str:
    """The name, or :class:`InvalidInput`."""
    if not _ENVIRONMENT.fullmatch(name):
        raise InvalidInput(
            "not an environment's name",
            expected="1 to 63 of A-Z a-z 0-9 . _ -, not starting with a dot",
            found=repr(name[:100]),
        )
    return name
