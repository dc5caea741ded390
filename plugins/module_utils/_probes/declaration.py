# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a probe is: its declaration, checked before anything runs, and the reading that it gives."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._mistakes import Mistakes
from ansible_collections.sre.runbooks.plugins.module_utils._nearest import meant

#: Names of headers whose values no output may show.
_SECRET_NAME = re.compile(r"auth|cookie|token|key|secret|password", re.IGNORECASE)
#: Of a secret of several lines, shorter ones would be found in every second word.
_SHORTEST_LINE = 4
#: A shorter secret is found in every word, and masking it would hide nothing but the words.
_SHORTEST = 3
#: How a probe can end. "unknown" means that the question could not be asked (a library is missing, we were stopped).
OUTCOMES = ("ok", "warning", "failed", "unknown")


@dataclasses.dataclass
class Reading:
    """What was found, in words for people and in ``values`` for machines.

    :ivar hint: the next command to run; only shown when the outcome is not "ok".
    """

    outcome: str
    measured: str
    expected: str
    message: str
    hint: str | None = None
    values: dict[str, t.Any] = dataclasses.field(default_factory=dict)


class Check:
    """One probe, ready to be asked. A kind subclasses it; what it raises makes the outcome "unknown"."""

    #: What should be true, in words.
    expected = ""
    #: The next command when it is not.
    hint = ""
    #: Python libraries that it asks with. Loading them takes seconds and holds all of the loop, so it counts towards nobody's
    #: timeout. One that is missing is the check's own matter.
    libraries: tuple[str, ...] = ()

    async def admit(self) -> None:
        """Wait for this probe's turn; this time does not count towards its timeout."""

    async def ask(self) -> Reading:
        """Find out. May be cancelled at its timeout, and must then leave nothing open."""
        raise NotImplementedError

    def dismiss(self) -> None:
        """Called once for every ``admit`` that returned."""

    def reading(self, outcome: str, measured: str, message: str, **values: t.Any) -> Reading:
        return Reading(outcome, measured, self.expected, message, None if outcome == "ok" else self.hint, values)

    def unasked(self, error: RunbookError) -> Reading:
        """The question could not be asked: what the error says, and its own next command where it has one."""
        said = str(error).removesuffix(f"; next: {error.next_command}")
        return Reading("unknown", "nothing", self.expected, said, error.next_command or self.hint)


