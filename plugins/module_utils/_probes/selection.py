# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which of a component's probes a health check asks: all, or those of a checklist, without the disabled ones."""

from __future__ import annotations

import fnmatch
import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._nearest import meant, nearest

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")
#: Key of a checklist → its form.
_KEYS: dict[str, type] = {
    "description": str,
    "kinds": list,
    "names": list,
    "components": list,
    "probes": list,
    "objectives": bool,
    "review": list,
}
_CORRECT = "correct health_checklists in the inventory, then: the same command without -e health_checklists"


def checked_checklists(given: t.Any) -> dict[str, t.Any]:
    """The checklists of an inventory by their names. Raises :class:`InvalidInput` for what is no mapping."""
    if not isinstance(given, dict):
        raise InvalidInput(
            "health_checklists is no mapping of checklists by name",
            expected="such as {night: {kinds: [http]}}",
            found=_form_of(given),
            next_command=_CORRECT,
        )
    return given


def checked_checklist(
    checklists: t.Mapping[str, t.Any], name: str, components: t.Collection[str] = (), kinds: t.Collection[str] = ()
) -> dict[str, t.Any]:
    """The checklist of that name with every key; without a name, the one that selects everything.

    :arg components: the names of components and groups that there are; without any, they are not compared.
    :arg kinds: those of probes that there are, likewise.
    :raises InvalidInput: for a name or a key that is not known, with the nearest one, and for a value of another form.
    """
    given: t.Any = {}
    if name:
        if name not in checklists:
            raise InvalidInput(
                f"there is no checklist {name!r}{meant(name, checklists)}",
                expected="one of " + ", ".join(sorted(checklists)),
                found=repr(name),
                next_command="describe it in health_checklists of the inventory, or: the same command with -e checklist="
                + (nearest(name, checklists) or min(checklists, default="")),
            )
        if not _NAME.fullmatch(name):
            raise InvalidInput(
                "not a checklist's name", expected="1 to 41 of a-z 0-9 _ -", found=repr(name), next_command=_CORRECT
            )
        given = checklists[name]
    where = f"checklist {name!r}"
    if not isinstance(given, dict):
        # What it is instead may have a password of a probe.
        raise InvalidInput(
            f"{where} is no mapping",
            expected="keys among " + ", ".join(_KEYS),
            found=_form_of(given),
            next_command=_CORRECT,
        )
    for key, value in given.items():
        if key not in _KEYS:
            raise InvalidInput(
                f"{where} has the unknown key {key!r}{meant(str(key), _KEYS)}",
                expected="keys among " + ", ".join(_KEYS),
                found=repr(key),
                next_command=_CORRECT,
            )
        members = dict if key == "probes" else str
        wrong = not isinstance(value, _KEYS[key])
        if wrong or (isinstance(value, list) and not all(isinstance(item, members) for item in value)):
            form = {
                str: "a text",
                bool: "true or false",
                list: f"a list of {'mappings' if members is dict else 'texts'}",
            }
            found = _form_of(value) if key == "probes" else repr(value)[:80]
            raise InvalidInput(f"{where}: bad {key}", expected=form[_KEYS[key]], found=found, next_command=_CORRECT)
    # What is misspelt would be asked of nobody.
    wanted = [("component", pattern, components) for pattern in given.get("components", [])]
    wanted += [("kind of probe", pattern, kinds) for pattern in given.get("kinds", [])]
    wanted += [
        ("component", str(probe["component"]), components)
        for probe in given.get("probes", [])
        if probe.get("component")
    ]
    for what, pattern, known in wanted:
        if known and not fnmatch.filter(known, pattern):
            raise InvalidInput(
                f"{where} names no {what} that there is{meant(pattern, known)}",
                expected="names or patterns of "
                + ("hosts and groups" if what == "component" else "kinds")
                + " that there are",
                found=repr(pattern),
                next_command=_CORRECT,
            )
    # Whatever does not say otherwise verifies the objectives, too.
    empty: dict[str, t.Any] = {key: form() for key, form in _KEYS.items()}
    return {**empty, "objectives": True, **given, "name": name}


def select(
    probes: t.Sequence[t.Mapping[str, t.Any]],
    names: t.Sequence[str],
    checklist: t.Mapping[str, t.Any],
    disabled: t.Mapping[str, t.Any],
) -> tuple[list[t.Mapping[str, t.Any]], dict[str, str]]:
    """The probes to ask of one component, and those of them that are disabled: name → reason.

    :arg names: what the component is called: its own name and those of its groups.
    :arg checklist: as :func:`checked_checklist` returns it.
    :raises InvalidInput: for a probe that is disabled without a reason.
    """
    for name, reason in disabled.items():
        if not str(reason or "").strip():
            raise InvalidInput(
                f"probe {name!r} is disabled without a reason",
                expected="a reason, as everybody reads it in the report",
                found=repr(reason),
                next_command="write the reason to health_probes_disabled in the inventory, then:"
                " the same command without -e health_probes_disabled",
            )
    about = _matches(names, checklist["components"])
    # A probe of the checklist's own that names its component is asked of it, whatever else the checklist is about.
    own = [probe for probe in checklist["probes"] if (probe["component"] in names if probe.get("component") else about)]
    asked = [
        probe
        for probe in probes
        if about
        and _matches([str(probe.get("kind"))], checklist["kinds"])
        and _matches([str(probe.get("name"))], checklist["names"])
    ] + own
    left_out = {probe["name"] for probe in asked if probe.get("name") in disabled}
    kept = [probe for probe in asked if probe.get("name") not in left_out]
    return kept, {name: str(disabled[name]).strip() for name in disabled if name in left_out}


def _form_of(value: t.Any) -> str:
    """What it is, and not what it says."""
    if value is None:
        return "nothing"
    forms: dict[type, str] = {dict: "a mapping", list: "a list", str: "a text"}
    return next((words for form, words in forms.items() if isinstance(value, form)), "another value")


def _matches(words: t.Sequence[str], patterns: t.Sequence[str]) -> bool:
    """Whether one of the words matches one of the patterns; everything does where there is no pattern."""
    return not patterns or any(fnmatch.fnmatchcase(word, pattern) for word in words for pattern in patterns)
