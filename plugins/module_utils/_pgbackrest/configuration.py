# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""pgBackRest's configuration: everything it needs, the passphrase too, in one file that only the server's account reads.

``archive_command`` is run by the server for years, so that the file is there to stay; what restores or verifies another
generation makes one that is gone afterwards. Nothing is read from ``/etc/pgbackrest``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pwd
import stat
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.place import Place
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import read_password_file
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.place import give, making_for
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.workplace import workplace
from ansible_collections.sre.runbooks.plugins.module_utils._whole_file import write_whole

#: Never expires by count, and never warns that it does not: retention is ours.
_KEEP_ALL = "9999999"
_GLOBAL = {
    "expire-auto": "n",
    "repo1-retention-full": _KEEP_ALL,
    "compress-type": "zst",
    "compress-level": "3",
    "log-level-file": "off",
    "log-level-console": "off",
    "log-level-stderr": "warn",
    "log-timestamp": "n",
    "start-fast": "y",
    # Half a minute for one exchange with the store; without it an unreachable one is tried for minutes.
    "io-timeout": "30",
    "db-timeout": "60",
    "protocol-timeout": "1830",
}


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The server as pgBackRest sees it: always on its own host.

    :arg os_user: the account that owns the data directory and runs the server; None when it is ours and we are not root.
    """

    data_dir: str
    port: int = 5432
    socket_dir: str | None = None
    role: str = "postgres"
    database: str = "postgres"
    os_user: str | None = None


def stanza_of(component: str) -> str:
    """pgBackRest's name for a component."""
    return component


def configuration_text(
    place: Place,
    cluster: Cluster | None,
    passphrase: str | None,
    extra: t.Mapping[str, str] | None = None,
) -> str:
    """The file's content: secret, for :func:`write_configuration` only.

    :arg cluster: None where no server is concerned (listing, verifying).
    :arg extra: further options, which win.
    """
    options = {**_GLOBAL, **place.options, **place.secrets}
    if passphrase:
        options.update({"repo1-cipher-type": "aes-256-cbc", "repo1-cipher-pass": passphrase})
    options.update(extra or {})
    lines = ["# Written by sre.runbooks; it holds secrets.", "[global]"]
    lines += [_line(name, value) for name, value in sorted(options.items())]
    lines.append(f"[{stanza_of(place.component)}]")
    if cluster is not None:
        server = {
            "pg1-path": cluster.data_dir,
            "pg1-port": str(cluster.port),
            "pg1-user": cluster.role,
            "pg1-database": cluster.database,
        }
        if cluster.socket_dir:
            server["pg1-socket-path"] = cluster.socket_dir
        lines += [_line(name, value) for name, value in sorted(server.items())]
    return "\n".join(lines) + "\n"


def _line(name: str, value: str) -> str:
    if value != value.strip() or any(character in value for character in "\r\n\0"):
        # The value may be a secret.
        raise InvalidInput(
            f"a value that pgBackRest's configuration cannot hold: {name}",
            expected="one line without space around it",
            found="another one",
        )
    return f"{name}={value}"


def read_configuration(path: str) -> str | None:
    """The file's content; None when there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise EngineError(
            "pgBackRest's configuration cannot be read",
            expected=f"a readable file {path}",
            found=str(getattr(error, "strerror", None) or "not UTF-8 text"),
            next_command="run the playbook as the account that runs the server, or as root (become)",
        ) from None


def option_of(text: str, name: str) -> str | None:
    """The value of an option in a configuration; None when it is not set."""
    for line in text.splitlines():
        found, separator, value = line.partition("=")
        if separator and found == name:
            return value
    return None


def described(settings: t.Mapping[str, str | None], text: str | None) -> str:
    """The server's settings and pgBackRest's configuration, for a diff; without secrets."""
    lines = [f"{name} = {value}" for name, value in sorted(settings.items()) if value is not None]
    shown = without_secrets(text) if text is not None else "no configuration\n"
    return "\n".join(lines) + "\n\n" + shown


def without_secrets(text: str) -> str:
    """The configuration for people and diffs."""
    hidden = ("cipher-pass", "-s3-key", "-s3-key-secret", "-s3-token")
    shown = []
    for line in text.splitlines():
        name, separator, _value = line.partition("=")
        shown.append(f"{name}=********" if separator and name.endswith(hidden) else line)
    return "\n".join(shown) + "\n"


def write_configuration(path: str, text: str, user: str | None) -> None:
    """Replace the file in one step: 0600, owned by ``user``, its directory too where it is new."""
    directory = os.path.dirname(path)
    try:
        if not os.path.isdir(directory):
            os.makedirs(directory, 0o700)
            give(directory, user)
        write_whole(path, text.encode(), 0o600, user)
    except OSError as error:
        raise EngineError(
            "pgBackRest's configuration cannot be written",
            expected=f"a writable directory {directory}",
            found=str(error.strerror),
            next_command="name another directory with config_dir (component_pitr_config_dir in the inventory)",
        ) from None


def private(path: str, user: str | None) -> bool:
    """Whether the file belongs to ``user`` (or to us) and nobody else may read it."""
    found = os.stat(path)
    owner = pwd.getpwnam(user).pw_uid if user is not None else os.geteuid()
    return found.st_uid == owner and not stat.S_IMODE(found.st_mode) & 0o077


@contextlib.contextmanager
def temporary_configuration(text: str, user: str | None) -> t.Iterator[str]:
    """The path of a configuration in a private directory, gone afterwards; its lock directory is in there too.

    What a killed process left, which holds secrets, is removed by the next one that asks.
    """
    with workplace("srb-pitr-", None, making_for(user)) as directory:
        path = os.path.join(directory, "pgbackrest.conf")
        write_configuration(path, text.replace("[global]\n", f"[global]\nlock-path={directory}/lock\n", 1), user)
        yield path


def passphrases(params: t.Mapping[str, t.Any]) -> list[str | None]:
    """The current passphrase (None: not encrypted) and then the earlier ones, from a module's ``cipher_*`` options."""
    current = params.get("cipher_pass") or None
    if current is None and params.get("cipher_pass_file"):
        current = read_password_file(params["cipher_pass_file"])
    found: list[str | None] = [current]
    found += [read_password_file(path) for path in params.get("previous_cipher_pass_files") or []]
    return found
