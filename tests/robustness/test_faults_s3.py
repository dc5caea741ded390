# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real S3 server behind a network that fails at every request in every way: intact or loud, and no part is ever visible."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import random
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding, store_stream
from ansible_collections.sre.runbooks.plugins.module_utils._repository.expire import Expiry
from ansible_collections.sre.runbooks.plugins.module_utils._repository.expiry_plan import plan_expiry
from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import describe_holder
from ansible_collections.sre.runbooks.plugins.module_utils._repository.layout import layout_failures
from ansible_collections.sre.runbooks.plugins.module_utils._repository.leases import Lease, holding
from ansible_collections.sre.runbooks.plugins.module_utils._repository.openings import KeyRing
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import (
    begin_point,
    list_points,
    remove_incomplete,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import write_proof
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    Repository,
    initialise_repository,
    open_repository,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.retention_policy import Policy
from ansible_collections.sre.runbooks.plugins.module_utils._repository.rewrap import rewrap_point
from ansible_collections.sre.runbooks.plugins.module_utils._repository.verify import verify_point
from tests.robustness.faulty_http import HTTP_FAULTS, FaultyHttp
from tests.robustness.scale import SEED, SOAK, counted
from tests.robustness.small_repository import ENVIRONMENT, Keys, in_this_process, new_keys
from tests.servers.faulty_network import FaultyNetwork, Way, faulty_network  # noqa: F401
from tests.servers.s3 import Gateway, s3_gateway  # noqa: F401

#: Cases of each operation in ``make test``; with ``make soak`` it is every request in every way.
SAMPLE = 2
COMPONENT = "flights_db"
#: More than one part of a multipart upload.
LARGE = (5 << 20) + (1 << 19)
_KEEP = Policy(hourly=0, daily=0, weekly=0, monthly=0, yearly=0, keep_last=2, min_age=0.0, incomplete_after=0.0)


@dataclasses.dataclass
class Bucket:
    """A repository in a bucket, by a direct way and by any other."""

    gateway: Gateway
    url: str
    keys: Keys
    large: bytes
    #: How long whoever acts may not be able to renew the lease.
    ttl_s: float = 60.0

    def open(self, endpoint: str | None = None) -> Repository:
        patience = "2s" if endpoint else "60s"
        options = {
            **self.gateway.options(url=endpoint),
            "part_size": 5 << 20,
            "max_attempts": 4,
            "connect_timeout": patience,
            "read_timeout": patience,
        }
        return open_repository(self.url, ENVIRONMENT, options)


@pytest.fixture(scope="module")
def bucket(s3_gateway: Gateway) -> t.Iterator[Bucket]:  # noqa: F811
    url = f"s3://{s3_gateway.make_bucket()}/repository"
    initialise_repository(url, ENVIRONMENT, False, s3_gateway.options())
    with in_this_process():
        made = Bucket(s3_gateway, url, new_keys(), random.Random(SEED).randbytes(LARGE))
        for _ in range(3):
            take_small(made, made.open())
        yield made


def take_small(bucket: Bucket, repository: Repository) -> None:
    back_up(bucket, repository, b"a small table")


@contextlib.contextmanager
def leased(bucket: Bucket, repository: Repository) -> t.Iterator[Lease]:
    """Disturbed, for so short that the next run need not wait long for a lease that was not given back."""
    with holding(repository, COMPONENT, None, describe_holder(None), bucket.ttl_s, 120.0) as lease:
        yield lease


def back_up(bucket: Bucket, repository: Repository, table: bytes | None = None) -> None:
    """As ``postgresql_backup`` does it, with content out of nowhere: small objects and one in several parts."""
    encoding = Encoding(recipients=bucket.keys.recipients[:1])
    with leased(bucket, repository) as lease:
        remove_incomplete(repository, COMPONENT)
        writer = begin_point(repository, COMPONENT, "postgresql", None)
        for name, content in (("globals.sql", b"roles"), ("toc.dat", b"contents"), ("3051.dat", table or bucket.large)):
            key = writer.object_key(name)
            writer.add(store_stream(repository.store, key, name, io.BytesIO(content), encoding))
            lease.check()
        writer.commit(engine_version="15.1", consistency_time=_clock.now(), content={}, restore_guide="## Restore")


def verify(bucket: Bucket, repository: Repository) -> None:
    point = list_points(repository, COMPONENT).points[0]
    result = verify_point(repository, point, bucket.keys.identities)
    write_proof(repository, point, "verified", None, 0.1, result.details(), "ok" if result.ok else "failed")
    if not result.ok:
        raise RunbookError("damaged", found="; ".join(result.failures))


def expire(bucket: Bucket, repository: Repository) -> None:
    with leased(bucket, repository) as lease:
        outcome = Expiry(repository, plan_expiry(repository, COMPONENT, _KEEP, _clock.now()), lease.check).run()
    if outcome.failures:
        raise RunbookError("not all could be removed", found=str(outcome.failures))


def rewrap(bucket: Bucket, repository: Repository) -> None:
    point = list_points(repository, COMPONENT).points[0]
    ring = KeyRing(bucket.keys.identities)
    with leased(bucket, repository) as lease:
        rewrap_point(repository, point, bucket.keys.recipients, ring, "headers", None, lease.check)


OPERATIONS: dict[str, t.Callable[[Bucket, Repository], None]] = {
    "back up": back_up,
    "verify": verify,
    "expire": expire,
    "rewrap": rewrap,
}


def attempt(bucket: Bucket, name: str, repository: Repository | None) -> str | None:
    """Why it failed, in words; None when it says that it did not."""
    try:
        OPERATIONS[name](bucket, repository or bucket.open())
    except RunbookError as error:
        return str(error)
    return None


def problems_after(bucket: Bucket, name: str, failure: str | None) -> list[str]:
    """Seen by a direct way: everything listed is whole; a clean rerun succeeds and leaves nothing unfinished."""
    direct = bucket.open()
    problems = _listed(bucket, direct)
    if failure is None and name == "back up" and list_points(direct, COMPONENT).incomplete:
        problems.append("success, and yet something unfinished")
    if (again := attempt(bucket, name, None)) is not None:
        problems.append(f"the rerun failed: {again}")
    problems += [f"after the rerun: {problem}" for problem in [*_listed(bucket, direct), *layout_failures(direct)]]
    if name in ("back up", "expire") and (left := list_points(direct, COMPONENT).incomplete):
        problems.append(f"after the rerun unfinished: {left}")
    return problems


def _listed(bucket: Bucket, direct: Repository) -> list[str]:
    listing = list_points(direct, COMPONENT)
    problems = [f"damaged: {point.point_id}: {point.reason}" for point in listing.damaged]
    for point in listing.points[:1]:
        problems += verify_point(direct, point, bucket.keys.identities).failures
    return problems


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_request_may_fail(bucket: Bucket, results: t.Callable[..., None], name: str) -> None:
    with FaultyHttp(bucket.gateway.url, stall_s=2.5) as way:
        _prepare(bucket, name)
        assert attempt(bucket, name, bucket.open(way.url)) is None
        count = len(way.requests)
        cases = [(at, fault) for at in range(count) for fault in HTTP_FAULTS]
        if not SOAK:
            cases = random.Random(f"{SEED}-{name}").sample(cases, min(SAMPLE, len(cases)))
        failures: list[str] = []
        loud = 0
        for at, fault in counted(f"faults in front of S3: {name}", cases):
            _prepare(bucket, name)
            repository = None
            way.plan(at, fault)
            try:
                repository = bucket.open(way.url)
            except RunbookError as error:
                failure: str | None = str(error)
            else:
                failure = attempt(dataclasses.replace(bucket, ttl_s=5.0), name, repository)
            request = way.requests[at] if at < len(way.requests) else "no request"
            way.plan(None, "reset")
            loud += failure is not None
            problems = problems_after(bucket, name, failure)
            failures += [f"{name}, {fault} at {at} ({request}): {failure}: {problem}" for problem in problems]
    results(f"faults in front of S3: {name}", len(cases), len(failures), requests=count, failed_loudly=loud)
    assert not failures, "\n".join(failures[:20])


def _prepare(bucket: Bucket, name: str) -> None:
    direct = bucket.open()
    if name == "expire":
        while len(list_points(direct, COMPONENT).points) < 4:
            take_small(bucket, direct)
    elif len(list_points(direct, COMPONENT).points) > 6:
        expire(bucket, direct)
    if name == "rewrap":
        take_small(bucket, direct)


#: toxiproxy's own ways to disturb a connection, for as long as an operation lasts.
TOXICS: list[tuple[str, str, dict[str, int]]] = [
    ("latency", "downstream", {"latency": 150, "jitter": 100}),
    ("bandwidth", "upstream", {"rate": 4000}),
    ("bandwidth", "downstream", {"rate": 4000}),
    ("limit_data", "upstream", {"bytes": 3_000_000}),
    ("limit_data", "downstream", {"bytes": 2_000_000}),
    ("limit_data", "downstream", {"bytes": 300}),
    ("reset_peer", "downstream", {"timeout": 40}),
    ("reset_peer", "upstream", {"timeout": 0}),
    ("timeout", "upstream", {"timeout": 500}),
    ("slicer", "downstream", {"average_size": 1000, "size_variation": 500, "delay": 10}),
]


def test_a_bad_connection(
    bucket: Bucket,
    faulty_network: FaultyNetwork,  # noqa: F811
    results: t.Callable[..., None],
) -> None:
    cases = [(name, toxic) for name in ("back up", "verify") for toxic in TOXICS]
    if not SOAK:
        cases = random.Random(f"{SEED}-toxics").sample(cases, 2)
    failures: list[str] = []
    loud = 0
    for name, (kind, direction, attributes) in counted("a bad connection to S3", cases):
        _prepare(bucket, name)
        with faulty_network.way_to(bucket.gateway.url) as way:
            failure = _through(bucket, name, way, kind, direction, attributes)
        loud += failure is not None
        case = f"{name}, {kind} {direction} {attributes}: {failure}"
        failures += [f"{case}: {problem}" for problem in problems_after(bucket, name, failure)]
    results("a bad connection to S3", len(cases), len(failures), failed_loudly=loud)
    assert not failures, "\n".join(failures[:20])


def _through(bucket: Bucket, name: str, way: Way, kind: str, direction: str, attributes: dict[str, int]) -> str | None:
    repository = bucket.open(way.url)
    with way.fault(kind, direction, **attributes):
        return attempt(dataclasses.replace(bucket, ttl_s=5.0), name, repository)
