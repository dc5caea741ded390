# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a bucket needs no server: options, places, the growth of parts, memory, the service's clock, errors."""

from __future__ import annotations

import concurrent.futures
import datetime
import email.utils
import threading
import time
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils import _module
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput, NotPermitted, RepositoryError
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_client import ServiceClock
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_errors import explain, is_unanswered
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_options import (
    ENVIRONMENT,
    S3Options,
    parse_location,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_reading import ResumingReader
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_upload import (
    MOST_PARTS,
    Budget,
    UploadWriter,
    part_size,
)

MIB = 1 << 20
TIB = 1 << 40


@pytest.mark.parametrize("url", ["s3://bucket", "s3://bucket/", "s3://my.bucket-1/a", "s3://bucket/a/b_c.d/"])
def test_places(url: str) -> None:
    place = parse_location(url)
    assert place.url == url.rstrip("/")
    assert place.prefix == "" or place.prefix.endswith("/")


@pytest.mark.parametrize(
    "url",
    ["s3://", "s3:///a", "s3://B/a", "s3://ab", "s3://a..b/x", "s3://bucket//a", "s3://bucket/../a", "s3://bucket/.a"]
    + ["s3://bucket/a b", "s3://bucket/a?x=1", "s3://key:secret@bucket/a", "file:///a", "s3://bucket/" + "a" * 121],
)
def test_not_places(url: str) -> None:
    with pytest.raises(InvalidInput, match="not a repository's URL"):
        parse_location(url)


def test_options_of_the_module_are_those_of_the_store() -> None:
    """Every default is said in two places: there for people, here for callers without a module."""
    declared = _module.S3_OPTION["options"]
    assert set(declared) == set(S3Options.__dataclass_fields__)
    defaults = {name: option["default"] for name, option in declared.items() if "default" in option}
    defaults["part_size"] = 8 * MIB  # written as 8M
    assert S3Options.from_params(defaults) == S3Options() == S3Options.from_params(None)
    fallbacks = {name: option["fallback"][1][0] for name, option in declared.items() if "fallback" in option}
    assert fallbacks == ENVIRONMENT


@pytest.mark.parametrize(
    "wrong",
    [
        {"access_key": "a"},
        {"secret_key": "s"},
        {"endpoint_url": "s3.example.org"},
        {"part_size": 5 * MIB - 1},
        {"concurrency": 0},
        {"max_attempts": 0},
        {"lock_mode": "compliance"},
        {"lock_for": "1d"},
        {"lock_for": "soon"},
        {"kms_key_id": "k"},
        {"addressing_style": "host"},
        {"read_timeout": 0},
        {"bucket": "b"},
    ],
)
def test_options_that_cannot_be(wrong: dict[str, t.Any]) -> None:
    with pytest.raises(InvalidInput):
        S3Options.from_params(wrong)


def test_options_do_not_show_their_secrets() -> None:
    options = S3Options.from_params({"access_key": "AKIA", "secret_key": "hush", "session_token": "token"})
    assert not any(secret in repr(options) for secret in ("AKIA", "hush", "token="))
    assert options.redacted("AKIA says hush, token") == "******** says ********, ********"


@settings(max_examples=10)
@given(first=st.integers(5 * MIB, 5 << 30))
def test_every_object_that_s3_allows_fits_into_its_parts(first: int) -> None:
    assert sum(part_size(number, first) for number in range(1, MOST_PARTS + 1)) >= 5 * TIB or first < 8 * MIB
    assert part_size(1, first) == part_size(1000, first) == first
    assert part_size(MOST_PARTS, first) <= 5 << 30


def test_parts_of_the_default_size_hold_more_than_seven_tebibytes() -> None:
    assert sum(part_size(number, 8 * MIB) for number in range(1, MOST_PARTS + 1)) > 7 * TIB


class Memory:
    """Counts what is in flight."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.lock = threading.Lock()
        self.parts: dict[int, bytes] = {}
        self.in_flight = self.most_in_flight = self.most_at_once = self.at_once = 0
        #: Parts that were begun although one had failed.
        self.too_late = 0
        self.failed = False
        self.whole: bytes | None = None
        self.aborted = False
        self.fail_at = fail_at

    def put(self, body: bytes | bytearray) -> str | None:
        self.whole = bytes(body)
        return "one"

    def begin(self) -> str:
        return "upload"

    def upload_part(self, upload_id: str, number: int, body: bytearray) -> dict[str, t.Any]:
        with self.lock:
            self.too_late += self.failed
            self.in_flight += len(body)
            self.at_once += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(0.001)
        with self.lock:
            self.parts[number] = bytes(body)
            self.in_flight -= len(body)
            self.at_once -= 1
        if number == self.fail_at:
            self.failed = True
            raise RepositoryError("the wire is cut")
        return {"PartNumber": number}

    def complete(self, upload_id: str, parts: list[dict[str, t.Any]]) -> str | None:
        assert [part["PartNumber"] for part in parts] == [*range(1, len(self.parts) + 1)]
        self.whole = b"".join(self.parts[number] for number in sorted(self.parts))
        return "parts"

    def abort(self, upload_id: str) -> None:
        self.aborted = True


@settings(max_examples=25)
@given(sizes=st.lists(st.integers(0, 300), max_size=40), first=st.integers(15, 60), places=st.integers(1, 4))
def test_parts_are_whole_in_order_and_bounded(sizes: list[int], first: int, places: int) -> None:
    memory = Memory()
    data = bytes(number % 251 for number in range(sum(sizes)))
    with concurrent.futures.ThreadPoolExecutor(places) as threads:
        writer = UploadWriter("key", memory, threads, Budget(first * places), first)
        position = 0
        for size in sizes:
            assert writer.write(data[position : position + size]) == size
            position += size
        writer.finish()
    assert memory.whole == data
    assert memory.most_in_flight <= first * places
    assert writer.version_id == ("one" if len(data) <= first else "parts")


def test_several_writers_share_one_budget() -> None:
    memories = [Memory() for _ in range(4)]
    budget, total = Budget(3000), Memory()
    with concurrent.futures.ThreadPoolExecutor(8) as threads, concurrent.futures.ThreadPoolExecutor(4) as sources:

        def write(memory: Memory) -> None:
            memory.upload_part = total.upload_part  # type: ignore[method-assign]
            memory.parts = dict.fromkeys(range(1, 51), b"")
            writer = UploadWriter("key", memory, threads, budget, 1000)
            for _ in range(50):
                writer.write(bytes(1000))
            writer.finish()

        list(sources.map(write, memories))
    assert total.most_in_flight <= 3000
    assert total.most_at_once == 3


def test_parts_larger_than_the_budget_go_one_at_a_time() -> None:
    memory = Memory()
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        writer = UploadWriter("key", memory, threads, Budget(10), 100)
        writer.write(bytes(1000))
        writer.finish()
    assert memory.most_at_once == 1 and memory.whole == bytes(1000)


def test_a_part_that_fails_ends_the_writing_soon_and_leaves_nothing() -> None:
    memory = Memory(fail_at=3)
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        writer = UploadWriter("key", memory, threads, Budget(200), 100)
        with pytest.raises(RepositoryError, match="the wire is cut"):
            for _ in range(1000):
                writer.write(bytes(100))
            writer.finish()
        writer.abandon()
    assert memory.aborted and memory.whole is None
    assert memory.too_late < 17


class Wire:
    """Serves ``data`` over connections that end after ``breaks`` bytes, the way get_object does."""

    def __init__(self, data: bytes, breaks: list[int]) -> None:
        self.data = data
        self.breaks = breaks
        self.asked: list[dict[str, t.Any]] = []

    def __call__(self, **arguments: t.Any) -> dict[str, t.Any]:
        self.asked.append(arguments)
        first, last = 0, len(self.data) - 1
        if "Range" in arguments:
            start, _dash, stop = arguments["Range"].partition("=")[2].partition("-")
            first, last = int(start), min(last, int(stop)) if stop else last
        return {"Body": Body(self.data[first : last + 1], self.breaks), "ContentLength": last + 1 - first, "ETag": "e"}


class Body:
    def __init__(self, data: bytes, breaks: list[int]) -> None:
        self.data = data
        self.left = breaks.pop(0) if breaks else len(data) + 1

    def read(self, size: int) -> bytes:
        part = self.data[: min(size, self.left)]
        if not part and self.data:
            raise ConnectionResetError("broken")
        self.data, self.left = self.data[len(part) :], self.left - len(part)
        return part

    def close(self) -> None:
        pass


@given(
    data=st.binary(max_size=300),
    breaks=st.lists(st.integers(1, 50), max_size=20),
    offset=st.integers(0, 320),
    length=st.none() | st.integers(0, 320),
    sizes=st.lists(st.integers(0, 40), max_size=10),
)
def test_what_is_read_is_what_is_there_however_often_it_breaks(
    data: bytes, breaks: list[int], offset: int, length: int | None, sizes: list[int]
) -> None:
    if offset >= len(data):
        return  # the service's own answer, tried on a real one
    wire = Wire(data, breaks)
    source = ResumingReader("k", wire, lambda error: RepositoryError(str(error)), 3, offset, length, lambda _s: None)
    parts = [source.read(size) for size in sizes]
    assert [len(part) for part in parts[:-1]] <= sizes
    whole = b"".join(parts) + source.read()
    assert whole == data[offset : None if length is None else offset + length]
    assert all(asked.get("IfMatch") == "e" for asked in wire.asked[1:])


def test_reading_gives_up_when_nothing_comes() -> None:
    pauses: list[float] = []
    wire = Wire(b"x" * 100, [10] + [0] * 20)
    source = ResumingReader("k", wire, lambda error: RepositoryError(str(error)), 4, 0, None, pauses.append)
    assert source.read(10) == b"x" * 10
    with pytest.raises(RepositoryError, match="broken"):
        source.read(1)
    assert len(wire.asked) == 4 and len(pauses) == 3 and max(pauses) <= 10


def date(seconds: float) -> str:
    return email.utils.formatdate(int(seconds), usegmt=True)


@given(
    offset=st.floats(-1e6, 1e6),
    asked=st.lists(st.tuples(st.floats(0, 5), st.floats(0, 2), st.floats(0, 2)), min_size=1, max_size=20),
)
def test_the_service_clock_is_within_what_its_answers_allow(
    offset: float, asked: list[tuple[float, float, float]]
) -> None:
    moment = 1_000_000.0
    clock = ServiceClock(lambda: moment)
    assert clock.now() is None
    shortest = 10.0
    for pause, there, back in asked:
        moment += pause
        sent = moment
        moment += there
        said = date(moment + offset + 1e9)
        moment += back
        shortest = min(shortest, there + back + 1.0)
        clock.observe(said, sent)
        found = clock.now()
        assert found is not None
        assert abs(found.timestamp() - (moment + offset + 1e9)) <= shortest / 2 + 0.01
    moment += 3600
    assert clock.now() is None


def test_a_service_whose_clock_was_set_is_believed() -> None:
    moment = 100.0
    clock = ServiceClock(lambda: moment)
    clock.observe(date(1e9), moment)
    moment += 5
    clock.observe(date(1e9 + 3600), moment)
    clock.observe("nonsense", moment)
    found = clock.now()
    assert found is not None and abs(found.timestamp() - 1e9 - 3600) <= 1


class Answer(Exception):
    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(message)
        self.response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}


PLACE = parse_location("s3://bucket/prefix")


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (403, "AccessDenied", "may not write"),
        (403, "InvalidAccessKeyId", "are not accepted"),
        (403, "SignatureDoesNotMatch", "are not accepted"),
        (400, "ExpiredToken", "are not accepted"),
        (403, "RequestTimeTooSkewed", "this host's clock is wrong"),
        (301, "PermanentRedirect", "is in another region"),
        (400, "AuthorizationHeaderMalformed", "is in another region"),
        (404, "NoSuchBucket", "there is no bucket bucket"),
        (503, "SlowDown", "too busy"),
        (403, "QuotaExceeded", "is full"),
        (500, "InternalError", "could not write"),
    ],
)
def test_answers_are_explained(status: int, code: str, says: str) -> None:
    options = S3Options.from_params({"access_key": "AKIAKEY", "secret_key": "hush", "endpoint_url": "http://s3.test"})
    error = explain(Answer(status, code, "AKIAKEY with hush"), "write", "a/b", PLACE, options, skew_s=3600.0)
    assert says in str(error)
    assert f"HTTP {status}, {code}" in t.cast(str, error.found)
    assert "AKIAKEY" not in str(error) and "hush" not in str(error)
    assert "bucket" in str(error) and error.next_command
    assert isinstance(error, NotPermitted) == ("may not" in says or "accepted" in says)
    assert ("+3600 s" in str(error)) == (code == "RequestTimeTooSkewed")


def test_which_requests_may_have_been_carried_out() -> None:
    import botocore.exceptions

    assert is_unanswered(Answer(500, "InternalError")) and is_unanswered(Answer(503, "SlowDown"))
    assert is_unanswered(botocore.exceptions.ReadTimeoutError(endpoint_url="x"))
    assert is_unanswered(botocore.exceptions.ConnectionClosedError(endpoint_url="x"))
    assert not is_unanswered(Answer(403, "AccessDenied"))
    assert not is_unanswered(botocore.exceptions.NoCredentialsError())


def test_dates_of_locks_are_aware() -> None:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository import s3_requests

    class Bucket:
        options = S3Options.from_params({"lock_mode": "compliance", "lock_for": "1d", "storage_class": "STANDARD_IA"})

    headers = s3_requests._headers(t.cast(t.Any, Bucket()), "components/db/points/x/manifest.json", streamed=False)
    assert headers["ObjectLockMode"] == "COMPLIANCE"
    assert headers["ObjectLockRetainUntilDate"].utcoffset() == datetime.timedelta(0)
    assert "StorageClass" not in headers
    assert s3_requests._headers(t.cast(t.Any, Bucket()), "components/x", streamed=True)["StorageClass"] == "STANDARD_IA"
    assert s3_requests._headers(t.cast(t.Any, Bucket()), "control/runs/x.json", streamed=True) == {}


@pytest.mark.parametrize("key", ["components/db/points/x/manifest.json", "control/leases/db/000000000001/held.json"])
def test_everything_is_encrypted_by_the_store_as_asked_for(key: str) -> None:
    """The tests' gateway knows no encryption of its own, so that only what is asked for can be looked at."""
    from ansible_collections.sre.runbooks.plugins.module_utils._repository import s3_requests

    kms = {"server_side_encryption": "aws:kms", "kms_key_id": "alias/recovery"}
    for wanted, headers in (
        ({"server_side_encryption": "AES256"}, {"ServerSideEncryption": "AES256"}),
        (kms, {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/recovery"}),
    ):
        bucket = t.cast(t.Any, type("Bucket", (), {"options": S3Options.from_params(wanted)}))
        assert s3_requests._headers(bucket, key, streamed=False) == headers
