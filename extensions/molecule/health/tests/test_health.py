# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a health check that passed, and the loss of the service."""

from __future__ import annotations

testinfra_hosts = ["local://"]  # not molecule's instances: it has none


def test_it_passed_while_everything_ran(local):
    assert local.latest_report()["runbook"] == "check_health"
    assert local.latest_report()["verdict"] in ("met", "unknown")


def test_it_names_the_probe_that_fails(local):
    done = local.play("check_health", capture_output=True)
    assert done.returncode != 0
    assert "flights API is healthy" in done.stdout
    assert local.latest_report()["verdict"] == "failed"
