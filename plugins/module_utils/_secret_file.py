# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A secret that is the content of a file."""

from __future__ import annotations

import shlex

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput

_LONGEST = 65536


def secret_in(path: str, option: str) -> str:
    """The file's content without the end of its line. Blocks.

    :arg option: the one that names the file, for the error.
    :raises InvalidInput: when the file cannot be read as text; it quotes nothing of it.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return file.read(_LONGEST).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"{option} {path} cannot be read",
            expected="a text that the user who runs the task can read",
            found=error.strerror if isinstance(error, OSError) else "no text in UTF-8",
            next_command=f"ls -l {shlex.quote(path)}",
        ) from None
