# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What only a bucket can meet: killed uploads, lost answers, broken connections, wrong keys, buckets and addresses."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import pathlib
import secrets
import signal
import subprocess
import sys
import typing as t

import botocore.exceptions
import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    IntegrityError,
    NotPermitted,
    ObjectExists,
    RepositoryError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository import s3_unfinished
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import open_store
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_requests import KeyRequests
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_store import S3Store
from tests.servers.faulty_network import Way
from tests.servers.s3 import Gateway, bare_environment

ROOT = pathlib.Path(__file__).resolve().parents[2]
MIB = 1 << 20


@pytest.fixture(autouse=True)
def nothing_of_this_machine() -> t.Iterator[None]:
    with bare_environment():
        yield


@pytest.fixture(scope="module")
def bucket(s3_gateway: Gateway) -> str:
    return s3_gateway.make_bucket()


@pytest.fixture
def url(bucket: str) -> str:
    return f"s3://{bucket}/prefix-{secrets.token_hex(4)}"


def opened(url: str, options: dict[str, t.Any], **more: t.Any) -> S3Store:
    store = open_store(url, {"part_size": 5 * MIB, "max_attempts": 3, **options, **more})
    assert isinstance(store, S3Store)
    return store


def contents(length: int) -> bytes:
    return b"".join(hashlib.sha256(b"%d" % block).digest() * 1024 for block in range(length // 32768 + 1))[:length]


def uploads(store: S3Store) -> list[str]:
    found = store.client.list_multipart_uploads(Bucket=store.location.bucket, Prefix=store.location.prefix)
    return [upload["Key"][len(store.location.prefix) :] for upload in found.get("Uploads", [])]


KILLED = """
import json, os, signal, sys
sys.path[:0] = json.loads(sys.argv[1])
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import open_store
store = open_store(sys.argv[2], json.load(sys.stdin))
with store.writer(sys.argv[3]) as writer:
    writer.write(bytes(11 << 20))
    writer._parts[0].result()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed_writer(url: str, options: dict[str, t.Any], key: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, json.dumps([str(ROOT / ".local" / "collections"), str(ROOT)]), url, key],
        input=json.dumps({**options, "part_size": 5 * MIB}),
        text=True,
        check=False,
        env=dict(os.environ),
    )
    assert done.returncode == -signal.SIGKILL


def test_a_killed_writer_leaves_nothing_visible_and_is_swept(
    s3_gateway: Gateway, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(url, s3_gateway.options())
    killed_writer(url, s3_gateway.options(), "points/1/a")
    killed_writer(url, s3_gateway.options(), "points/2/a")
    assert [*store.versions("")] == []
    assert sorted(uploads(store)) == ["points/1/a", "points/2/a"]
    begun = KeyRequests(store.bucket, "fresh", streamed=True)
    upload_id = begun.begin()
    assert store.sweep() == 0, "a young one may be another writer's running one, even without a part"
    begun.abort(upload_id)
    assert store.forget_unfinished("points/", keep="points/2/") == 1
    assert uploads(store) == ["points/2/a"]
    assert store.forget_unfinished("other/") == 0
    monkeypatch.setattr(s3_unfinished, "ABANDONED_S", -10.0)  # a day later, ten seconds from now
    with opened(url, s3_gateway.options()).writer("points/3/a") as writer:
        writer.write(contents(6 * MIB))
        assert uploads(store) == ["points/3/a"], "the first upload of a store sweeps"
    assert uploads(store) == []


def test_an_upload_that_goes_on_is_not_swept(s3_gateway: Gateway, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long one began days ago, and its last part came a moment ago."""
    store = opened(url, s3_gateway.options())
    began = store.now() + datetime.timedelta(seconds=2)
    monkeypatch.setattr(s3_unfinished, "ABANDONED_S", 86400.0)
    with store.writer("long") as writer:
        writer.write(contents(6 * MIB))
        writer._parts[0].result()
        monkeypatch.setattr(
            s3_unfinished, "_last_part", lambda *_arguments: began + datetime.timedelta(days=3, minutes=-1)
        )
        assert s3_unfinished.abort_abandoned(store.bucket, began + datetime.timedelta(days=3)) == 0
    assert store.stat("long").length == 6 * MIB


def losing_answers(store: S3Store, monkeypatch: pytest.MonkeyPatch, operation: str, times: int = 1) -> list[int]:
    """Let the first so many calls be carried out and fail all the same; how many calls there were."""
    original, calls = getattr(store.client, operation), []

    def lost(**arguments: t.Any) -> t.Any:
        calls.append(1)
        if len(calls) <= times:
            original(**arguments)
            raise botocore.exceptions.ReadTimeoutError(endpoint_url="http://lost")
        return original(**arguments)

    monkeypatch.setattr(store.client, operation, lost)
    return calls


def test_an_object_whose_answer_was_lost_is_known_as_ours(
    s3_gateway: Gateway, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(url, s3_gateway.options())
    losing_answers(store, monkeypatch, "put_object")
    version = store.create("small", b"mine")
    assert store.read("small", 10, version) == b"mine"
    losing_answers(store, monkeypatch, "complete_multipart_upload")
    with store.writer("large") as writer:
        writer.write(contents(6 * MIB))
    assert store.read("large", 6 * MIB, writer.version_id) == contents(6 * MIB)
    assert len([*store.versions("")]) == 2


def test_equal_bytes_of_another_writer_are_not_ours(
    s3_gateway: Gateway, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(url, s3_gateway.options())
    opened(url, s3_gateway.options()).create("small", b"same")
    losing_answers(store, monkeypatch, "put_object", times=0)
    with pytest.raises(ObjectExists):
        store.create("small", b"same")
    # The answer that says so may be lost as well.
    monkeypatch.setattr(
        store.client,
        "put_object",
        lambda **_arguments: (_ for _ in ()).throw(botocore.exceptions.ReadTimeoutError(endpoint_url="http://lost")),
    )
    with pytest.raises(ObjectExists):
        store.create("small", b"same")
    with pytest.raises(RepositoryError, match="does not answer") as failure:
        store.create("other", b"never arrived")
    assert not isinstance(failure.value, ObjectExists)


def test_a_conflict_is_tried_again(s3_gateway: Gateway, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(url, s3_gateway.options())
    original, calls = store.client.put_object, []

    def conflicting(**arguments: t.Any) -> t.Any:
        calls.append(1)
        if len(calls) == 1:
            answer = {"Error": {"Code": "ConditionalRequestConflict"}, "ResponseMetadata": {"HTTPStatusCode": 409}}
            raise botocore.exceptions.ClientError(answer, "PutObject")
        return original(**arguments)

    monkeypatch.setattr(store.client, "put_object", conflicting)
    store.create("a", b"x")
    assert len(calls) == 2 and store.read("a", 1) == b"x"


def test_what_arrives_damaged_is_noticed(s3_gateway: Gateway, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(url, s3_gateway.options())
    original = store.client.put_object

    def damaging(**arguments: t.Any) -> t.Any:
        return original(**{**arguments, "Body": b"Xhole"})

    monkeypatch.setattr(store.client, "put_object", damaging)
    with pytest.raises(RepositoryError, match="HTTP 400"):
        store.create("a", b"whole")
    assert [*store.list("")] == []


def test_reading_goes_on_after_a_broken_connection(s3_gateway: Gateway, s3_way: Way, url: str) -> None:
    data = contents(9 * MIB)
    with opened(url, s3_gateway.options()).writer("a") as writer:
        writer.write(data)
    store = opened(url, s3_gateway.options(url=s3_way.url), read_timeout="5s")
    with s3_way.fault("limit_data", bytes=2 * MIB):
        for version in (None, writer.version_id):
            with store.open("a", version=version) as source:
                assert source.read() == data
        with store.open("a", 1000, 7 * MIB) as source:
            assert source.read() == data[1000 : 1000 + 7 * MIB]


def test_reading_goes_on_in_the_same_object_or_not_at_all(s3_gateway: Gateway, s3_way: Way, url: str) -> None:
    store = opened(url, s3_gateway.options(url=s3_way.url))
    with opened(url, s3_gateway.options()).writer("a") as writer:
        writer.write(contents(9 * MIB))
    with s3_way.fault("limit_data", bytes=2 * MIB), store.open("a") as source:
        source.read(MIB)
        s3_gateway.client().put_object(
            Bucket=store.location.bucket, Key=store.location.prefix + "a", Body=bytes(9 * MIB)
        )
        with pytest.raises(IntegrityError, match="replaced while it was read"):
            source.read()


def test_reading_without_a_way_ends_with_an_error(s3_gateway: Gateway, s3_way: Way, url: str) -> None:
    # So much that what the way and its ends may hold back is not all of it, however late it is cut.
    opened(url, s3_gateway.options()).create("a", contents(24 * MIB))
    store = opened(url, s3_gateway.options(url=s3_way.url), connect_timeout=10, read_timeout=30, max_attempts=2)
    with s3_way.fault("bandwidth", rate=500), store.open("a") as source:
        source.read(10)
        with s3_way.cut(), pytest.raises(RepositoryError, match="could not read a"):
            source.read()


def failure(url: str, options: dict[str, t.Any], key: str = "a") -> RepositoryError:
    """What reading and writing fail with; it never tells a credential."""
    errors = []
    for work in (
        lambda store: store.read(key, 10),
        lambda store: store.create(key, b"x"),
        lambda store: [*store.list("")],
    ):
        with pytest.raises(RepositoryError) as raised:
            work(opened(url, options, connect_timeout=30, read_timeout=60, max_attempts=1))
        errors.append(raised.value)
        for name in ("secret_key", "access_key", "session_token"):
            assert not options.get(name) or options[name] not in str(raised.value)
        assert raised.value.expected and raised.value.found and raised.value.next_command
    assert len({type(error) for error in errors}) == 1, errors
    return errors[-1]


def test_wrong_credentials(s3_gateway: Gateway, url: str) -> None:
    right = s3_gateway.options()
    for wrong in ({"secret_key": "not-the-secret-of-it"}, {"access_key": "NOBODYSKEY"}):
        error = failure(url, {**right, **wrong})
        assert isinstance(error, NotPermitted)
        assert "are not accepted" in str(error) and "HTTP 403" in str(error)
    nobody = {name: value for name, value in right.items() if not name.endswith("_key")}
    assert "there are no credentials" in str(failure(url, nobody))
    with pytest.raises(NotPermitted, match="nonesuch"):
        opened(url, {**nobody, "profile": "nonesuch"})


def test_credentials_as_boto3_finds_them(
    s3_gateway: Gateway, url: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = s3_gateway.options()
    rest = {name: value for name, value in right.items() if not name.endswith("_key")}
    with monkeypatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", right["access_key"])
        environment.setenv("AWS_SECRET_ACCESS_KEY", right["secret_key"])
        opened(url, rest).create("by-environment", b"")
    file = tmp_path / "credentials"
    file.write_text(f"[mine]\naws_access_key_id={right['access_key']}\naws_secret_access_key={right['secret_key']}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    opened(url, {**rest, "profile": "mine"}).create("by-profile", b"")
    for name in ("endpoint", "access_key", "secret_key", "addressing_style", "region"):
        value = right["endpoint_url" if name == "endpoint" else name]
        monkeypatch.setenv(f"SRE_RUNBOOKS_S3_{name.upper()}", value)
    assert [found.key for found in open_store(url).list("")] == ["by-environment", "by-profile"]


def test_refused_by_policy(s3_gateway: Gateway, url: str) -> None:
    error = failure(url, s3_gateway.options("attacker"))
    assert isinstance(error, NotPermitted)
    assert "the repository refuses" in str(error) and "docs/bucket.md" in str(error)


def test_wrong_bucket(s3_gateway: Gateway) -> None:
    assert "there is no bucket nonesuch-bucket" in str(failure("s3://nonesuch-bucket/x", s3_gateway.options()))


def test_a_wrong_region_is_put_right_by_the_answer(s3_gateway: Gateway, url: str) -> None:
    store = opened(url, s3_gateway.options(), region="eu-central-1")
    store.create("a", b"x")
    assert store.read("a", 1) == b"x"


def test_wrong_endpoint(s3_gateway: Gateway, s3_way: Way, url: str) -> None:
    with s3_way.cut():
        assert "cannot be reached" in str(failure(url, s3_gateway.options(url=s3_way.url)))
    secure = s3_gateway.options(url=s3_gateway.url.replace("http://", "https://"))
    assert "certificate is not trusted" in str(failure(url, secure))


def test_certificates(s3_gateway_tls: Gateway) -> None:
    bucket = s3_gateway_tls.make_bucket()
    right = s3_gateway_tls.options()
    opened(f"s3://{bucket}/x", right).create("a", b"x")
    untrusted = {name: value for name, value in right.items() if name != "ca_bundle"}
    assert "certificate is not trusted" in str(failure(f"s3://{bucket}/x", untrusted))
    assert opened(f"s3://{bucket}/x", untrusted, verify_certificates=False).read("a", 1) == b"x"


def test_objects_are_locked_as_asked_for(s3_gateway: Gateway, url: str) -> None:
    store = opened(url, s3_gateway.options(), lock_mode="governance", lock_for="1h")
    version = store.create("a", b"x")
    with store.writer("b") as writer:
        writer.write(contents(6 * MIB))
    store.create("control/leases/db/000000000001/held.json", b"x")
    for key, kept in (("a", version), ("b", writer.version_id)):
        until = store.locked_until(key, kept)
        assert until is not None and 3500 < (until - store.now()).total_seconds() < 3700
    assert store.locked_until("control/leases/db/000000000001/held.json", None) is None
