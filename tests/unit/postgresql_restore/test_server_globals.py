# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading what pg_dumpall --globals-only writes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.server_globals import (
    parse_globals,
    roles_in,
    split_statements,
)

GLOBALS = r"""
--
-- PostgreSQL database cluster dump; with a semicolon
--
\restrict a6DYKn;hD'5bW"v

SET default_transaction_read_only = off;

CREATE ROLE app;
ALTER ROLE app WITH NOSUPERUSER LOGIN PASSWORD 'SCRAM-SHA-256$4096:a;b--c$d:e''f';
CREATE ROLE "Odd ""one""; -- really";
ALTER ROLE "Odd ""one""; -- really" WITH NOLOGIN;
COMMENT ON ROLE app IS 'says; GRANT a TO b; and
CREATE ROLE intruder;';
ALTER ROLE app SET search_path TO 'x', 'y';
ALTER ROLE app IN DATABASE "my db" SET work_mem TO E'1\'2;MB';
GRANT app TO "Odd ""one""; -- really" WITH INHERIT TRUE GRANTED BY postgres;
GRANT SET ON PARAMETER work_mem TO app;
CREATE TABLESPACE fast OWNER app LOCATION '/srv/fast';
GRANT ALL ON TABLESPACE fast TO app;

\unrestrict a6DYKn;hD'5bW"v
"""


def test_every_statement_is_known_by_its_kind_and_subject() -> None:
    odd = 'Odd "one"; -- really'
    assert [(item.kind, item.subject, item.member) for item in parse_globals(GLOBALS)] == [
        ("create role", "app", None),
        ("alter role", "app", None),
        ("create role", odd, None),
        ("alter role", odd, None),
        ("role comment", "app", None),
        ("role setting", "app", None),
        ("role setting", "app", None),
        ("membership", "app", odd),
        ("parameter grant", "work_mem", None),
        ("tablespace", "fast", None),
        ("tablespace grant", "fast", None),
    ]
    assert roles_in(parse_globals(GLOBALS)) == ["app", odd]


def test_secrets_are_not_shown() -> None:
    assert "SCRAM" not in repr(parse_globals(GLOBALS))


TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=30)


@given(st.lists(st.tuples(TEXT, TEXT), max_size=8))
def test_whatever_is_quoted_stays_inside_its_statement(pairs: list[tuple[str, str]]) -> None:
    statements = [
        "COMMENT ON ROLE \"{}\" IS '{}'".format(name.replace('"', '""'), text.replace("'", "''"))
        for name, text in pairs
    ]
    assert split_statements("\n-- a comment; of ours\n".join(f"{statement};" for statement in statements)) == statements
