# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which of the words that there are a misspelt one was meant to be."""

from __future__ import annotations

import difflib
import typing as t


def nearest(word: str, known: t.Iterable[str], likeness: float = 0.5) -> str | None:
    """The one that is most like it, in whatever case; None where none is like it enough.

    :arg likeness: from 0 to 1, how much is enough.
    """
    by_letters = {one.lower(): one for one in sorted(known)}
    found = difflib.get_close_matches(word.lower(), by_letters, n=1, cutoff=likeness)
    return by_letters[found[0]] if found else None


def meant(word: str, known: t.Iterable[str], before: str = "") -> str:
    """``, did you mean 'at'?`` to end a sentence with, or nothing. :arg before: what comes before the word."""
    near = nearest(word, known)
    return f", did you mean {before + near!r}?" if near else ""
