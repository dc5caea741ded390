# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which lines of a log speak of an error."""

from __future__ import annotations

import re

OF_ERRORS = r"\b(?i:error|fatal|panic|critical|exception|traceback|segfault|out of memory)\b"


def matching(text: str, pattern: re.Pattern[str] = re.compile(OF_ERRORS)) -> int:
    """How many lines match."""
    return sum(pattern.search(line) is not None for line in text.splitlines())
