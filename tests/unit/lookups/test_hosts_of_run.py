# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run for nobody says so, whatever the limit is."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleLookupError
from ansible.parsing.dataloader import DataLoader

from ansible_collections.sre.runbooks.plugins.lookup.hosts_of_run import LookupModule

HERE = {"all": ["db", "web", "other"], "components": ["db", "web"], "others": ["other"]}


def hosts(groups: dict[str, list[str]], limit: str | None) -> list[str]:
    variables = {"groups": groups, **({} if limit is None else {"ansible_limit": limit})}
    return LookupModule(loader=DataLoader()).run(["components"], variables)


@pytest.mark.parametrize(
    ("groups", "limit", "found"),
    [
        (HERE, None, "components"),
        (HERE, "", "components"),
        ({}, None, "localhost"),
        (HERE, "web,other", "components"),
        (HERE, "all:!db", "components"),
        (HERE, "w*", "components"),
        # Ansible reads the names in files, and retries.
        (HERE, "@failed.retry", "components"),
        (HERE, "other:@failed.retry", "components"),
        ({}, "@failed.retry", "localhost"),
    ],
)
def test_whoever_is_left_is_asked(groups: dict[str, list[str]], limit: str | None, found: str) -> None:
    assert hosts(groups, limit) == [found]


@pytest.mark.parametrize(
    ("groups", "limit", "next_step"),
    [
        ({}, "other", "with -i"),
        (HERE, "other", "ansible-inventory --graph"),
        (HERE, "all:!components", "ansible-inventory --graph"),
        (HERE, "nowhere", "ansible-inventory --graph"),
    ],
)
def test_where_nobody_is_left_it_fails(groups: dict[str, list[str]], limit: str, next_step: str) -> None:
    with pytest.raises(AnsibleLookupError, match="nothing would be done") as refused:
        hosts(groups, limit)
    assert f"--limit {limit}; next: " in str(refused.value) and str(refused.value).endswith(next_step)
