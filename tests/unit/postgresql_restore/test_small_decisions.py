# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small decisions of a restore: lists of settings, versions, locales, entries left out, connection strings."""

from __future__ import annotations

import contextlib
import typing as t
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import load
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import PostgresqlAddress
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.load import (
    REACHING_OUT,
    conninfo_value,
    entries_kept,
)
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.preflight import normalised_locale, version_key
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.properties import split_list

TEXT = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=20)


@pytest.mark.parametrize(
    ("value", "elements"),
    [
        ('"$user", public', ["$user", "public"]),
        ('"ünïcode 数据", public', ["ünïcode 数据", "public"]),
        ('"a, ""b"""', ['a, "b"']),
        ("", []),
        ('""', [""]),
        ("one", ["one"]),
    ],
)
def test_lists_of_names_are_split(value: str, elements: list[str]) -> None:
    assert split_list(value) == elements


@given(st.lists(TEXT, min_size=1, max_size=5))
def test_quoted_names_survive(names: list[str]) -> None:
    assert split_list(", ".join('"{}"'.format(name.replace('"', '""')) for name in names)) == names


def test_versions_are_compared_as_numbers() -> None:
    assert version_key("1.9") < version_key("1.10") < version_key("2.0") < version_key("2.0.1")
    assert version_key("1.10") == version_key("1.10")


def test_spellings_of_a_locale_are_one() -> None:
    assert normalised_locale("en_US.UTF-8") == normalised_locale("en_US.utf8")
    assert normalised_locale("de_DE.UTF-8@euro") == normalised_locale("de_DE.utf8@euro")
    assert normalised_locale("en_US.UTF-8") != normalised_locale("en_US.ISO8859-1")
    assert normalised_locale("C") != normalised_locale("C.UTF-8")


LIST = """\
;
; Selected TOC Entries:
;
3390; 1262 16384 DATABASE - flights postgres
215; 1259 16385 TABLE public SUBSCRIPTION postgres
3391; 6100 16390 SUBSCRIPTION - feed postgres
3392; 0 0 COMMENT - SUBSCRIPTION feed postgres
3393; 1418 16391 USER MAPPING - USER MAPPING public SERVER production postgres
3394; 3466 16392 EVENT TRIGGER - noisy postgres
3395; 0 16385 TABLE DATA public f postgres
3396; 0 0 COMMENT - EVENT TRIGGER noisy postgres
""".splitlines()


def test_only_what_reaches_out_is_left_out() -> None:
    kept, dropped = entries_kept(LIST, REACHING_OUT)
    assert [line.split(";")[0] for line in kept[3:]] == ["3390", "215", "3395"]
    assert len(dropped) == 5 and dropped[0] == "SUBSCRIPTION - feed postgres"
    assert entries_kept(LIST, ()) == (LIST, [])


@given(TEXT)
def test_a_connection_string_means_its_database(name: str) -> None:
    import psycopg.conninfo

    parsed = psycopg.conninfo.conninfo_to_dict(f"dbname={conninfo_value(name)}")
    assert parsed.get("dbname", "") == name


def test_no_time_limit_of_a_database_ends_its_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each worker's first statement runs before pg_restore lifts them: under load, one of 3 ms ended whole restores."""
    given: list[dict[str, str]] = []

    @contextlib.contextmanager
    def group(argv: list[str], what: str, environment: dict[str, str], component: str) -> t.Iterator[mock.Mock]:
        given.append(environment)
        yield mock.Mock()

    monkeypatch.setattr(load, "ProcessGroup", group)
    monkeypatch.setattr(load, "_index_memory", lambda *_arguments: 65536)
    load.load(load.Archive(mock.Mock(pg_restore="pg_restore"), "/dump"), PostgresqlAddress(), "difficult", 4, "shop_db")
    (environment,) = given
    options = environment["PGOPTIONS"].split("-c ")
    wanted = {"statement_timeout=0", "lock_timeout=0", "row_security=off", "maintenance_work_mem=65536kB"}
    assert wanted <= {option.strip() for option in options}
