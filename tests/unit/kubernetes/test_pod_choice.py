# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which pod is meant: one, ready, and no doubt about it."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, InvalidInput, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import NotFound
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.pod_choice import choose_pod, is_ready


def pod(name: str, ready: bool = True, deleted: bool = False, phase: str = "Running") -> dict[str, t.Any]:
    metadata = {"name": name, **({"deletionTimestamp": "2026-11-21T12:00:00Z"} if deleted else {})}
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {"metadata": metadata, "status": {"phase": phase, "conditions": conditions}}


class Api:
    """Answers with one list after the other, the last one again and again."""

    def __init__(self, *answers: list[dict[str, t.Any]]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def get(self, path: str, query: t.Any = None) -> t.Any:
        self.asked.append(path)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if query is not None:
            return {"items": found}
        if not found:
            raise NotFound("not there", status=404)
        return found[0]


def test_the_only_ready_one_is_taken() -> None:
    api = Api([pod("a", ready=False), pod("b"), pod("c", deleted=True)])
    assert choose_pod(api, "shop", selector="app=db")["metadata"]["name"] == "b"
    assert choose_pod(Api([pod("b")]), "shop", "b")["metadata"]["name"] == "b"
    assert not is_ready({"metadata": {}, "status": {}})


def test_one_that_starts_is_waited_for() -> None:
    api = Api([], [pod("a", ready=False)], [pod("a")])
    assert choose_pod(api, "shop", selector="app=db")["metadata"]["name"] == "a"
    assert len(api.asked) == 3
    assert choose_pod(Api([], [pod("a")]), "shop", "a")["metadata"]["name"] == "a"


def test_two_are_refused_and_none_is_an_error() -> None:
    with pytest.raises(Refused, match=r"found: a, b; next: .*component_kubernetes_pod"):
        choose_pod(Api([pod("b"), pod("a")]), "shop", selector="app=db")
    with pytest.raises(EngineError, match=r"app=db, ready; found: no pod; next: kubectl get pods -n shop -l 'app=db'"):
        choose_pod(Api([]), "shop", selector="app=db", appears_s=0)
    with pytest.raises(EngineError, match=r"found: a \(Pending, not ready\), b \(being deleted\)"):
        choose_pod(Api([pod("a", False, phase="Pending"), pod("b", deleted=True)]), "shop", selector="x=y", ready_s=0)
    with pytest.raises(InvalidInput, match="which pod"):
        choose_pod(Api([]), "shop")
