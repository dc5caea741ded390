# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a recovery point is taken, and what the manifest may say of settings."""

from __future__ import annotations

import datetime
import types
import typing as t

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._engines.postgresql import PostgresqlPlan
from ansible_collections.sre.runbooks.plugins.module_utils._engines.taking import Need
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import configuration
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.catalog import quoted
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.databases import without_secrets
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.guide import restore_guide
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.tools import Tools

NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.timezone.utc)
PLAN = PostgresqlPlan({"version": "15.1"}, Tools("/bin", (15, 1)), {"flights": 1})


def point(
    age: float = 0.0, duration: float = 0.0, names: t.Sequence[str] = ("flights",), age_encrypted: bool = False
) -> t.Any:
    return types.SimpleNamespace(
        point_id="p",
        duration_s=duration,
        age_s=lambda now: age,
        content={"databases": [{"name": name} for name in names]},
        objects=[types.SimpleNamespace(encoding=["zstd", "age"] if age_encrypted else ["zstd"])],
    )


def need(recipients: t.Sequence[str] = (), **params: t.Any) -> Need:
    return Need({"force": False, "rpo": "24h", "interval": None, **params}, recipients)


@given(st.floats(0, 1e5), st.floats(0, 1e4), st.integers(1, 10**5), st.integers(1, 10**5))
def test_point_stays_within_the_rpo_until_the_next_run_ends(
    age: float, duration: float, rpo: int, interval: int
) -> None:
    reason = need(rpo=str(rpo), interval=str(interval)).reason(point(age, duration), PLAN, NOW)
    assert (reason is None) == (age + interval + duration <= rpo)


def test_interval_is_half_the_rpo() -> None:
    assert need().reason(point(11.9 * 3600), PLAN, NOW) is None
    assert need().reason(point(12.1 * 3600), PLAN, NOW) is not None


def test_other_reasons() -> None:
    assert need().reason(None, PLAN, NOW) == "there was none before"
    assert "force" in (need(force=True).reason(point(), PLAN, NOW) or "")
    assert "database" in (need().reason(point(names=["other"]), PLAN, NOW) or "")
    assert need().reason(point(names=["flights", "dropped since"]), PLAN, NOW) is None
    assert "not encrypted" in (need(["age1x"]).reason(point(), PLAN, NOW) or "")
    assert need(["age1x"]).reason(point(age_encrypted=True), PLAN, NOW) is None


def test_custom_parameters_are_withheld() -> None:
    settings = [{"role": None, "values": {"work_mem": "1MB", "app.secret": "x"}}]
    assert without_secrets(settings) == [{"role": None, "values": {"work_mem": "1MB", "app.secret": None}}]


@given(st.text(st.characters(blacklist_characters="\n\0", blacklist_categories=("Cs",))))
def test_settings_survive_the_servers_parser(value: str) -> None:
    text = configuration.quote(value)
    assert text[0] == text[-1] == "'"
    assert text[1:-1].replace("\\\\", "\0").replace("''", "'").replace("\0", "\\") == value


@given(st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), min_size=1))
def test_identifiers(name: str) -> None:
    text = quoted(name)
    assert text == name or text[1:-1].replace('""', '"') == name
    assert (text[0] == '"') or (name.isascii() and name == name.lower())


def content(**changes: t.Any) -> dict[str, t.Any]:
    entry = {"name": "a\n`rm`", "directory": "db-0001", "extensions": [{"name": "hstore"}, {"name": "plpgsql"}]}
    return {
        "server": {"version": "15.1"},
        "databases": [entry],
        "globals": {"object": "globals.sql.zst", "passwords": False},
        **changes,
    }


def test_guide_names_what_is_needed() -> None:
    plain = restore_guide(content(), Encoding(), "16.2")
    assert (
        "version 16 or newer" in plain and "`hstore`" in plain and "plpgsql" not in plain and "age" not in plain.split()
    )
    assert "set new ones" in plain and "restored/db-0001" in plain and "\n`rm`" not in plain
    secret = restore_guide(content(), Encoding(recipients=["age1abc"]), "16.2")
    assert 'age -d -i "$IDENTITY" "$file" | zstd -dc' in secret and "`age1abc`" in secret
    bare = restore_guide(content(globals=None), Encoding(compress=False), "16.2")
    assert 'cat "$file"' in bare and "roles" not in bare
