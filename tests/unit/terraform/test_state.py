# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read out of a state, and that nothing of it shows."""

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._terraform.state import (
    State,
    change,
    empty_state,
    parse_state,
    with_serial,
)

SECRET = "sEcret-value"
NAMES = st.sampled_from(["a", "b", "long_name"])
KEYS = st.one_of(st.none(), st.integers(0, 9), st.text(max_size=5))


def instance(key: t.Any = None, value: t.Any = SECRET) -> dict[str, t.Any]:
    own = {} if key is None else {"index_key": key}
    return {**own, "schema_version": 0, "attributes": {"input": value}, "sensitive_attributes": []}


def resource(name: str = "a", module: str | None = None, **changes: t.Any) -> dict[str, t.Any]:
    own = {} if module is None else {"module": module}
    made = {"mode": "managed", "type": "terraform_data", "name": name, "provider": "p", "instances": [instance()]}
    return {**own, **made, **changes}


def text(*resources: dict[str, t.Any], **changes: t.Any) -> bytes:
    made = {"version": 4, "terraform_version": "1.10.10", "serial": 3, "lineage": "l-1", "outputs": {}}
    return json.dumps({**made, "resources": list(resources), "check_results": None, **changes}).encode()


def state(*resources: dict[str, t.Any], **changes: t.Any) -> State:
    found = parse_state(text(*resources, **changes), "here")
    assert found is not None
    return found


def test_nothing_is_no_state() -> None:
    assert parse_state(b"\n", "here") is None
    assert parse_state(text(lineage="", serial=0), "here") is None
    assert state().empty and not state(resource()).empty
    assert not state(outputs={"address": {"value": 1, "type": "number"}}).empty


def test_addresses_are_those_of_the_program() -> None:
    found = state(
        resource(),
        resource("b", 'module.net["x.y"]'),
        resource("c", mode="data"),
        resource("d", instances=[instance(0), instance("k.e]y"), {**instance(), "deposed": "00ab"}]),
    )
    assert sorted(found.instances) == [
        "data.terraform_data.c",
        'module.net["x.y"].terraform_data.b',
        "terraform_data.a",
        "terraform_data.d (deposed 00ab)",
        'terraform_data.d["k.e]y"]',
        "terraform_data.d[0]",
    ]
    assert found.facts()["kinds"] == {"terraform_data": 6} and found.facts()["instances"] == 6


@given(st.lists(st.tuples(NAMES, KEYS, st.integers(0, 2)), max_size=6), st.integers(0, 99))
def test_content_is_what_counts_and_the_serial_is_not(entries: list[tuple[str, t.Any, int]], serial: int) -> None:
    resources = [resource(name, instances=[instance(key, value)]) for name, key, value in entries]
    one = state(*resources)
    other = parse_state(with_serial(one, serial), "here")
    assert other is not None and other.serial == serial
    assert (other.content, other.instances, other.lineage) == (one.content, one.instances, one.lineage)
    assert state(*resources, terraform_version="9.9.9", check_results=[{"status": "pass"}]).content == one.content
    assert state(*resources, resource("new")).content != one.content
    assert state(*resources, lineage="l-2").content == one.content
    assert not change(one, other)


@pytest.mark.parametrize(
    ("number", "other"), [("0.12345678901234567890", "0.12345678901234567891"), ("1e400", "1e401")]
)
def test_no_digit_of_a_number_is_lost(number: str, other: str) -> None:
    """Numbers of Terraform are longer than Python's; a restore writes and compares them as they are."""
    texts = [text(resource(instances=[instance(value="N")])).replace(b'"N"', n.encode()) for n in (number, other)]
    one, two = (parse_state(given, "here") for given in texts)
    assert one is not None and two is not None and one.content != two.content
    assert change(one, two).altered == ["terraform_data.a"]
    assert with_serial(one, 77) == texts[0].replace(b'"serial": 3', b'"serial": 77')


def test_only_the_state_s_own_serial_is_replaced() -> None:
    """An output may be called so, and come first."""
    given = b'{"outputs": {"a": {"serial": 3}, "serial": 3}, "serial": 3, "version": 4, "lineage": "l", '
    found = parse_state(given + b'"terraform_version": "1"}', "here")
    assert found is not None
    assert json.loads(with_serial(found, 9)) == {**json.loads(found.text), "serial": 9}


def test_the_state_of_nothing_is_of_a_lineage() -> None:
    found = parse_state(empty_state("l-1", "1.10.10"), "here")
    assert found is not None and found.empty and (found.lineage, found.serial) == ("l-1", 0)


def test_what_a_restore_changes_is_named() -> None:
    live = state(resource("made_since"), resource("b", instances=[instance(value="x")]), outputs={"o": {"value": 1}})
    point = state(resource("b"), resource("gone", instances=[instance(0)]), outputs={"p": {"value": 1}})
    assert change(live, point).facts() == {
        "forgotten": ["output.o", "terraform_data.made_since"],
        "brought_back": ["output.p", "terraform_data.gone[0]"],
        "altered": ["terraform_data.b"],
    }
    assert change(None, point).forgotten == []


@pytest.mark.parametrize(
    "broken",
    [
        b"{" + SECRET.encode(),
        b"[]",
        b'"' + SECRET.encode() + b'"',
        text(version=3, outputs={SECRET: 1}),
        text(resource(), lineage=""),
        text(serial="7"),
        text({"type": SECRET}),
        text(resource(instances=None)),
        text(resources=[SECRET]),
    ],
)
def test_another_form_is_refused_and_not_quoted(broken: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_state(broken, "the state of /srv/network")
    assert SECRET not in str(caught.value) and "/srv/network" in str(caught.value)


def test_facts_tell_no_secret() -> None:
    found = state(resource(), outputs={"password": {"value": SECRET, "type": "string", "sensitive": True}})
    assert SECRET not in json.dumps(found.facts()) and found.facts()["outputs"] == ["password"]
