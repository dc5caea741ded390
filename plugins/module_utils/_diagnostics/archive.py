# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archive that a person opens: an index page, and below it a directory for each component and collector.

Written one component after the other, so that its size is no matter of memory.
"""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
import re
import tarfile
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_time
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.desk import SEVERITIES, Finding
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.index_html import render_index_html
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.index_markdown import render_index_markdown
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.part import Part

_LONGEST_NAME = 120


@dataclasses.dataclass
class Entry:
    """One item as the index has it. ``path``: in the archive. ``length``: bytes there were; ``kept``: that are there."""

    path: str
    name: str
    length: int
    kept: int
    note: str


@dataclasses.dataclass
class Section:
    """One collector as the index has it."""

    name: str
    title: str
    outcome: str
    why: str
    duration_s: float
    entries: list[Entry]


@dataclasses.dataclass
class Chapter:
    """One component as the index has it. ``problem``: why nothing was collected about it; empty when something was."""

    component: str
    host: str = ""
    started: str = ""
    duration_s: float = 0.0
    problem: str = ""
    findings: list[dict[str, str]] = dataclasses.field(default_factory=list)
    sections: list[Section] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Index:
    """The whole. ``made``: when (ISO 8601)."""

    title: str
    environment: str
    alert: str
    made: str
    chapters: list[Chapter]

    @property
    def findings(self) -> list[dict[str, str]]:
        """``severity``, ``component`` and ``text`` of those of every component, the worst first."""
        found = [{**one, "component": chapter.component} for chapter in self.chapters for one in chapter.findings]
        return sorted(found, key=lambda one: SEVERITIES.index(one["severity"]))


def chapter_of(part: Part) -> Chapter:
    """What the index says of a component; names of files are made here and nowhere else."""
    found = Chapter(part.component, part.host, part.started, part.duration_s)
    for one in part.collected:
        taken: set[str] = set()
        entries = []
        for item in one.items:
            name = _file_name(item.name, taken)
            path = f"{_file_name(part.component)}/{_file_name(one.name)}/{name}"
            entries.append(Entry(path, item.name, item.length, len(item.content), item.note))
        found.sections.append(Section(one.name, one.title, one.outcome, one.why, one.duration_s, entries))
    told = [*part.findings, *_missing(found.sections)]
    told.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    found.findings = [dataclasses.asdict(finding) for finding in told]
    return found


def unlooked(component: str, why: str) -> Chapter:
    """What the index says of a component that nothing was collected about."""
    finding = Finding("failure", f"nothing was collected: {why}")
    return Chapter(component, problem=why, findings=[dataclasses.asdict(finding)])


def _missing(sections: t.Iterable[Section]) -> t.Iterator[Finding]:
    """What could not be looked at stands out too: nobody may take it for well. Those with one reason in one line."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for section in sections:
        if section.outcome != "collected":
            reasons.setdefault((section.outcome, section.why), []).append(section.name)
    for (outcome, why), names in reasons.items():
        # Some of it is there, and the rest is told beside it.
        severity = "note" if outcome == "partly" else "warning"
        yield Finding(severity, f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} {outcome}: {why}")


def write_archive(file: t.BinaryIO, index: Index, parts: t.Iterable[Part]) -> None:
    """Write ``tar.gz``. :arg parts: those that the index was made from, in its order; read one after the other."""
    moment = int(parse_time(index.made).timestamp())
    chapters = {chapter.component: chapter for chapter in index.chapters}
    with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=moment) as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
            # What is said of a component that nothing came of may be anything, and takes nothing from the others.
            shown = json.dumps(dataclasses.asdict(index), indent=2, ensure_ascii=False)
            pages = {
                "index.html": render_index_html(index).encode("utf-8", "replace"),
                "index.md": render_index_markdown(index).encode("utf-8", "replace"),
                "index.json": f"{shown}\n".encode("utf-8", "replace"),
            }
            for name, content in pages.items():
                _add(archive, f"{index.title}/{name}", content, moment)
            for part in parts:
                for section, one in zip(chapters[part.component].sections, part.collected):
                    for entry, item in zip(section.entries, one.items):
                        _add(archive, f"{index.title}/{entry.path}", item.content, moment)


def _add(archive: tarfile.TarFile, path: str, content: bytes, moment: int) -> None:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mtime, entry.mode = len(content), moment, 0o600
    archive.addfile(entry, io.BytesIO(content))


def _file_name(name: str, taken: set[str] | None = None) -> str:
    """A name that leads nowhere, whatever a container or a component is called; another one than those taken."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._")
    stem, dot, ending = safe.rpartition(".")
    shortened = (
        f"{stem[: _LONGEST_NAME - len(ending) - 1]}{dot}{ending}" if dot and len(ending) < 6 else safe[:_LONGEST_NAME]
    )
    found, number = shortened or "item", 1
    while taken is not None and found in taken:
        number += 1
        found = f"{number}-{shortened}"
    if taken is not None:
        taken.add(found)
    return found
