# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the operator typed, with which the commands to run next are completed (``module_utils/_runs/commands.py``).

Values that may be secret are left out.
"""

from __future__ import annotations

import dataclasses
import json
import os
import typing as t

from ansible import context
from ansible.parsing.splitter import parse_kv
from ansible.parsing.utils.yaml import from_yaml

from ansible_collections.sre.runbooks.plugins.module_utils._runs.commands import Invocation, completed
from ansible_collections.sre.runbooks.plugins.module_utils._secret_names import may_be_secret


def current_invocation() -> Invocation | None:
    """What the operator typed; None where nobody typed an ``ansible-playbook`` (``ansible``, AWX)."""
    cli = context.CLIARGS
    playbooks = cli.get("args")
    if not isinstance(playbooks, (list, tuple)) or "extra_vars" not in cli or "AWX_HOST" in os.environ:
        return None
    variables: list[tuple[str, str]] = []
    files = []
    for given in cli.get("extra_vars") or ():
        if given.startswith("@"):
            files.append(given)
        else:
            variables += _assignments(_parsed(given))
    vault = [part for given in cli.get("vault_ids") or () for part in ("--vault-id", given)]
    vault += [part for given in cli.get("vault_password_files") or () for part in ("--vault-password-file", given)]
    return Invocation(
        playbooks=tuple(playbooks),
        inventories=tuple(cli.get("inventory") or ()),
        limit=cli.get("subset") or None,
        variables=tuple(variables),
        variable_files=tuple(files),
        vault=tuple(vault),
        modes=tuple(f"--{mode}" for mode in ("check", "diff") if cli.get(mode)),
    )


def complete_result(result: dict[str, t.Any]) -> None:
    """Complete the commands in what a module says to people."""
    invocation = current_invocation()
    for name in ("msg", "message", "detail", "error"):
        if name in result:
            result[name] = completed(result[name], invocation)
    complete_error(result, invocation)


def complete_error(result: dict[str, t.Any], invocation: Invocation | None) -> None:
    """The same in what Ansible remembers of the failure, to show it before the result."""
    summary = result.get("exception")
    event = getattr(summary, "event", None)
    # A text is the traceback of an older core.
    if dataclasses.is_dataclass(summary) and dataclasses.is_dataclass(event) and not isinstance(event, type):
        said = dataclasses.replace(event, msg=completed(t.cast("t.Any", event).msg, invocation))
        result["exception"] = dataclasses.replace(t.cast("t.Any", summary), event=said)


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


def _assignments(variables: t.Iterable[tuple[str, t.Any]]) -> t.Iterator[tuple[str, str]]:
    """The name, and what to write after an ``-e``."""
    for name, value in variables:
        if _may_be_secret(name, value):
            continue
        plain = f"{name}={value}"
        # Ansible cuts name=value at a space and takes quotes off.
        yield name, plain if parse_kv(plain) == {name: value} else json.dumps({name: value}, ensure_ascii=False)


def _may_be_secret(name: str, value: t.Any) -> bool:
    if isinstance(value, dict):
        return any(_may_be_secret(str(inner), item) for inner, item in value.items())
    if isinstance(value, list):
        return any(_may_be_secret(name, item) for item in value)
    return may_be_secret(name)
