# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a table may name, and what it may pass on in a command that everybody on the machine can read."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._schedules.table import Known, parse_table


def row(variables: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    return [{"name": "backups", "runbook": "back_up_components", "every": "day", "variables": variables}]


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"db_password": "hunter2"}, "db_password"),
        ({"db": {"password": "hunter2"}}, "db.password"),
        ({"repository_s3": {"endpoint": "x", "secret_key": "hunter2"}}, "repository_s3.secret_key"),
        ({"stores": [{}, {"inner": [{"apiKey": "hunter2"}]}]}, "stores[1].inner[0].apiKey"),
        ({"api_key": "hunter2"}, "api_key"),
        ({"run_webhook_url": "https://hooks.example/hunter2"}, "run_webhook_url"),
        ({"encryption_identity": "hunter2"}, "encryption_identity"),
        ({"accesskey": "hunter2"}, "accesskey"),
        ({"password_file": {"token": "hunter2"}}, "password_file.token"),
    ],
)
def test_a_secret_is_refused_however_deep_it_lies(variables: dict[str, t.Any], named: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_table(row(variables), Known())
    assert f"variable {named} looks like a secret" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_the_place_of_a_secret_is_none() -> None:
    variables = {"db": {"password_file": "/etc/db", "names": ["password", "a"]}, "checklist": "morning"}
    (entry,) = parse_table(row(variables), Known())
    assert entry.variables == variables


KNOWN = Known(checklists=["morning", "weekly"], hosts=["all", "components", "orders_db", "payments_db", "web1", "web2"])


@pytest.mark.parametrize(
    "limit",
    [
        *("", "orders_db", "components:!orders_db", "orders_db,payments_db", "components:&web*", "all", "*", "!web1"),
        *(
            "components[0]",
            "components[0:1]:web1",
            "web[12]",
            "~web\\d+",
            "@failed.retry",
            "localhost",
            "orders_db, web1",
        ),
    ],
)
def test_a_limit_names_what_is_in_the_inventory(limit: str) -> None:
    rows = [{"name": "a", "runbook": "drill_restores", "every": "day", "limit": limit}]
    assert parse_table(rows, KNOWN)[0].limit == limit


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        ("order_db", "limit names 'order_db', which is no host and no group, did you mean 'orders_db'?"),
        (
            "components:!paymentsdb",
            "limit names 'paymentsdb', which is no host and no group, did you mean 'payments_db'?",
        ),
        ("orders_db:&production", "limit names 'production'"),
        ("component[0]", "limit names 'component[0]', which is no host and no group, did you mean 'components'?"),
        ("db*", "limit names 'db*'"),
    ],
)
def test_a_limit_that_nothing_matches_is_refused(limit: str, says: str) -> None:
    rows = [{"name": "a", "runbook": "drill_restores", "every": "day", "limit": limit}]
    with pytest.raises(InvalidInput) as refused:
        parse_table(rows, KNOWN)
    assert says in str(refused.value) and "ansible-inventory --graph" in str(refused.value)
    assert parse_table(rows, Known())[0].limit == limit


def test_a_checklist_that_is_not_there_is_refused() -> None:
    rows = [{"name": "a", "runbook": "check_health", "every": "day", "variables": {"checklist": "mornin"}}]
    with pytest.raises(
        InvalidInput, match=r"schedule 1 \(a\): there is no checklist 'mornin', did you mean 'morning'\?"
    ):
        parse_table(rows, KNOWN)
    assert parse_table([{**rows[0], "variables": {"checklist": "weekly"}}], KNOWN)
    # Elsewhere the variable is none of ours.
    assert parse_table([{**rows[0], "runbook": "drill_restores"}], KNOWN)


def test_each_line_that_is_wrong_is_named() -> None:
    rows = [
        {"name": "a", "runbook": "drill_restores", "every": "day"},
        {"name": "a", "runbook": "drill_restores", "every": "week"},
        {"name": "b", "runbook": "drill_restores", "every": "day", "limit": "order_db"},
        {"name": "c", "runbook": "drill_restores", "every": "fortnight"},
        "daily",
    ]
    with pytest.raises(InvalidInput) as refused:
        parse_table(rows, KNOWN)
    first, *mistakes = refused.value.message.split("; ")
    assert first == "4 mistakes in the table of schedules"
    assert mistakes[0] == "two schedules are named 'a' [expected: names of their own, found: the same]"
    assert (
        mistakes[1]
        == "schedule 3 (b): limit names 'order_db', which is no host and no group, did you mean 'orders_db'?"
    )
    assert mistakes[2].startswith("schedule 4 (c): ") and "'fortnight'" in mistakes[2]
    assert mistakes[3].startswith("schedule 5 is not a mapping [")
    assert refused.value.next_command == "correct them in the inventory, then: the same command"
