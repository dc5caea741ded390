# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The password of a probe: given, or the content of a file on the host that asks."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Option, text

PASSWORD: dict[str, Option] = {"password": Option(text, secret=True), "password_file": Option(text)}
_LONGEST = 65536


def password_of(options: t.Mapping[str, t.Any]) -> str | None:
    """The file's content without the end of its line. Blocks.

    :raises InvalidInput: when the file cannot be read as text.
    """
    path: str | None = options["password_file"]
    if options["password"] is not None or path is None:
        return t.cast("str | None", options["password"])
    try:
        with open(path, encoding="utf-8") as file:
            return file.read(_LONGEST).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        found = error.strerror if isinstance(error, OSError) else "no text in UTF-8"
        raise InvalidInput(
            f"the password file {path} cannot be read",
            expected="a file that the user who runs the probe can read",
            found=found,
        ) from None
