# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a namespace was lost and restored, damaged and restored, and a setting was rolled back."""

from __future__ import annotations

import json
import pathlib
import time

import pytest

testinfra_hosts = ["local://"]  # not molecule's instances: it has none

WEBHOOK = pathlib.Path(__file__).resolve().parents[1] / "manifests" / "webhook.yml"


@pytest.fixture
def shop(kubectl):
    """Call it with the kind and the name of an object of the shop."""
    return lambda kind, name: json.loads(kubectl("get", kind, name, "--namespace=shop", "--output=json"))


def storefront(kubectl):
    return json.loads(kubectl("get", "deployment", "storefront", "--namespace=storefront", "--output=json"))


def test_everything_is_as_it_was(shop):
    assert shop("namespace", "shop")["metadata"]["labels"]["team"] == "orders"
    assert shop("configmap", "settings")["data"] == {"colour": "green", "catalogue": "http://catalogue.shop.svc/"}
    assert shop("secret", "payment")["data"] == {"key": "b2YtdGhlLXBheW1lbnQtcHJvdmlkZXI="}
    assert shop("voucher", "spring")["spec"] == {"percent": 15}
    assert shop("role", "reader")["rules"][0]["verbs"] == ["get", "list"]
    assert shop("statefulset", "queue")["spec"]["replicas"] == 1
    assert not shop("cronjob", "nightly")["spec"]["suspend"]


def test_workloads_read_the_setting_that_was_rolled_back(kubectl, shop):
    kubectl("rollout", "status", "deployment/api", "--namespace=shop", "--timeout=300s")
    deployment = shop("deployment", "api")
    assert deployment["spec"]["replicas"] == 2
    assert "kubectl.kubernetes.io/restartedAt" in deployment["spec"]["template"]["metadata"]["annotations"]


def test_consumers_are_back(kubectl):
    """It was down and up again in each of two restores."""
    found = storefront(kubectl)
    assert found["spec"]["replicas"] == 3
    assert found["status"]["availableReplicas"] == 3
    assert found["metadata"]["generation"] == 5
    assert not found["metadata"].get("annotations", {}).get("sre.runbooks/former-replicas")


def test_it_is_said_how_long_it_took_and_what_was_there_before_is_kept(local):
    assert local.latest_report()["runbook"] == "roll_back_configuration"
    (restored, *_earlier) = sorted((local.root / "reports").glob("*-restore_components-*/report.json"), reverse=True)
    report = json.loads(restored.read_text(encoding="utf-8"))
    assert report["verdict"] == "met"
    (component,) = report["components"]
    assert 0 < component["rto"]["measured_s"] <= component["rto"]["target_s"]
    assert component["proof"] == "asserted"
    assert list((local.root / "repository/components/shop_objects--before/points").glob("*/manifest.json"))


def test_a_webhook_that_is_down_is_named(kubectl, shop, local):
    """And what was stopped for the restore is started again."""
    kubectl("patch", "configmap/settings", "--namespace=shop", "--type=merge", '--patch={"data": {"colour": "red"}}')
    kubectl("apply", f"--filename={WEBHOOK}")
    try:
        await_webhook(kubectl)
        arguments = [
            "--limit=shop_objects",
            "-e",
            "restore_confirm=shop_objects",
            "-e",
            "component_kubernetes_timeout=5s",
        ]
        done = local.play("restore_components", *arguments, capture_output=True)
        assert done.returncode != 0
        assert "policy.shop.example.com" in " ".join(done.stdout.split()), done.stdout
        assert storefront(kubectl)["status"]["availableReplicas"] == 3
    finally:
        kubectl("delete", f"--filename={WEBHOOK}")


def await_webhook(kubectl):
    """The API server calls it some moments after it was made."""
    end = time.monotonic() + 120
    while True:
        try:
            kubectl("annotate", "configmap/settings", "--namespace=shop", "--dry-run=server", "tried=yes")
        except Exception:  # the command's failure is the sign
            return
        assert time.monotonic() < end, "the webhook is not called"
        time.sleep(0.5)


def test_another_environment_is_left_alone(kubectl, shop, local):
    patch = ["configmap/sre-runbooks-environment", "--namespace=shop", "--type=merge"]
    kubectl("patch", *patch, '--patch={"data": {"environment": "production"}}')
    before = shop("configmap", "settings")["metadata"]["resourceVersion"]
    done = local.play(
        "restore_components", "--limit=shop_objects", "-e", "restore_confirm=shop_objects", capture_output=True
    )
    assert done.returncode != 0
    assert "belongs to another environment; nothing was touched" in " ".join(done.stdout.split()), done.stdout
    assert shop("configmap", "settings")["metadata"]["resourceVersion"] == before
