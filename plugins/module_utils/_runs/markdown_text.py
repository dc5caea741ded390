# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What others wrote, in Markdown: text stays text, and what is copied out of code is what was said."""

from __future__ import annotations

import re

from ansible_collections.sre.runbooks.plugins.module_utils._runs.words import printable

#: To its end a command, up to a space an address or a name that would be called; none has what ends code or a table's cell.
_COPIED = re.compile(
    r"\bansible-playbook [^`|]*?(?=[`|]|; |$)|[^\s`|(\u201c\"']*(?:://|@(?=\w)|\bwww\.)[^\s`|]*?(?=[.,;:)\u201d\"']*(?:[\s`|]|$))"
)
#: What is next, to the end or to what else is said.
_NEXT = re.compile(
    r"(?<=; next: ).+?"
    r"(?=; (?:expected|found|next|report|archive): |; (?:[\w.-]+: )?probe \d+\b|; and \d+ more\b|$)"
)


def plain(text: str) -> str:
    """Text in Markdown, table cells included: no markup, no link, no mention, no line break.

    What is to be copied, commands and addresses, is code, where nothing is added to it. An address outside of code would be a
    link, and @name call somebody.
    """
    text = printable(text)
    parts, end = [], 0
    for found in _COPIED.finditer(text):
        parts += [_escaped(text[end : found.start()]), f"`{found[0]}`"]
        end = found.end()
    return "".join([*parts, _escaped(text[end:])])


def said(text: str) -> str:
    """An error's line outside of tables: what is next is code as a whole, so that it is pasted as it was meant."""
    text = printable(text)
    parts, end = [], 0
    for found in _NEXT.finditer(text):
        step = found[0]
        parts += [plain(text[end : found.start()]), plain(step) if "ansible-playbook " in step else code(step)]
        end = found.end()
    return "".join([*parts, plain(text[end:])])


def code(text: str) -> str:
    """One line as code with whatever is in it: its quotes are more than it has in a row. Not for the cells of tables."""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    room = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{room}{text}{room}{fence}"


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]()<>#|~!&])", r"\\\1", text)
