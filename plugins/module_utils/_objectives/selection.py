# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which of the objectives of an inventory are asked for, and what is wrong with each that cannot be judged."""

from __future__ import annotations

import collections
import dataclasses
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._nearest import nearest
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.definition import (
    MEND,
    Objective,
    define,
    first_label,
    shortened,
)
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

_NAMED = 8


@dataclasses.dataclass(frozen=True)
class Refusal:
    """An objective that cannot be judged, whatever a server says.

    :ivar error: why; its message does not name the objective.
    """

    name: str
    error: InvalidInput
    service: str = ""
    component: str | None = None


@dataclasses.dataclass(frozen=True)
class Choice:
    """:ivar entries: what was asked for, in its order.
    :ivar left_out: name and component of those that are about components outside of the limit.
    """

    entries: list[Objective | Refusal]
    left_out: list[dict[str, str]]


def choose(
    documents: t.Sequence[t.Any],
    only: t.Sequence[str] = (),
    components: t.Sequence[str] = (),
    limit: t.Sequence[str] = (),
    window: float | None = None,
) -> Choice:
    """Nothing is raised: one bad definition hides no other one, and keeps none from being judged.

    :arg only: the names of the only ones; empty for all.
    :arg components: those that there are; empty where that is not known.
    :arg limit: of these components only, and those that are about no component; empty for all.
    :arg window: in seconds, in place of each objective's own.
    """
    rows = [(_name(document, position), position, document) for position, document in enumerate(documents, start=1)]
    times = collections.Counter(name for name, _, _ in rows)
    entries: list[Objective | Refusal] = []
    left_out: list[dict[str, str]] = []
    for name, position, document in rows:
        component = _component(document)
        if (only and name not in only) or any(isinstance(entry, Refusal) and entry.name == name for entry in entries):
            continue
        if component and limit and component not in limit and component in components:
            left_out.append({"name": name, "component": component})
            continue
        entry = _entry(name, position, document, times[name], components)
        entries.append(_over(entry, window) if window is not None and isinstance(entry, Objective) else entry)
    known = list(dict.fromkeys(name for name, _, _ in rows))
    entries += [Refusal(name, _no_such(name, known, only)) for name in dict.fromkeys(only) if name not in known]
    return Choice(entries, left_out)


def define_all(documents: t.Sequence[t.Any], components: t.Sequence[str] = ()) -> list[Objective]:
    """Every objective, or InvalidInput that names all that are badly defined.

    :arg components: those that there are; empty where that is not known.
    """
    entries = choose(documents, components=components).entries
    refused = [entry for entry in entries if isinstance(entry, Refusal)]
    if len(refused) == 1:
        name, error = refused[0].name, refused[0].error
        raise InvalidInput(
            f"{name if name.startswith('objective ') else f'objective {name}'}: {error.message}",
            expected=error.expected,
            found=error.found,
            next_command=error.next_command,
        )
    if refused:
        raise InvalidInput(
            f"{counted(len(refused), 'objective')} are badly defined",
            expected="SLO documents as docs/objectives.md describes them",
            found=" | ".join(
                f"{one.name}: {one.error.message} (expected: {one.error.expected}, found: {one.error.found})"
                for one in refused
            ),
            next_command=MEND.replace("it ", "them ", 1),
        )
    return [entry for entry in entries if isinstance(entry, Objective)]


def _entry(name: str, position: int, document: t.Any, times: int, components: t.Sequence[str]) -> Objective | Refusal:
    if times > 1:
        shared = InvalidInput(
            "objectives share this name, so none of them is judged",
            expected="a name for each",
            found=f"{times} of them",
            next_command=MEND.replace("mend it", "rename all but one", 1),
        )
        return Refusal(name, shared, component=_component(document))
    try:
        objective = define(document, position)
    except InvalidInput as error:
        return _refused(name, error, _service(document), _component(document))
    if objective.component and components and objective.component not in components:
        unknown = InvalidInput(
            "it is about a component that the inventory does not have",
            expected=f"in metadata.labels.component {_among(objective.component, components)}",
            found=objective.component,
            next_command=MEND,
        )
        return Refusal(name, unknown, objective.service, objective.component)
    return objective


def _over(objective: Objective, window: float) -> Objective | Refusal:
    try:
        return shortened(objective, window)
    except InvalidInput as error:
        return _refused(objective.name, error, objective.service, objective.component)


def _refused(name: str, error: InvalidInput, service: str, component: str | None) -> Refusal:
    # The name is told beside it.
    error.message = error.message.partition(": ")[2] or error.message
    return Refusal(name, error, service, component)


def _no_such(name: str, known: t.Sequence[str], only: t.Sequence[str]) -> InvalidInput:
    meant = [one if one in known else nearest(one, known) for one in only]
    return InvalidInput(
        "there is no such objective",
        expected=_among(name, known) if known else "a name in the variable objectives of the inventory, which has none",
        found=name,
        next_command="correct objectives_only, then: the same command"
        + (
            f" with -e objectives_only={','.join(one for one in meant if one)}"
            if all(meant)
            else " without -e objectives_only"
        ),
    )


def _among(name: str, known: t.Sequence[str]) -> str:
    named = ", ".join(known[:_NAMED]) + (f" and {len(known) - _NAMED} more" if len(known) > _NAMED else "")
    near = nearest(name, known)
    return f"one of {named}" + (f", did you mean {near}?" if near else "")


def _name(document: t.Any, position: int) -> str:
    name = _metadata(document).get("name")
    return name.strip() if isinstance(name, str) and name.strip() else f"objective {position}"


def _component(document: t.Any) -> str | None:
    labels = _metadata(document).get("labels")
    return first_label(labels.get("component")) if isinstance(labels, dict) else None


def _service(document: t.Any) -> str:
    spec = document.get("spec") if isinstance(document, dict) else None
    service = spec.get("service") if isinstance(spec, dict) else None
    return service if isinstance(service, str) else ""


def _metadata(document: t.Any) -> dict[str, t.Any]:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    return metadata if isinstance(metadata, dict) else {}