@dataclasses.dataclass(frozen=True)
class Option:
    """One key of a kind. ``convert`` raises ValueError (or InvalidInput) for what it does not accept."""

    convert: t.Callable[[t.Any], t.Any]
    default: t.Any = None
    required: bool = False
    #: Values of this option may not appear in any output; of a mapping, those whose names say that they are secret.
    secret: bool = False
    #: Of a mapping, all of its values are secret, whatever their names.
    wholly: bool = False
    #: Of a mapping, the keys that there are; any where there are none.
    keys: tuple[str, ...] = ()
    #: It says what is expected, so that a list or a mapping without an entry would leave out the question in silence.
    filled: bool = False


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of probe.

    :ivar prepare: makes the check from the converted options; raises ValueError or InvalidInput for a bad combination.
    :ivar target: what is probed in a few characters, for a probe without a name.
    """

    name: str
    options: t.Mapping[str, Option]
    prepare: t.Callable[[dict[str, t.Any], t.Any], Check]
    target: t.Callable[[dict[str, t.Any]], str]


@dataclasses.dataclass
class Probe:
    """A declared probe. Times are in seconds."""

    name: str
    kind: str
    component: str | None
    critical: bool
    timeout: float
    attempts: int
    interval: float
    check: Check


def text(value: t.Any) -> str:
    if isinstance(value, (dict, list)) or value is None:
        raise ValueError("a text is expected")
    return str(value)


def mapping(value: t.Any) -> dict[str, t.Any]:
    if not isinstance(value, dict):
        raise ValueError("a mapping is expected")
    return {str(key): item for key, item in value.items()}


def boolean(value: t.Any) -> bool:
    if isinstance(value, bool):
        return value
    known = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if str(value).strip().lower() not in known:
        raise ValueError("true or false is expected")
    return known[str(value).strip().lower()]


def integer(low: int, high: int) -> t.Callable[[t.Any], int]:
    def convert(value: t.Any) -> int:
        if isinstance(value, bool) or str(int(value)) != str(value).strip() or not low <= int(value) <= high:
            raise ValueError(f"a whole number from {low} to {high} is expected")
        return int(value)

    return convert


def number(value: t.Any) -> float:
    if isinstance(value, bool):
        raise ValueError("a number is expected")
    return float(value)


def pattern(value: t.Any) -> re.Pattern[str]:
    try:
        return re.compile(text(value))
    except re.error as error:
        raise ValueError(f"a regular expression is expected ({error})") from None


def choice(*allowed: str) -> t.Callable[[t.Any], str]:
    def convert(value: t.Any) -> str:
        if value not in allowed:
            raise ValueError(f"one of {', '.join(allowed)} is expected")
        return str(value)

    return convert


def names(value: t.Any) -> tuple[str, ...]:
    """Names or patterns, as a list or separated by commas."""
    found = value if isinstance(value, list) else str(value).split(",")
    return tuple(text(item).strip() for item in found if text(item).strip())


def anything(value: t.Any) -> t.Any:
    return value


#: Where mistakes are, for :class:`Mistakes`.
PLACE = "the declarations of probes"
#: The keys that every kind has.
COMMON: dict[str, Option] = {
    "name": Option(text),
    "kind": Option(text, required=True),
    "component": Option(text),
    "critical": Option(boolean, default=True),
    "timeout": Option(parse_duration, default=5.0),
    "attempts": Option(integer(1, 100), default=1),
    "interval": Option(parse_duration, default=1.0),
    "hint": Option(text),
}


def declare(raw: t.Any, position: int, kinds: t.Mapping[str, Kind], session: t.Any) -> Probe:
    """Check one declaration and make a probe of it.

    :arg position: its place in the list, from 1, to name one that has no name.
    :raises InvalidInput: naming the probe, each bad key, and the nearest known one (:class:`Mistakes`).
    """
    where = f"probe {position}"
    if not isinstance(raw, dict):
        raise InvalidInput(
            f"{where} is not a mapping", expected="name, kind and the keys of the kind", found=repr(raw)[:80]
        )
    # An empty text is what an inventory gives for "not set".
    given = {str(key): value for key, value in raw.items() if value is not None and value != ""}
    component = str(given["component"]) if "component" in given else None
    if "name" in given:
        where = f"{where} ({given['name']})"
    if "kind" not in given:
        raise InvalidInput(f"{where} has no kind", component=component, expected="one of " + ", ".join(sorted(kinds)))
    kind = kinds.get(str(given["kind"]))
    if kind is None:
        raise InvalidInput(
            f"{where} has the unknown kind {given['kind']!r}{meant(str(given['kind']), kinds)}",
            component=component,
            expected="one of " + ", ".join(sorted(kinds)),
            found=repr(given["kind"]),
        )
    values, problems = _converted(raw, given, kind, where, component)
    if problems:
        raise Mistakes(problems, PLACE)
    try:
        check = kind.prepare(values, session)
    except InvalidInput as error:
        raise InvalidInput(
            f"{where} of kind {kind.name}: {error.message}",
            component=component,
            expected=error.expected,
            found=error.found,
            next_command=error.next_command,
        ) from None
    except ValueError as error:
        raise InvalidInput(f"{where} of kind {kind.name}: {error}", component=component) from None
    if values["hint"]:
        check.hint = values["hint"]
    return Probe(
        name=values["name"] or f"{kind.name} {kind.target(values)}",
        kind=kind.name,
        component=values["component"],
        critical=values["critical"],
        timeout=values["timeout"],
        attempts=values["attempts"],
        interval=values["interval"],
        check=check,
    )


def _converted(
    raw: dict[t.Any, t.Any], given: dict[str, t.Any], kind: Kind, where: str, component: str | None
) -> tuple[dict[str, t.Any], list[InvalidInput]]:
    """The options' values, and what is wrong with them: of each key at most one thing."""
    known = {**COMMON, **kind.options}
    problems = [
        InvalidInput(
            f"{where} of kind {kind.name} has the unknown key {key!r}{meant(str(key), known)}",
            component=component,
            expected="keys among " + ", ".join(sorted(known)),
            found=repr(key),
        )
        for key in raw
        if key not in known
    ]
    values: dict[str, t.Any] = {}
    for key, option in known.items():
        if key not in given:
            if option.required:
                problems.append(
                    InvalidInput(f"{where} of kind {kind.name} has no {key}", component=component, expected=key)
                )
            values[key] = option.default
            continue
        try:
            values[key] = option.convert(given[key])
            if option.filled and not values[key]:
                raise ValueError("at least one; without any, leave the key out")
            if key == "timeout" and values[key] <= 0:
                raise ValueError("more than 0 s")
        except (ValueError, TypeError, InvalidInput) as error:
            reason = error.expected if isinstance(error, InvalidInput) else str(error).removesuffix(" is expected")
            shown = "a value of another form" if option.secret else repr(given[key])[:200]
            problems.append(InvalidInput(f"{where}: bad {key}", component=component, expected=reason, found=shown))
            continue
        problems += [
            InvalidInput(
                f"{where} of kind {kind.name} has the unknown key {f'{key}.{inner}'!r}"
                + meant(str(inner), option.keys, f"{key}."),
                component=component,
                expected=f"keys of {key} among " + ", ".join(sorted(option.keys)),
                found=repr(inner),
            )
            for inner in (given[key] if option.keys else ())
            if inner not in option.keys
        ]
    return values, problems


def secrets_of(declarations: t.Iterable[t.Any], kinds: t.Mapping[str, Kind]) -> t.Iterator[str]:
    """Every value in declarations that no output may show, whether they are valid or not."""
    options = [pair for kind in kinds.values() for pair in kind.options.items()]
    secret = {key for key, option in options if option.secret}
    wholly = {key for key, option in options if option.wholly}
    # Such as the path of a password's file, which next commands name.
    plain = {key for key, _ in options} - secret
    for raw in declarations:
        if isinstance(raw, dict):
            yield from _secrets_of(raw, secret, wholly, plain)


def _secrets_of(raw: dict[t.Any, t.Any], secret: set[str], wholly: set[str], plain: set[str]) -> t.Iterator[str]:
    for key, value in raw.items():
        if isinstance(value, dict):
            values = [
                item
                for name, item in value.items()
                if key in wholly or (key in secret and _SECRET_NAME.search(str(name)))
            ]
        else:
            values = [value] if key in secret or ("password" in str(key) and key not in plain) else []
        yield from (form for item in values if item not in (None, "") for form in forms_of(str(item)))


def forms_of(secret: str) -> t.Iterator[str]:
    """A secret, and what is one by itself in an output of lines: each line of it. None of one that every word holds."""
    if len(secret) < _SHORTEST:
        return
    yield secret
    lines = (line.strip() for line in secret.splitlines())
    yield from (line for line in lines if line != secret and len(line) >= _SHORTEST_LINE)
