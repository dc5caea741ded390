# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a health check that passed, and a rollout that did not come up."""

from __future__ import annotations

testinfra_hosts = ["local://"]  # not molecule's instances: it has none


def test_it_passed_while_everything_ran(local, component):
    assert local.latest_report()["runbook"] == "check_health"
    assert local.latest_report()["verdict"] == "met"
    assert "kubernetes_logs" in {probe["kind"] for probe in component("shop_objects")["probes"]}
    for name, kinds in (("shop_objects", 11), ("cluster_objects", 2)):
        probed = [probe for probe in component(name)["probes"] if probe["kind"].startswith("kubernetes_")]
        assert len(probed) >= kinds
        assert {probe["outcome"] for probe in probed if probe["critical"]} == {"ok"}


def test_it_names_the_workload_and_why(local, component):
    done = local.play("check_health", capture_output=True)
    assert done.returncode != 0
    said = " ".join(done.stdout.split())
    assert "Deployment shop/api: 2 of 2 available, ProgressDeadlineExceeded" in said, said
    assert local.latest_report()["verdict"] == "failed"
    failed = [probe["kind"] for probe in component("shop_objects")["probes"] if probe["outcome"] == "failed"]
    assert failed == ["kubernetes_workloads"]
    assert component("cluster_objects")["verdict"] == "met"
