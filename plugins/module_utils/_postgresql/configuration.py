# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of a server of our own: this machine only, a password always."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput

#: Included by the server's postgresql.conf.
SETTINGS_FILE = "sre_runbooks.conf"
HBA = """\
# Written by sre.runbooks: this machine only, always with a password.
local all all scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
host all all ::1/128 scram-sha-256
local replication all scram-sha-256
host replication all 127.0.0.1/32 scram-sha-256
"""


def settings_text(port: int, socket_dir: str, settings: t.Mapping[str, t.Any], tcp: bool = True) -> str:
    """The content of our settings file: what is always so, then ``settings``."""
    wanted: dict[str, t.Any] = {
        "listen_addresses": "127.0.0.1" if tcp else "",
        "port": port,
        "unix_socket_directories": socket_dir,
        "unix_socket_permissions": "0700",
        "password_encryption": "scram-sha-256",
        "logging_collector": "off",
        # In the data directory, so that even a killed server leaves nothing outside it.
        "dynamic_shared_memory_type": "mmap",
        "log_timezone": "UTC",
        "timezone": "UTC",
        **settings,
    }
    return "".join(f"{name} = {quote(value)}\n" for name, value in sorted(wanted.items()))


def quote(value: object) -> str:
    """A setting's value as the server's configuration file has it. Raises :class:`InvalidInput`."""
    if isinstance(value, bool):
        return "on" if value else "off"
    text = str(value)
    if "\n" in text or "\0" in text:
        raise InvalidInput("a setting cannot hold a line break", expected="one line", found=repr(text[:80]))
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
