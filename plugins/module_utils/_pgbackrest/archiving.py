# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How archiving is set up: the settings that the server must have, and the generation that its log goes to."""

from __future__ import annotations

import dataclasses
import os
import shlex
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import Refused
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.access import WRONG_PASSPHRASE, find_passphrase
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.command import PgbackrestError
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.configuration import stanza_of
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.info import MISSING_DATA, StanzaInfo
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.place import (
    Place,
    generations,
    next_generation,
    place_of,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.server import ServerFacts

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

#: What "archive nothing, keep nothing" is while archive_mode cannot be switched off: an empty command would keep all.
DISCARD = "/bin/true"
_NO_COMMAND = ("", "(disabled)", DISCARD)
_LONGEST_TIMEOUT_S = 600
_LEVELS = {"minimal": 0, "archive": 1, "hot_standby": 1, "replica": 1, "logical": 2}


def default_config_dir() -> str:
    """Where configurations lie when nobody says: of the system for root, else of the account."""
    return "/etc/sre-runbooks" if os.geteuid() == 0 else os.path.expanduser("~/.config/sre-runbooks")


def config_path(config_dir: str | None, component: str) -> str:
    """The configuration that ``archive_command`` names."""
    return os.path.join(config_dir or default_config_dir(), component, "pgbackrest.conf")


def lock_path(path: str) -> str:
    """pgBackRest's locks and nothing else; beside the configuration, so that no other account's are in the way."""
    return os.path.join(os.path.dirname(path), "lock")


def archive_command(program: str, path: str, component: str) -> str:
    """What the server runs for each segment."""
    words = [program, f"--config={path}", f"--stanza={stanza_of(component)}", "archive-push"]
    # A per cent sign of ours would be the server's.
    return " ".join(shlex.quote(word).replace("%", "%%") for word in words) + " %p"


def archive_timeout_s(rpo_s: float) -> int:
    """After half of the RPO a segment is ended however little is in it, so that it arrives within the other half."""
    return int(max(1, min(_LONGEST_TIMEOUT_S, rpo_s / 2)))


def wanted_settings(facts: ServerFacts, command: str, timeout_s: int) -> dict[str, str]:
    """The settings that archiving needs, and that are not more than that already."""
    mode = facts.configured["archive_mode"]
    level = facts.configured["wal_level"]
    return {
        "archive_mode": mode if mode in ("on", "always") else "on",
        "archive_command": command,
        "archive_timeout": str(timeout_s),
        "wal_level": level if _LEVELS.get(level, 0) >= _LEVELS["replica"] else "replica",
    }


def differing(facts: ServerFacts, wanted: t.Mapping[str, str]) -> dict[str, str]:
    """Those of ``wanted`` that the server's files do not say yet."""
    return {name: value for name, value in wanted.items() if facts.configured.get(name) != value}


def awaiting_restart(facts: ServerFacts) -> list[str]:
    """Settings that only a restart brings into force."""
    needed = []
    if not facts.archiving:
        needed.append("archive_mode")
    if _LEVELS.get(facts.settings["wal_level"], 0) < _LEVELS["replica"]:
        needed.append("wal_level")
    return needed


def refuse_foreign_archiving(facts: ServerFacts, path: str, component: str) -> None:
    """Raise :class:`Refused` when somebody else's archiving is in place: replacing it would end it in silence."""
    command, library = facts.configured["archive_command"], facts.settings.get("archive_library", "")
    if library:
        found = f"archive_library {library!r}"
    elif command in _NO_COMMAND or f"--config={path}" in command:
        return
    else:
        found = f"archive_command {command!r}"
    raise Refused(
        "the server archives already, to somewhere else",
        component,
        expected="a server without archiving, or with this component's",
        found=found[:300],
        next_command="end that archiving, or set component_pitr_replace_archiving: true in the inventory",
    )


@dataclasses.dataclass(frozen=True)
class Target:
    """Where the log is to go. ``new``: nothing is there yet. ``info``: what is."""

    place: Place
    new: bool
    info: StanzaInfo | None
    reason: str


def choose_target(
    repository: Repository,
    component: str,
    passphrases: t.Sequence[str | None],
    s3: t.Mapping[str, t.Any] | None,
    user: str | None,
) -> Target:
    """The generation for the current passphrase (the first one): the newest when it opens with it, else a new one.

    A new one is only begun when the newest opens with an earlier passphrase that was given too, or with none: a mistyped
    one must not begin a new generation, and a lost one is named before it is needed.
    """
    known = generations(repository, component)

    def place(generation: str) -> Place:
        return place_of(repository.url, component, generation, s3)

    if not known:
        first = place(next_generation(known))
        # Nothing is there; whether it can be reached, and how its certificate is named, is known afterwards.
        find_passphrase(first, passphrases[:1], user)
        return Target(first, True, None, "there is no generation yet")
    newest = place(known[-1])
    current, earlier = passphrases[0], [*passphrases[1:], None]
    try:
        _passphrase, info = find_passphrase(newest, [current], user)
    except PgbackrestError as error:
        if error.code != WRONG_PASSPHRASE:
            raise
        try:
            find_passphrase(newest, [passphrase for passphrase in earlier if passphrase != current] or [current], user)
        except PgbackrestError as other:
            if other.code == WRONG_PASSPHRASE:
                raise _unknown_passphrase(component, known[-1]) from None
            raise
        return Target(place(next_generation(known)), True, None, f"generation {known[-1]} has another passphrase")
    if info.code == MISSING_DATA:
        return Target(place(next_generation(known)), True, None, f"generation {known[-1]} was never finished")
    return Target(newest, False, info, f"generation {known[-1]} opens with the passphrase")


def _unknown_passphrase(component: str, generation: str) -> Refused:
    return Refused(
        f"no passphrase that was given opens generation {generation}",
        component,
        expected="the current passphrase, or for a change of it the earlier one too",
        found="neither opens it",
        next_command="correct component_pitr_cipher_pass_file, or name the earlier one in component_pitr_previous_cipher_pass_files",
    )
