# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands to run next, completed with what only the operator's own command line says.

A module knows which playbook gets further and for which component, and nothing of inventories, vaults and extra variables.
It writes ``ansible-playbook sre.runbooks.x …``, ``the same command`` or ``the same command with -e …``; on the controller
all become commands that can be pasted. Values that may be secret are left out.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import typing as t

from ansible import context
from ansible.parsing.splitter import parse_kv
from ansible.parsing.utils.yaml import from_yaml

_OTHER = re.compile(r"\bansible-playbook(?= sre\.runbooks\.[a-z_]+)")
_SAME = re.compile(r"\bthe same command(?: with((?: (?:--limit|-e) (?:'[^']*'|[^\s;,']+))+)|(?! with))")
#: Variables that say where everything is; those of one runbook mean nothing to another.
_GENERAL = re.compile(r"(repository|component|environment|run|ansible)_")
_SECRET = re.compile(
    r"pass(word|wd|phrase)?(_|$)|secret|token|credential|private|access_key|identity$|signing_key$", re.I
)
_HARMLESS = re.compile(r"_(files?|path|dir)$")


@dataclasses.dataclass(frozen=True)
class Invocation:
    """An ``ansible-playbook`` command line. ``variables``: name and value of each ``-e``, in their order."""

    playbooks: tuple[str, ...] = ()
    inventories: tuple[str, ...] = ()
    limit: str | None = None
    variables: tuple[tuple[str, t.Any], ...] = ()
    variable_files: tuple[str, ...] = ()
    vault: tuple[str, ...] = ()

    def general(self) -> list[str]:
        """The arguments that every playbook of the same environment needs."""
        given = [part for path in self.inventories for part in ("-i", path)]
        given += [*self.vault, *(part for path in self.variable_files for part in ("-e", path))]
        return given + _assignments((name, value) for name, value in self.variables if _GENERAL.match(name))

    def with_added(self, added: t.Sequence[str]) -> list[str]:
        """This command with further ``--limit`` and ``-e``, which replace its own of the same name."""
        pairs = list(zip(added[::2], added[1::2], strict=True))
        names = {value.partition("=")[0] for option, value in pairs if option == "-e"}
        given = [part for path in self.inventories for part in ("-i", path)] + [*self.vault]
        given += list(self.playbooks)
        if self.limit and "--limit" not in added:
            given += ["--limit", self.limit]
        given += [part for path in self.variable_files for part in ("-e", path)]
        given += _assignments((name, value) for name, value in self.variables if name not in names)
        return ["ansible-playbook", *given, *added]


def current_invocation() -> Invocation | None:
    """What the operator typed; None where nobody typed an ``ansible-playbook`` (``ansible``, AWX)."""
    cli = context.CLIARGS
    playbooks = cli.get("args")
    if not isinstance(playbooks, (list, tuple)) or "extra_vars" not in cli or "AWX_HOST" in os.environ:
        return None
    variables: list[tuple[str, t.Any]] = []
    files = []
    for given in cli.get("extra_vars") or ():
        if given.startswith("@"):
            files.append(given)
        else:
            variables += _parsed(given)
    vault = [part for given in cli.get("vault_ids") or () for part in ("--vault-id", given)]
    vault += [part for given in cli.get("vault_password_files") or () for part in ("--vault-password-file", given)]
    return Invocation(
        playbooks=tuple(playbooks),
        inventories=tuple(cli.get("inventory") or ()),
        limit=cli.get("subset") or None,
        variables=tuple(variables),
        variable_files=tuple(files),
        vault=tuple(vault),
    )


def completed(value: t.Any, invocation: Invocation | None) -> t.Any:
    """``value`` with every command in its texts completed; lists and mappings too. A complete one stays as it is."""
    if invocation is None:
        return value
    if isinstance(value, str):
        arguments = shlex.join(invocation.general())
        text = _OTHER.sub(lambda _found: f"ansible-playbook {arguments}".rstrip(), value)
        return _SAME.sub(lambda found: shlex.join(invocation.with_added(shlex.split(found[1] or ""))), text)
    if isinstance(value, dict):
        return {name: completed(item, invocation) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [completed(item, invocation) for item in value]
    return value


def complete_result(result: dict[str, t.Any]) -> None:
    """Complete the commands in what a module says to people."""
    invocation = current_invocation()
    for name in ("msg", "message", "detail", "error"):
        if name in result:
            result[name] = completed(result[name], invocation)


def _parsed(given: str) -> list[tuple[str, t.Any]]:
    try:
        found = from_yaml(given) if given[:1] in "{[" else parse_kv(given)
    except Exception:  # ansible-playbook itself has complained about it by now
        return []
    # What was cut off at a space belongs to no variable.
    return (
        [(str(name), value) for name, value in found.items() if name != "_raw_params"]
        if isinstance(found, dict)
        else []
    )


def _assignments(variables: t.Iterable[tuple[str, t.Any]]) -> list[str]:
    given: list[str] = []
    for name, value in variables:
        if _may_be_secret(name, value):
            continue
        plain = f"{name}={value}"
        # Ansible cuts name=value at a space and takes quotes off.
        given += ["-e", plain if parse_kv(plain) == {name: value} else json.dumps({name: value}, ensure_ascii=False)]
    return given


def _may_be_secret(name: str, value: t.Any) -> bool:
    if isinstance(value, dict):
        return any(_may_be_secret(str(inner), item) for inner, item in value.items())
    if isinstance(value, list):
        return any(_may_be_secret(name, item) for item in value)
    return bool(_SECRET.search(name)) and not _HARMLESS.search(name)
