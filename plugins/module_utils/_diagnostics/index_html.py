# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archive's first page for people: what stands out, what there is, and what is missing and why."""

from __future__ import annotations

import typing as t
import urllib.parse

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration
from ansible_collections.sre.runbooks.plugins.module_utils._runs.html_findings import findings_card
from ansible_collections.sre.runbooks.plugins.module_utils._runs.html_style import STYLE
from ansible_collections.sre.runbooks.plugins.module_utils._runs.markup import Html, page, tag
from ansible_collections.sre.runbooks.plugins.module_utils._runs.words import moment_text, size_text
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.archive import Chapter, Index, Section

_TONES = {"collected": "met", "partly": "missed", "failed": "failed", "late": "failed"}
_OWN_STYLE = """
a { color: var(--accent); }
.items { list-style: none; } .items li { margin-bottom: 2px; }
td:first-child { width: 34%; } td:nth-child(2), td:nth-child(3), th { white-space: nowrap; }
"""


def render_index_html(index: Index) -> str:
    """A page that loads nothing, runs nothing, and links to the files beside it."""
    title = f"Diagnostics · {index.environment} · {index.alert}"
    top = tag(
        "div",
        tag("span", tag("b", "Diagnostics"), f" · environment {index.environment} · alert {index.alert}"),
        tag("code", f"{index.title} · {moment_text(index.made)}"),
        class_="top",
    )
    body = tag("main", top, tag("h2", "At a glance"), _glance(index), [_chapter(one) for one in index.chapters])
    return page(title, STYLE + _OWN_STYLE, body)


def _glance(index: Index) -> Html:
    if not index.findings:
        return tag("p", "Nothing stands out.", class_="card allclear")
    return findings_card(index.findings)


def _chapter(chapter: Chapter) -> list[Html]:
    items = sum(len(section.entries) for section in chapter.sections)
    where = f"{counted(items, 'item')} from {chapter.host or 'nowhere'} in {format_duration(chapter.duration_s)}"
    rows = [_row(section) for section in chapter.sections]
    heading = tag("tr", [tag("th", name) for name in ("What", "Became", "Took", "Items")])
    return [
        tag("h2", chapter.component),
        tag("p", chapter.problem or where, class_="soft"),
        tag("div", tag("table", heading, rows), class_="card scroll") if rows else tag("p"),
    ]


def _row(section: Section) -> Html:
    items = [
        tag(
            "li",
            tag("a", entry.name, href=urllib.parse.quote(entry.path)),
            tag("span", f" {size_text(entry.kept)}", class_="faint"),
            tag("span", f" – {entry.note}", class_="faint") if entry.note else None,
        )
        for entry in section.entries
    ]
    return tag(
        "tr",
        tag("td", section.title, tag("div", section.why, class_="faint") if section.why else None),
        tag("td", section.outcome, class_=f"tone {_TONES[section.outcome]}"),
        tag("td", format_duration(section.duration_s)),
        tag("td", tag("ul", items, class_="items")),
    )
