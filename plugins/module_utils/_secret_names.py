# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which variables have a value that no command line may hold, as one is for everybody on the machine to read."""

from __future__ import annotations

import re

_SECRET = re.compile(
    r"pass(word|wd|phrase)?(_|$)|secret|token|credential|private|(access|api|signing)_?key|webhook_?url$|identity$",
    re.I,
)
#: Of these, only where the secret is.
_HARMLESS = re.compile(r"_(files?|path|dir)$", re.I)


def may_be_secret(name: str) -> bool:
    """Whether the value of a variable of this name may be a secret."""
    return _SECRET.search(name) is not None and _HARMLESS.search(name) is None
