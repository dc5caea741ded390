# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archive's first page for tickets and terminals, with the same facts as the one for browsers."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration
from ansible_collections.sre.runbooks.plugins.module_utils._runs.markdown_text import plain, said
from ansible_collections.sre.runbooks.plugins.module_utils._runs.words import moment_text, size_text

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.archive import Chapter, Index, Section


def render_index_markdown(index: Index) -> str:
    """Names and messages come from hosts and servers: nothing of them is taken for Markdown."""
    lines = [
        f"# Diagnostics of {plain(index.environment)} for {plain(index.alert)}",
        "",
        f"{plain(index.title)}, {moment_text(index.made)}",
        "",
        "## At a glance",
        "",
    ]
    found = [f"- **{one['severity']}** {plain(one['component'])}: {said(one['text'])}" for one in index.findings]
    lines += found or ["Nothing stands out."]
    for chapter in index.chapters:
        lines += ["", *_chapter(chapter)]
    return "\n".join(lines) + "\n"


def _chapter(chapter: Chapter) -> list[str]:
    lines = [f"## {plain(chapter.component)}", ""]
    if chapter.problem:
        return [*lines, plain(chapter.problem)]
    took = format_duration(chapter.duration_s)
    lines += [f"From {plain(chapter.host)} in {took}.", "", "| what | became | took | items | missing |"]
    lines.append("|---|---|---|---|---|")
    return lines + [_row(section) for section in chapter.sections]


def _row(section: Section) -> str:
    items = ", ".join(
        f"{plain(entry.path)} ({size_text(entry.kept)}{'; ' + plain(entry.note) if entry.note else ''})"
        for entry in section.entries
    )
    took = format_duration(section.duration_s)
    return f"| {plain(section.title)} | {section.outcome} | {took} | {items} | {plain(section.why)} |"
