# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run for nobody says so, whatever the limit is."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.sre.runbooks.plugins.filter.hosts_of_run import hosts_of_run


@pytest.mark.parametrize(
    ("there", "limit", "within", "hosts"),
    [
        (["db", "web"], "", ["localhost"], "components"),
        ([], "", ["localhost"], "localhost"),
        (["db", "web"], "web,other", ["web", "other"], "components"),
        # Ansible reads the names in files, and retries.
        (["db"], "@failed.retry", [], "components"),
        ([], "other:@failed.retry", [], "localhost"),
    ],
)
def test_whoever_is_left_is_asked(there: list[str], limit: str, within: list[str], hosts: str) -> None:
    assert hosts_of_run("components", there, limit, within) == hosts


@pytest.mark.parametrize(
    ("there", "within", "next_step"),
    [([], [], "with -i"), (["db"], ["other"], "ansible-inventory --graph"), (["db"], [], "ansible-inventory --graph")],
)
def test_where_nobody_is_left_it_fails(there: list[str], within: list[str], next_step: str) -> None:
    with pytest.raises(AnsibleFilterError, match="nothing would be done") as refused:
        hosts_of_run("components", there, "other", within)
    assert "--limit other" in str(refused.value) and str(refused.value).endswith(next_step)
