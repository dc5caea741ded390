# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a collector puts down what it finds: masked and bounded as it comes, and closed when the time is up."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.masking import Masker
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.table import aligned, cell

#: What is worth a person's attention, the worst first; the words of the report's findings.
SEVERITIES = ("failure", "warning", "note")
_MOST_ITEMS = 200
_MOST_FINDINGS = 50
_LONGEST_FINDING = 500
_LONGEST_STEP = 2000


class TimeIsUp(Exception):
    """Nobody waits for what the collector still brings."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """:ivar severity: one of :data:`SEVERITIES`. :ivar text: one line that names the thing."""

    severity: str
    text: str


@dataclasses.dataclass
class Item:
    """One file of the archive.

    :ivar name: as a file's, unique within its collector. :ivar length: bytes there were. :ivar note: what is left out.
    """

    name: str
    content: bytes
    length: int
    note: str = ""


class Desk:
    """One collector's. Threads may share it.

    :arg item_limit: the most bytes of one item. :arg deadline: on the monotonic clock.
    """

    def __init__(self, masker: Masker, item_limit: int, deadline: float) -> None:
        self.masker, self.item_limit, self.deadline = masker, item_limit, deadline
        self._lock = threading.Lock()
        self._open = True
        self._items: dict[str, Item] = {}
        self._findings: list[Finding] = []
        self._problems: list[str] = []

    @property
    def left_s(self) -> float:
        """Seconds until the time is up; never 0, which means "for ever" to many."""
        return max(0.05, self.deadline - time.monotonic())

    def text(self, name: str, text: str, newest_last: bool = False, note: str = "") -> None:
        """Keep a text; of one that is too long the end for a log (``newest_last``), else the beginning.

        :arg note: what is left out already.
        """
        self._keep(name, self.masker.text(text), newest_last, self.masker.text(note))

    def _keep(self, name: str, masked: str, newest_last: bool = False, note: str = "") -> None:
        whole = masked.encode("utf-8", "replace")
        content, cut = bounded(whole, self.item_limit, newest_last)
        notes = "; ".join(part for part in (note, cut) if part)
        with self._lock:
            self._require_open()
            if len(self._items) >= _MOST_ITEMS:
                self._complain(f"more than {_MOST_ITEMS} items: the rest is left out")
                return
            self._items[name] = Item(clean(self.masker.text(name)), content, len(whole), clean(notes))

    def table(self, name: str, headings: t.Sequence[str], rows: t.Iterable[t.Sequence[t.Any]]) -> None:
        """Keep rows as aligned text. Each cell is masked by itself."""
        self._keep(f"{name}.txt", aligned(headings, [[self.masker.text(cell(value)) for value in row] for row in rows]))

    def document(self, name: str, value: t.Any) -> None:
        """Keep a value as JSON."""
        shown = json.dumps(self.masker.value(value), indent=2, ensure_ascii=False, default=str)
        self._keep(f"{name}.json", f"{shown}\n")

    def finding(self, severity: str, text: str, next_step: str = "") -> None:
        """Something that stands out, for the first page.

        :arg next_step: what to do about it, said whole or not at all: a command that is cut off is none.
        """
        step = f"; next: {cell(self.masker.text(next_step))}" if next_step else ""
        if len(step) > _LONGEST_STEP:
            step = ""
        line = clean(cell(self.masker.text(text))[:_LONGEST_FINDING] + step)
        with self._lock:
            self._require_open()
            if len(self._findings) < _MOST_FINDINGS:
                self._findings.append(Finding(severity, line))

    def problem(self, text: str) -> None:
        """Something could not be looked at; the collector goes on."""
        with self._lock:
            self._require_open()
            self._complain(clean(cell(self.masker.text(text))[:_LONGEST_FINDING]))

    def close(self) -> tuple[list[Item], list[Finding], list[str]]:
        """What there is: items in their order, findings the worst first, problems. Whoever comes later, comes too late."""
        with self._lock:
            self._open = False
            findings = sorted(self._findings, key=lambda finding: SEVERITIES.index(finding.severity))
            return list(self._items.values()), findings, list(self._problems)

    def _require_open(self) -> None:
        if not self._open:
            raise TimeIsUp

    def _complain(self, text: str) -> None:
        if text not in self._problems:
            self._problems.append(text)


def clean(text: str) -> str:
    """As text that can be written: names of files need not be, and stand for their bytes with what no encoding has."""
    return text.encode("utf-8", "replace").decode()


def bounded(content: bytes, limit: int, newest_last: bool) -> tuple[bytes, str]:
    """At most ``limit`` bytes, whole characters, and what was left out in words (empty for nothing)."""
    if len(content) <= limit:
        return content, ""
    kept = content[len(content) - limit :] if newest_last else content[:limit]
    kept = kept.decode("utf-8", "ignore").encode("utf-8")
    where = "first" if newest_last else "last"
    return kept, f"the {where} {len(content) - len(kept)} of {len(content)} bytes are left out"
