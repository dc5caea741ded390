# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests: what is repeated and what is not, what an error says, and what it never says."""

from __future__ import annotations

import functools
import json
import pathlib
import socket
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import client, errors
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import connect
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.retries import Attempts, may_repeat
from tests.unit.kubernetes.fake_api import IMPATIENT, Reply, fake_cluster, replies, status

OK: Reply = (200, {"kind": "ConfigMap"}, {})
PATH = "/api/v1/namespaces/shop/configmaps"


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_reading_outlasts_a_bad_moment(code: int) -> None:
    with fake_cluster(replies(status(code), status(code), None, OK)) as (cluster, fake):
        assert cluster.get(PATH) == {"kind": "ConfigMap"}
        assert len(fake.asked) == 4


@pytest.fixture
def only_pauses_take_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the clock of those who try again: whatever else happens on this machine."""
    passed = [0.0]

    def sleep(seconds: float) -> None:
        passed[0] += seconds

    attempts = functools.partial(Attempts, clock=lambda: passed[0], sleep=sleep)
    monkeypatch.setattr(client, "Attempts", attempts)


@pytest.mark.usefixtures("only_pauses_take_time")
def test_patience_ends_and_says_so() -> None:
    with fake_cluster(replies(status(503, "ServiceUnavailable", "etcd is away")), IMPATIENT) as (cluster, fake):
        with pytest.raises(errors.Unreachable) as caught:
            cluster.get(PATH)
        assert caught.value.status == 503 and "etcd is away" in str(caught.value) and "attempts" in str(caught.value)
        assert len(fake.asked) > 2


def test_a_webhook_that_is_down_is_named_soon() -> None:
    """Every request that it is asked about would spend the whole patience on it."""
    said = 'Internal error occurred: failed calling webhook "policy.example.com": connection refused'
    with fake_cluster(replies(status(500, "InternalError", said))) as (cluster, fake):
        with pytest.raises(errors.Unreachable) as caught:
            cluster.update(f"{PATH}/a", {"metadata": {"name": "a"}})
        assert len(fake.asked) == 3
        assert "policy.example.com" in str(caught.value) and "mend what serves it" in str(caught.value.next_command)
    with fake_cluster(replies(status(500, "InternalError", said), OK)) as (cluster, fake):
        assert cluster.update(f"{PATH}/a", {"metadata": {"name": "a"}})


def test_retry_after_is_honoured() -> None:
    with fake_cluster(replies((429, {}, {"Retry-After": "1"}), OK)) as (cluster, _fake):
        assert cluster.get(PATH)
    with fake_cluster(replies((429, {}, {"Retry-After": "30"})), IMPATIENT) as (cluster, fake):
        with pytest.raises(errors.Unreachable):
            cluster.get(PATH)
        assert len(fake.asked) == 1  # it would come too late


def test_a_creation_that_may_have_happened_is_not_repeated() -> None:
    for reply in (None, status(500), status(503)):
        with fake_cluster(replies(reply)) as (cluster, fake):
            with pytest.raises(errors.Unreachable):
                cluster.create(PATH, {"metadata": {"generateName": "a-"}})
            assert len(fake.asked) == 1
    with fake_cluster(replies(status(429), (201, {"kind": "ConfigMap"}, {}))) as (cluster, fake):
        assert cluster.create(PATH, {}) and len(fake.asked) == 2


def test_a_conflict_of_timing_is_repeated_and_one_of_ownership_is_not() -> None:
    moved = status(409, "Conflict", "the object has been modified")
    with fake_cluster(replies(moved, moved, OK)) as (cluster, fake):
        assert cluster.apply(f"{PATH}/a", {"metadata": {"name": "a"}}) and len(fake.asked) == 3
    owned = status(409, "Conflict", "conflict with kubectl", causes=[{"field": ".data.a", "message": "kubectl"}])
    with fake_cluster(replies(owned)) as (cluster, fake):
        with pytest.raises(errors.Conflict) as caught:
            cluster.apply(f"{PATH}/a", {"metadata": {"name": "a"}})
        assert len(fake.asked) == 1 and caught.value.causes == [{"field": ".data.a", "message": "kubectl"}]
    with fake_cluster(replies(moved)) as (cluster, fake):
        with pytest.raises(errors.Conflict):
            cluster.update(f"{PATH}/a", {"metadata": {"name": "a", "resourceVersion": "7"}})
        assert len(fake.asked) == 1
    with fake_cluster(replies(status(409, "AlreadyExists"))) as (cluster, fake):
        with pytest.raises(errors.Conflict):
            cluster.create(PATH, {"metadata": {"name": "a"}})
        assert len(fake.asked) == 1


def test_apply_asks_for_strictness_under_our_name() -> None:
    with fake_cluster(replies(OK)) as (cluster, fake):
        cluster.apply(f"{PATH}/a", {"metadata": {"name": "ü"}}, force=True, dry_run=True)
        (asked,) = fake.asked
    assert asked.method == "PATCH" and asked.headers["Content-Type"] == "application/apply-patch+yaml"
    assert asked.path.endswith("a?fieldManager=sre-runbooks&dryRun=All&force=true&fieldValidation=Strict")
    assert json.loads(asked.body)["metadata"]["name"] == "ü"


def test_an_expired_token_is_named_and_never_shown() -> None:
    with fake_cluster(
        replies(status(401, "Unauthorized", "bad token very-secret-token")), api_key="very-secret-token"
    ) as (cluster, fake):
        with pytest.raises(errors.Unauthorized) as caught:
            cluster.get(PATH)
        assert fake.asked[0].headers["authorization"] == "Bearer very-secret-token" and len(fake.asked) == 1
    assert "expired" in str(caught.value) and "very-secret-token" not in str(caught.value)


def test_a_renewed_token_file_is_read_again(tmp_path: pathlib.Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")

    def answer(asked: t.Any) -> Reply:
        if asked.headers["authorization"] == "Bearer first":
            token.write_text("second\n")
            return status(401, "Unauthorized")
        return OK

    with fake_cluster(answer, api_key_file=str(token)) as (cluster, fake):
        assert cluster.get(PATH)
        assert [asked.headers["authorization"] for asked in fake.asked] == ["Bearer first", "Bearer second"]


def test_a_quoted_body_is_cut_out_of_errors() -> None:
    message = 'illegal base64, error found in #10 byte of ...|"password":"hunter2"}|..., bigger context ...|hunter2|...'
    with fake_cluster(replies(status(400, "BadRequest", message))) as (cluster, _fake):
        with pytest.raises(errors.Invalid) as caught:
            cluster.create(PATH, {})
    assert "illegal base64" in str(caught.value) and "hunter2" not in str(caught.value)


def test_what_is_no_api_server_is_named() -> None:
    with fake_cluster(replies((200, b"<html>log in</html>", {}))) as (cluster, _fake):
        with pytest.raises(errors.ApiFailure, match="something other than an object"):
            cluster.get("/version")
    with fake_cluster(replies((302, b"", {"Location": "http://elsewhere/"}))) as (cluster, fake):
        with pytest.raises(errors.ApiFailure):
            cluster.get("/version")
        assert len(fake.asked) == 1  # no token is carried elsewhere


@pytest.mark.usefixtures("only_pauses_take_time")
def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with (
        connect({"host": f"http://127.0.0.1:{port}"}, IMPATIENT) as cluster,
        pytest.raises(errors.Unreachable) as caught,
    ):
        cluster.get("/version")
    assert f"http://127.0.0.1:{port}" in str(caught.value) and "attempts" in str(caught.value)


def test_an_answer_that_ends_early_is_none() -> None:
    cut: Reply = (200, b'{"kind": "ConfigMap"', {"Content-Length": "100", "Connection": "close"})
    with fake_cluster(replies(cut, cut, OK)) as (cluster, _fake):
        assert cluster.get(PATH) == {"kind": "ConfigMap"}


def test_absent_is_told_from_forbidden() -> None:
    with fake_cluster(replies(status(404, "NotFound"))) as (cluster, _fake):
        assert cluster.find(f"{PATH}/a") is None and not cluster.exists(f"{PATH}/a")
    with fake_cluster(replies(status(403, "Forbidden"))) as (cluster, _fake), pytest.raises(errors.Forbidden):
        cluster.find(f"{PATH}/a")


@pytest.mark.parametrize(
    ("message", "next_command"),
    [
        ('secrets is forbidden: User "anna" cannot create resource "secrets"', "grant it the verb"),
        ('pods "web" is forbidden: exceeded quota: small, requested: pods=1', "raise the quota"),
        ('pods "web" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot', "lower it"),
        ("unable to create new content in namespace shop because it is being terminated", "wait until it is gone"),
        ('roles "a" is forbidden: user "x" is attempting to grant RBAC permissions not currently held', "escalate"),
    ],
)
def test_what_is_forbidden_for_other_reasons_than_a_verb(message: str, next_command: str) -> None:
    document = {"kind": "Status", "reason": "Forbidden", "message": message}
    error = errors.explain("POST", "/api/v1/namespaces/shop/pods", "https://c", 403, document)
    assert next_command in str(error.next_command) and message in str(error.found)


@pytest.mark.parametrize(("code", "before"), [(200, 190), (403, 990)])
def test_a_token_is_in_no_message_wherever_that_is_cut(code: int, before: int) -> None:
    """Of a token that was cut in two, neither half would be known any more."""
    token = "Zq9-token-of-anna-4711"
    page = " " * (before // 2) + "x" * (before - before // 2) + token
    with (
        fake_cluster(replies((code, page.encode(), {})), api_key=token) as (cluster, _fake),
        pytest.raises(errors.ApiFailure) as caught,
    ):
        cluster.get(PATH)
    assert "xxx" in str(caught.value) and "Zq9" not in str(caught.value), str(caught.value)


def test_the_server_s_clock_is_known() -> None:
    with fake_cluster(replies(OK)) as (cluster, _fake):
        assert cluster.server_time is None
        cluster.get("/version")
        assert cluster.server_time is not None and cluster.now() == cluster.server_time
        assert cluster.now().microsecond == 0 and cluster.now().utcoffset() is not None


def test_repeating_never_doubles_a_creation() -> None:
    for code in (None, 500, 503, 504, 409):
        assert not may_repeat("POST", code)
    assert may_repeat("POST", None, sent=False) and may_repeat("POST", 429)
    assert may_repeat("DELETE", None) and may_repeat("PATCH", 503) and not may_repeat("GET", 404)
