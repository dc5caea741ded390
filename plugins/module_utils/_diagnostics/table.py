# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows as aligned text, as a person reads them in a terminal."""

from __future__ import annotations

import typing as t

_WIDEST = 60


def aligned(headings: t.Sequence[str], rows: t.Iterable[t.Sequence[t.Any]]) -> str:
    """Columns as wide as they need to be, at most 60 characters but for the last, which ends where it ends."""
    lines = [[cell(value) for value in row] for row in rows]
    widths = [len(name) for name in headings]
    for line in lines:
        widths = [max(width, min(len(value), _WIDEST)) for width, value in zip(widths, line)]
    written = [
        _line(headings, widths),
        _line(["-" * width for width in widths[:-1]] + ["-" * len(headings[-1])], widths),
    ]
    written += [_line(line, widths) for line in lines]
    return "\n".join(written) + "\n"


def cell(value: t.Any) -> str:
    """One line without control characters; ``-`` for nothing."""
    if value is None or value == "":
        return "-"
    text = " ".join(str(value).split())
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def _line(values: t.Sequence[str], widths: t.Sequence[int]) -> str:
    shown = [value if len(value) <= width else f"{value[: width - 1]}…" for value, width in zip(values, widths)]
    shown[-1] = values[-1]
    return "  ".join(value.ljust(width) for value, width in zip(shown, widths)).rstrip()
