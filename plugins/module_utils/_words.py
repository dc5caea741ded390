# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbers of things as people say them, and what errors and programs say, in one line and without secrets."""

from __future__ import annotations

import typing as t

MASK = "********"


def counted(count: int, singular: str, plural: str | None = None) -> str:
    """``0 points``, ``1 point``, ``2 points``; ``plural`` where it is not just an s more."""
    return f"{count} {singular if count == 1 else plural or singular + 's'}"


def said(error: BaseException | str) -> str:
    """One line of at most 300 characters; the type of an error that says nothing."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def shortened(text: str, longest: int) -> str:
    """The text; of one that is longer, the beginning."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def masked(text: str, secrets: t.Iterable[str]) -> str:
    """Without any of the secrets, of which the longest come first. Give it all of a text: half of one is not known."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, MASK)
    return text
