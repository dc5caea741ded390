# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Terraform state as a document: whose it is, how far it has come, and what it holds, without telling its secrets."""

from __future__ import annotations

import dataclasses
import decimal
import hashlib
import json
import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput

#: The form that Terraform writes since 0.12.
_VERSION = 4
#: What differs between two states that hold the same: whose they are, who wrote them last, and the findings of checks.
_INCIDENTAL = ("lineage", "terraform_version", "serial", "check_results")
_SERIAL = re.compile(rb'"serial"\s*:\s*(\d+)')


@dataclasses.dataclass(frozen=True)
class State:
    """One state. ``text`` is what the program pulled; it is full of secrets."""

    text: bytes
    lineage: str
    serial: int
    terraform_version: str
    #: Address of each instance → hash of what the state knows of it.
    instances: dict[str, str]
    #: Name of each output → hash of its value.
    outputs: dict[str, str]
    #: Hash of all that is not incidental: the same wherever the same is managed.
    content: str

    @property
    def empty(self) -> bool:
        """Whether nothing would be lost with it."""
        return not self.instances and not self.outputs

    def facts(self) -> dict[str, t.Any]:
        """What may be shown, and what the manifest keeps."""
        kinds: dict[str, int] = {}
        for address in self.instances:
            kind = _kind_of(address)
            kinds[kind] = kinds.get(kind, 0) + 1
        return {
            "lineage": self.lineage,
            "serial": self.serial,
            "terraform_version": self.terraform_version,
            "instances": len(self.instances),
            "kinds": dict(sorted(kinds.items())),
            "outputs": sorted(self.outputs),
            "content": self.content,
        }


@dataclasses.dataclass(frozen=True)
class Change:
    """What would become of a state that another takes the place of; addresses of instances and names of outputs."""

    forgotten: list[str]
    brought_back: list[str]
    altered: list[str]

    def facts(self) -> dict[str, list[str]]:
        return dataclasses.asdict(self)

    def __bool__(self) -> bool:
        return bool(self.forgotten or self.brought_back or self.altered)


def parse_state(text: bytes, what: str) -> State | None:
    """The state, or None where there is none yet: the program then writes nothing, or a state of nobody.

    :arg what: where it is from, for the error, which quotes nothing of it.
    :raises InvalidInput: it is none, or of a form that is not known here.
    """
    if not text.strip():
        return None
    try:
        found = _read(text)
        if found["version"] != _VERSION:
            raise ValueError("version")
        lineage, serial, wrote = found["lineage"], found["serial"], found["terraform_version"]
        if lineage == "" and not found.get("resources") and not found.get("outputs"):
            return None
        if not (isinstance(lineage, str) and lineage and isinstance(serial, int) and isinstance(wrote, str)):
            raise ValueError("head")
        instances = {
            _address(resource, instance): _hash({"provider": resource.get("provider"), **instance})
            for resource in found.get("resources") or []
            for instance in resource["instances"]
        }
        outputs = {str(name): _hash(value) for name, value in (found.get("outputs") or {}).items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InvalidInput(
            f"{what} is no state that is known here",
            expected=f"JSON of version {_VERSION} with lineage, serial and resources",
            found=f"{len(text)} bytes of another form",
            next_command="see what it is with terraform state pull, in the component's directory",
        ) from None
    content = _hash({name: value for name, value in found.items() if name not in _INCIDENTAL})
    return State(text, lineage, serial, wrote, instances, outputs, content)


def change(live: State | None, wanted: State) -> Change:
    """What taking ``wanted`` for ``live`` does."""
    before = {} if live is None else {**live.instances, **_named(live.outputs)}
    after = {**wanted.instances, **_named(wanted.outputs)}
    return Change(
        forgotten=sorted(set(before) - set(after)),
        brought_back=sorted(set(after) - set(before)),
        altered=sorted(name for name in set(before) & set(after) if before[name] != after[name]),
    )


def with_serial(state: State, serial: int) -> bytes:
    """The text with another serial and every other byte as it was: numbers may be longer than Python's are."""
    wanted = {**_read(state.text), "serial": serial}
    for match in _SERIAL.finditer(state.text):
        text = state.text[: match.start(1)] + str(serial).encode() + state.text[match.end(1) :]
        if _read(text) == wanted:
            return text
    raise ValueError("a state without a serial was parsed")


def empty_state(lineage: str, terraform_version: str) -> bytes:
    """A state of nothing, which the program lets another of any lineage take the place of."""
    head = {"version": _VERSION, "terraform_version": terraform_version, "serial": 0, "lineage": lineage}
    return json.dumps({**head, "outputs": {}, "resources": []}).encode()


def _read(text: bytes) -> t.Any:
    """The document, with fractions as exact as they are written."""
    return json.loads(text, parse_float=lambda number: f"number {decimal.Decimal(number).normalize()}")


def _named(outputs: t.Mapping[str, str]) -> dict[str, str]:
    return {f"output.{name}": digest for name, digest in outputs.items()}


def _address(resource: t.Mapping[str, t.Any], instance: t.Mapping[str, t.Any]) -> str:
    """As the program writes it: ``module.a.data.kind.name["key"]``."""
    parts = [resource["module"]] if resource.get("module") else []
    parts += ["data"] if resource.get("mode") == "data" else []
    address = ".".join([*parts, resource["type"], resource["name"]])
    if "index_key" in instance:
        address += f"[{json.dumps(instance['index_key'], ensure_ascii=False)}]"
    return address + (f" (deposed {instance['deposed']})" if instance.get("deposed") else "")


def _kind_of(address: str) -> str:
    """The type of a resource, by its address; keys of instances may hold anything, dots too."""
    plain, depth, quoted = "", 0, False
    for character in address:
        quoted = not quoted if character == '"' else quoted
        depth += 0 if quoted else (character == "[") - (character == "]")
        plain += character if depth == 0 and character != "]" else ""
    return plain.split(" ")[0].split(".")[-2]


def _hash(value: t.Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
