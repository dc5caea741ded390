# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands to run next, completed with what only the operator's own command line says.

A module knows which playbook gets further and for which component, and nothing of inventories, vaults and extra variables.
It writes ``ansible-playbook sre.runbooks.x …``, ``the same command``, ``the same command with -e …``, ``without -e name``,
``without -i`` or ``renaming name to another``. What the operator typed is told by the controller
(``plugin_utils/commands.py``); with it all become commands that can be pasted, on the screen and in every form of a report.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import typing as t

_OTHER = re.compile(r"\bansible-playbook(?= sre\.runbooks\.([a-z_]+))")
#: Ansible's own commands, which need the inventory as well.
_OF_ANSIBLE = re.compile(r"\bansible(?:-inventory(?= --graph)|(?= [^\s;]+ -m ansible\.builtin\.))")
_SAME = re.compile(
    r"\bthe same command"
    r"(?: renaming (\w+ to \w+(?:, \w+ to \w+)*))?"
    r"(?: without((?: -e \w+| -i)+))?"
    r"(?: with((?: (?:--limit|-e) (?:'[^']*'|[^\s;,']+))+)|(?! with))"
)
#: Variables that say where everything is; those of one runbook mean nothing to another.
_GENERAL = re.compile(r"(repository|component|environment|run|ansible)_")
#: Variables without which the same runbook would be another one.
_PART_OF = {"check_health": ("checklist",), "collect_diagnostics": ("alert",)}
#: What follows ``ansible-playbook`` in a command that had to be confirmed, or that changes nothing itself.
_CONFIRMED = re.compile(r"[^;\n]* -e \w+_confirm=")
_CHECKED = re.compile(r"[^;\n]* --check\b")


@dataclasses.dataclass(frozen=True)
class Invocation:
    """An ``ansible-playbook`` command line, without what may be secret.

    :ivar variables: of each ``-e``, in their order, the name and what follows the ``-e``.
    :ivar modes: ``--check`` and ``--diff``, as far as they were given.
    """

    playbooks: tuple[str, ...] = ()
    inventories: tuple[str, ...] = ()
    limit: str | None = None
    variables: tuple[tuple[str, str], ...] = ()
    variable_files: tuple[str, ...] = ()
    vault: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()

    def to_data(self) -> dict[str, t.Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_data(cls, data: t.Mapping[str, t.Any]) -> Invocation | None:
        """What :meth:`to_data` gave, after a way through JSON; None for nothing."""
        if not data:
            return None
        return cls(
            playbooks=tuple(data["playbooks"]),
            inventories=tuple(data["inventories"]),
            limit=data["limit"],
            variables=tuple((name, text) for name, text in data["variables"]),
            variable_files=tuple(data["variable_files"]),
            vault=tuple(data["vault"]),
            modes=tuple(data["modes"]),
        )

    def general(self, playbook: str = "", more: str = "") -> list[str]:
        """The arguments that every playbook of the same environment needs, and ``playbook`` (a name) where it is ours.

        :arg more: what the command has already. A run that only asked what would happen advises nothing that makes it happen:
            its own runbook, and whatever else is confirmed in the command, are asked only.
        """
        ours = f"sre.runbooks.{playbook}" in self.playbooks
        own = _PART_OF.get(playbook, ()) if ours else ()
        given = [part for path in self.inventories for part in ("-i", path)]
        if ours or _CONFIRMED.match(more):
            given += [mode for mode in self.modes if mode != "--check" or not _CHECKED.match(more)]
        given += [*self.vault, *(part for path in self.variable_files for part in ("-e", path))]
        return given + _options(
            (name, text)
            for name, text in self.variables
            if (_GENERAL.match(name) or name in own) and not _has(more, text)
        )

    def same(self, renamed: t.Mapping[str, str], without: t.Collection[str], added: t.Sequence[str]) -> list[str]:
        """This command with further ``--limit`` and ``-e``, which replace its own of the same name.

        :arg without: names of variables, and ``-i``.
        """
        pairs = list(zip(added[::2], added[1::2]))
        left_out = {*without, *(value.partition("=")[0] for option, value in pairs if option == "-e")}
        given = [] if "-i" in without else [part for path in self.inventories for part in ("-i", path)]
        given += [*self.modes, *self.vault, *self.playbooks]
        if self.limit and "--limit" not in added:
            given += ["--limit", self.limit]
        given += [part for path in self.variable_files for part in ("-e", path)]
        kept = [(name, text) for name, text in self.variables if name not in left_out]
        given += _options((name, _renamed(text, name, renamed.get(name, name))) for name, text in kept)
        return ["ansible-playbook", *given, *added]

    def of_another_run(self, runbook: str) -> Invocation:
        """The command line of another run in the same environment, as far as it is known: by the name of its record.

        A run that has one was no ``--check``.
        """
        playbook, _dash, checklist = runbook.partition("-")
        kept = [(name, text) for name, text in self.variables if _GENERAL.match(name)]
        if checklist:
            kept.append(("checklist", f"checklist={checklist}"))
        return dataclasses.replace(
            self, playbooks=(f"sre.runbooks.{playbook}",), limit=None, variables=tuple(kept), modes=()
        )


def completed(value: t.Any, invocation: Invocation | None) -> t.Any:
    """``value`` with every command in its texts completed; lists and mappings too. A complete one stays as it is."""
    if invocation is None:
        return value
    if isinstance(value, str):
        text = _OTHER.sub(lambda found: _other_command(found, invocation), value)
        text = _OF_ANSIBLE.sub(lambda found: shlex.join([found[0], *invocation.general()]), text)
        return _SAME.sub(lambda found: _same_command(found, invocation), text)
    if isinstance(value, dict):
        return {name: completed(item, invocation) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [completed(item, invocation) for item in value]
    return value


def _other_command(found: re.Match[str], invocation: Invocation) -> str:
    return shlex.join(["ansible-playbook", *invocation.general(found[1], found.string[found.end() :])])


def _same_command(found: re.Match[str], invocation: Invocation) -> str:
    renamed = dict(pair.split(" to ") for pair in (found[1] or "").split(", ") if pair)
    without = (found[2] or "").replace(" -e ", " ").split()
    return shlex.join(invocation.same(renamed, without, shlex.split(found[3] or "")))


def _options(variables: t.Iterable[tuple[str, str]]) -> list[str]:
    return [part for _name, text in variables for part in ("-e", text)]


def _has(more: str, text: str) -> bool:
    """Whether a command has that ``-e``: one that was complete before, and names no inventory to be known by."""
    return re.search(rf" -e {re.escape(shlex.quote(text))}(?![^\s;,])", more) is not None


def _renamed(text: str, name: str, other: str) -> str:
    if name == other:
        return text
    if text.startswith("{"):
        return json.dumps({other: json.loads(text)[name]}, ensure_ascii=False)
    return other + text[len(name) :]
