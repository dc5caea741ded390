# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of errors in containers' logs: counted within their window, never shown."""

from __future__ import annotations

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from kubernetes_lists import PODS, Cluster, Object, ago, ask, item, look


def talking(name: str, *containers: str, restarts: int = 0) -> Object:
    last = {"terminated": {"finishedAt": ago(60), "exitCode": 1}}
    states = [
        {"name": one, "restartCount": restarts, "state": {"running": {}}, "lastState": last} for one in containers
    ]
    return item(name, {}, {"phase": "Running", "containerStatuses": states})


def test_lines_of_errors_are_counted_and_not_shown() -> None:
    calm, loud = talking("calm", "api"), talking("loud", "api", "side", restarts=2)
    waiting = talking("waiting", "api")
    waiting["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "ContainerCreating"}}
    logs = {
        f"{PODS}/calm/log": {"api": "started\nterror and errors are words of their own\n"},
        f"{PODS}/loud/log": {"api": "FATAL: password=Zq9\nok\nException in x\n", "side": "panic: y\n"},
    }
    lists = {PODS: [calm, waiting, loud], **logs}
    found = look("kubernetes_logs", lists).reading
    assert (found.outcome, found.measured) == ("warning", "3 lines of errors in the logs of 3 containers")
    assert found.message == "shop/loud/api: 2 lines of errors; shop/loud/side: 1 line of errors"
    assert "Zq9" not in repr(found)
    assert found.hint is not None
    assert found.hint.startswith("kubectl logs loud --container=api --since=900s --namespace=shop | grep -P ")
    assert look("kubernetes_logs", lists, maximum=3).reading.outcome == "ok"
    assert look("kubernetes_logs", lists, fail_above=2).reading.outcome == "failed"
    assert look("kubernetes_logs", lists, fail_above=3).reading.outcome == "warning"
    assert look("kubernetes_logs", lists, ignore="loud").reading.outcome == "ok"
    assert look("kubernetes_logs", lists, pattern="^ok$").reading.values["lines"] == 1
    # What was restarted is read first.
    some = look("kubernetes_logs", lists, containers=1).reading
    assert some.measured == "2 lines of errors in the logs of 1 container of 3"


def test_only_what_was_said_within_the_window_is_asked_for() -> None:
    cluster = Cluster({PODS: [talking("loud", "api")], f"{PODS}/loud/log": {"api": "panic\n"}})
    ask(cluster, {"kind": "kubernetes_logs", "window": "2m"})
    assert [query["sinceSeconds"] for query in cluster.queries if "container" in query] == [120]


def test_a_log_that_is_cut_counts_at_least() -> None:
    line = "error " + "x" * 4000 + "\n"
    lists = {PODS: [talking("loud", "api")], f"{PODS}/loud/log": {"api": "an older error\n" * 9 + line * 6000}}
    found = look("kubernetes_logs", lists).reading
    assert "at least 312 lines of errors" in found.message and found.values["whole"] == 0


def test_logs_that_may_not_be_read_are_unknown_and_a_pod_that_went_is_none() -> None:
    refused = look("kubernetes_logs", {PODS: [talking("loud", "api")], f"{PODS}/loud/log": 403}).reading
    assert refused.outcome == "unknown" and "may not get pods/log" in refused.message
    gone = look("kubernetes_logs", {PODS: [talking("loud", "api")], f"{PODS}/loud/log": 404}).reading
    assert (gone.outcome, gone.measured) == ("ok", "0 lines of errors in the logs of 0 containers")
    pods = [talking("dumb", "api"), talking("loud", "api")]
    one = look("kubernetes_logs", {PODS: pods, f"{PODS}/dumb/log": 400, f"{PODS}/loud/log": {"api": "panic\n"}}).reading
    assert one.outcome == "unknown"
    assert one.message.startswith("shop/dumb/api: its log cannot be read: ")
    assert one.message.endswith("; shop/loud/api: 1 line of errors")
