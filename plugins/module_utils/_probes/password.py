# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The secrets of a probe: each given, or the content of a file on the host that asks."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Option, text
from ansible_collections.sre.runbooks.plugins.module_utils._secret_file import secret_in

PASSWORD: dict[str, Option] = {"password": Option(text, secret=True), "password_file": Option(text)}


def password_of(options: t.Mapping[str, t.Any]) -> str | None:
    """Blocks. Raises InvalidInput when its file cannot be read as text."""
    return secret_of(options, "password")


def secret_of(options: t.Mapping[str, t.Any], name: str) -> str | None:
    """The same of the option ``name``, beside which there is one with ``_file``."""
    given, path = options[name], options[f"{name}_file"]
    return secret_in(path, f"{name}_file") if given is None and path is not None else t.cast("str | None", given)
