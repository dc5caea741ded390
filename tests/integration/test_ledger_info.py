# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rows that a restored table lacks are named, and never guessed."""

from __future__ import annotations

import json
import pathlib
import typing as t

from tests.servers.playbook import play
from tests.servers.postgresql import Server


def ask(
    server: Server, tmp_path: pathlib.Path, lines: list[dict[str, str]] | None, torn: str = "", **more: t.Any
) -> dict[str, t.Any]:
    witness = tmp_path / "witness.jsonl"
    if lines is not None:
        witness.write_text("".join(json.dumps(line) + "\n" for line in lines) + torn, encoding="utf-8")
    server.execute("DROP TABLE IF EXISTS ledger; CREATE TABLE ledger (id text); INSERT INTO ledger VALUES ('a'), ('b')")
    arguments = {"witness": str(witness), "database": "postgres", "table": "ledger", **server.params(), **more}
    return t.cast("dict[str, t.Any]", play([{"sre.runbooks.ledger_info": arguments}]).results[0])


def row(key: str, minute: int) -> dict[str, str]:
    return {"id": key, "written_at": f"2026-11-21T05:{minute:02d}:00+00:00"}


def test_lost_rows_are_named_and_timed(postgresql_server: Server, tmp_path: pathlib.Path) -> None:
    rows = [row("a", 1), row("b", 2), row("d", 5), row("c", 4)]
    found = ask(postgresql_server, tmp_path, rows, consistency_time="2026-11-21T05:03:00Z")
    assert found["lost_rows"] == ["c", "d"]
    assert (found["rows_lost"], found["rows_acknowledged"], found["missing_before_point"]) == (2, 4, 0)
    assert found["rpo_measured_s"] == 120
    assert not found["changed"]


def test_rows_of_an_earlier_loss_are_counted_apart(postgresql_server: Server, tmp_path: pathlib.Path) -> None:
    found = ask(postgresql_server, tmp_path, [row("a", 1), row("x", 2)], consistency_time="2026-11-21T05:03:00Z")
    assert (found["missing_before_point"], found["rows_lost"], found["rpo_measured_s"]) == (1, 0, 0)


def test_nothing_is_claimed_without_a_witness(postgresql_server: Server, tmp_path: pathlib.Path) -> None:
    found = ask(postgresql_server, tmp_path, None)
    assert found["rows_lost"] is None and found["rpo_measured_s"] is None


def test_nothing_lost_and_a_torn_last_line(postgresql_server: Server, tmp_path: pathlib.Path) -> None:
    found = ask(postgresql_server, tmp_path, [row("a", 1), row("b", 2)], torn='{"id": "c", "wri')
    assert (found["rows_lost"], found["rpo_measured_s"]) == (0, 0)
