# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may be taken for the value of an expression: one number, or the reason why there is none."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._prometheus.client import Series
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

_SHOWN = 5
#: ``metric``, ``metric{…}`` or ``{…}``, with braces and quotes only where they belong.
_SELECTOR = re.compile(
    r"""\s*(?:[a-zA-Z_:][a-zA-Z0-9_:]*\s*(?:\{(?:[^{}"']|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')*\})?"""
    r"""|\{(?:[^{}"']|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')*\})\s*""",
    re.DOTALL,
)


def is_selector(expression: str) -> bool:
    """Whether it names series and computes nothing."""
    return _SELECTOR.fullmatch(expression) is not None


def only_one(series: t.Sequence[Series]) -> str | None:
    """Why these are not one series, naming them; None when they are."""
    if len(series) == 1:
        return None
    if not series:
        return "the expression has no value: its series are absent or stale"
    names = ", ".join(one.name for one in series[:_SHOWN])
    more = f" and {len(series) - _SHOWN} more" if len(series) > _SHOWN else ""
    return f"{counted(len(series), 'series', 'series')} where one is expected: {names}{more}"
