# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Code in Markdown, where nothing can be escaped: what is copied out of it is what was said."""

from __future__ import annotations

import re
import typing as t

#: What is next, to the end or to what else is said.
_NEXT = re.compile(
    r"(?<=; next: ).+?"
    r"(?=; (?:expected|found|next|report|archive): |; (?:[\w.-]+: )?probe \d+\b|; and \d+ more\b|$)"
)


def code(text: str) -> str:
    """One line as code with whatever is in it: its quotes are more than it has in a row. Not for the cells of tables."""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    room = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{room}{text}{room}{fence}"


def next_as_code(text: str, plain: t.Callable[[str], str], step: t.Callable[[str], str] = code) -> str:
    """An error's line, of which what is next goes through ``step``, and everything else through ``plain``."""
    parts, end = [], 0
    for found in _NEXT.finditer(text):
        parts += [plain(text[end : found.start()]), step(found[0])]
        end = found.end()
    return "".join([*parts, plain(text[end:])])
