# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Workloads, pods and quantities judged from their objects alone."""

from __future__ import annotations

import datetime
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.pods import restarts_of, trouble_of
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.quantity import parse_quantity
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.workloads import (
    judge_workload,
    path_of,
)

NOW = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.timezone.utc)


def ago(seconds: float) -> str:
    return (NOW - datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def deployment(
    wanted: int = 3, generation: int = 2, conditions: dict[str, str] | None = None, **status: t.Any
) -> t.Any:
    found = [
        {"type": kind, "status": value.split()[0], "reason": value.split()[1], "message": "because"}
        for kind, value in (conditions or {}).items()
    ]
    return {
        "metadata": {"name": "web", "generation": generation},
        "spec": {"replicas": wanted},
        "status": {"observedGeneration": 2, "conditions": found, **status},
    }


SETTLED = {"replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}
AVAILABLE = {"Available": "True MinimumReplicasAvailable"}


@pytest.mark.parametrize(
    ("item", "state", "words"),
    [
        (deployment(**SETTLED, conditions=AVAILABLE), "ready", ""),
        (deployment(**SETTLED, conditions=AVAILABLE, generation=3), "progressing", "has not seen"),
        (deployment(**{**SETTLED, "updatedReplicas": 1}, conditions=AVAILABLE), "progressing", "1 of 3 updated"),
        (deployment(**{**SETTLED, "replicas": 4}, conditions=AVAILABLE), "progressing", "1 old ones left"),
        (
            deployment(**{**SETTLED, "availableReplicas": 2}, conditions=AVAILABLE),
            "progressing",
            "not all are available",
        ),
        (deployment(wanted=3), "unavailable", "0 of 3 updated"),
        (deployment(conditions={"Progressing": "False ProgressDeadlineExceeded"}), "stuck", "because"),
        (deployment(conditions={"ReplicaFailure": "True FailedCreate"}), "stuck", "FailedCreate: because"),
        (deployment(wanted=0), "stopped", "scaled to 0"),
    ],
)
def test_deployments(item: t.Any, state: str, words: str) -> None:
    found = judge_workload("Deployment", item)
    assert (found.state, words in found.reason) == (state, True), found


def test_a_scaled_down_deployment_whose_pods_are_not_gone_is_not_stopped() -> None:
    item = deployment(wanted=0, replicas=2)
    assert judge_workload("Deployment", item).state != "stopped"


def test_what_is_being_deleted_is_not_ready_and_says_for_whom_it_waits() -> None:
    item = deployment(**SETTLED, conditions=AVAILABLE)
    item["metadata"] |= {"deletionTimestamp": ago(5), "finalizers": ["acme.test/hold"]}
    found = judge_workload("Deployment", item)
    assert (found.state, "acme.test/hold" in found.reason) == ("unavailable", True)


@pytest.mark.parametrize(
    ("spec", "status", "state", "words"),
    [
        ({"replicas": 2}, {"replicas": 2, "readyReplicas": 2, "availableReplicas": 2}, "ready", ""),
        ({"replicas": 2}, {"replicas": 2, "readyReplicas": 2, "availableReplicas": 1}, "unavailable", "2 of 2 ready"),
        ({"replicas": 0}, {}, "stopped", ""),
        (
            {"replicas": 2, "updateStrategy": {"type": "OnDelete"}},
            {"replicas": 2, "readyReplicas": 2, "updatedReplicas": 1, "currentRevision": "a", "updateRevision": "b"},
            "progressing",
            "OnDelete",
        ),
        (
            {"replicas": 3, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}},
            {"replicas": 3, "readyReplicas": 3, "updatedReplicas": 1, "currentRevision": "a", "updateRevision": "b"},
            "ready",
            "",
        ),
        ({"replicas": 1}, {"replicas": 2, "readyReplicas": 2}, "progressing", "too many"),
    ],
)
def test_stateful_sets(spec: t.Any, status: t.Any, state: str, words: str) -> None:
    found = judge_workload("StatefulSet", {"metadata": {"name": "db"}, "spec": spec, "status": status})
    assert (found.state, words in found.reason) == (state, True), found


def test_other_kinds() -> None:
    def judge(kind: str, spec: t.Any, **status: t.Any) -> str:
        return judge_workload(kind, {"metadata": {"name": "x"}, "spec": spec, "status": status}).state

    nodes = {"desiredNumberScheduled": 2, "numberReady": 2, "numberAvailable": 2, "updatedNumberScheduled": 2}
    assert judge("DaemonSet", {}, **nodes) == "ready"
    assert judge("DaemonSet", {}, **{**nodes, "numberAvailable": 1}) == "unavailable"
    assert judge("DaemonSet", {}, **{**nodes, "updatedNumberScheduled": 1}) == "progressing"
    assert (
        judge("DaemonSet", {"updateStrategy": {"type": "OnDelete"}}, **{**nodes, "updatedNumberScheduled": 1})
        == "ready"
    )
    assert judge("DaemonSet", {}) == "stopped"
    assert judge("Job", {}, conditions=[{"type": "Complete", "status": "True"}]) == "ready"
    assert (
        judge("Job", {}, conditions=[{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]) == "stuck"
    )
    assert judge("Job", {}, active=1) == "progressing"
    assert judge("Job", {"suspend": True}) == "stopped"
    assert judge("CronJob", {"suspend": True}) == "stopped"
    assert judge("CronJob", {"suspend": False}, active=[{}]) == "ready"
    assert judge("ReplicaSet", {"replicas": 1}, replicas=1, availableReplicas=1) == "ready"


def test_paths() -> None:
    assert path_of("Deployment", "shop", "api") == "/apis/apps/v1/namespaces/shop/deployments/api"
    assert path_of("CronJob", None) == "/apis/batch/v1/cronjobs"


def pod(phase: str = "Running", age: float = 3600, container: t.Any = None, **extra: t.Any) -> t.Any:
    status: dict[str, t.Any] = {"phase": phase, "conditions": extra.pop("conditions", [])}
    if container is not None:
        status["containerStatuses"] = [{"name": "app", "restartCount": 0, **container}]
    status.update(extra.pop("status", {}))
    return {
        "metadata": {"name": "p", "creationTimestamp": ago(age), **extra},
        "spec": {"nodeName": None if phase == "Pending" else "n"},
        "status": status,
    }


READY = [{"type": "Ready", "status": "True", "lastTransitionTime": ago(60)}]
UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: taints"}


@pytest.mark.parametrize(
    ("item", "reason", "words"),
    [
        (pod(conditions=READY), None, ""),
        (pod(phase="Succeeded"), None, ""),
        (pod(phase="Pending", age=10), None, ""),
        (pod(phase="Pending", conditions=[UNSCHEDULABLE]), "Unschedulable", "0/3 nodes: taints"),
        (pod(phase="Pending"), "NotScheduled", ""),
        (
            pod(
                phase="Pending",
                age=1,
                container={"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}},
            ),
            "ImagePullBackOff",
            "container app: no such image",
        ),
        (pod(age=1, container={"state": {"waiting": {"reason": "ContainerCreating"}}}), None, ""),
        (
            pod(
                age=9000,
                container={
                    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                    "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
                },
            ),
            "CrashLoopBackOff",
            "OOMKilled (exit code 137)",
        ),
        (pod(phase="Failed", status={"reason": "Evicted", "message": "low on memory"}), "Evicted", "low on memory"),
        (pod(phase="Unknown"), "Unknown", "does not answer"),
        (
            pod(conditions=[{"type": "Ready", "status": "False", "lastTransitionTime": ago(500)}]),
            "NotReady",
            "not ready",
        ),
        (pod(conditions=[{"type": "Ready", "status": "False", "lastTransitionTime": ago(5)}]), None, ""),
        (pod(conditions=READY, deletionTimestamp=ago(500), finalizers=["a/b"]), "Terminating", "waits for a/b"),
        (pod(conditions=READY, deletionTimestamp=ago(-20)), None, ""),
    ],
)
def test_pods(item: t.Any, reason: str | None, words: str) -> None:
    found = trouble_of(item, NOW, 120)
    assert (found.reason if found else None) == reason
    assert words in str(found or "")


def test_restarts_name_the_container_the_time_and_the_cause() -> None:
    item = pod(
        conditions=READY,
        container={
            "restartCount": 4,
            "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": ago(60)}},
        },
    )
    (found,) = restarts_of(item)
    assert (found.container, found.count, found.why) == ("app", 4, "Error (exit code 1)")
    assert found.last_end == NOW - datetime.timedelta(seconds=60)
    assert restarts_of(pod(conditions=READY, container={})) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("250m", 0.25),
        ("1Gi", 2**30),
        ("500M", 5e8),
        ("1e3", 1000),
        ("0", 0),
        (2, 2),
        ("1.5", 1.5),
        ("12345678n", 0.012345678),
    ],
)
def test_quantities(text: t.Any, value: float) -> None:
    assert parse_quantity(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "x", "1 Gi", "1Gib", None, "Gi", "1ee3"])
def test_what_is_no_quantity(text: t.Any) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        parse_quantity(text)


@given(st.integers(0, 10**12))
def test_quantities_of_every_unit(number: int) -> None:
    assert parse_quantity(f"{number}Ki") == number * 1024
    assert parse_quantity(f"{number}m") == pytest.approx(number / 1000)
