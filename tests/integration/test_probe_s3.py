# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The s3 kind on a real S3 service: buckets of all kinds, identities with and without rights, services that are none."""

from __future__ import annotations

import os
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Reading
from tests.servers.deadline import wait_for
from tests.servers.http import HttpServer, closed_port, silent_listener
from tests.servers.s3 import Gateway, allow
from tests.unit.probes.conftest import ask_all


def ask(gateway: Gateway, bucket: str, identity: str = "backup", **options: t.Any) -> Reading:
    given = {"kind": "s3", "url": f"s3://{bucket}/assets", "s3": gateway.options(identity)}
    reading = ask_all([{**given, **options}])[0].reading
    assert gateway.identity(identity).secret_key not in repr(reading)
    return reading


def outcome(gateway: Gateway, bucket: str, **options: t.Any) -> tuple[str, str]:
    reading = ask(gateway, bucket, **options)
    return reading.outcome, reading.message


def test_a_bucket_with_versions_and_locks(s3_gateway: Gateway) -> None:
    bucket = s3_gateway.make_bucket(lock_mode="governance", lock_days=7)
    assert outcome(s3_gateway, bucket) == ("ok", "as expected")
    reading = ask(s3_gateway, bucket, identity="root", versioning=True, lock_mode="governance", minimum_lock="7d")
    assert (reading.outcome, reading.message) == ("ok", "as expected")
    assert reading.measured.endswith(", versions enabled, lock governance for 7 days")
    assert abs(reading.values["clock_ahead_s"]) < 30
    short = outcome(s3_gateway, bucket, identity="root", lock_mode="governance", minimum_lock="8d")
    assert short == ("failed", "object lock: new objects are locked for 7 days only")
    loose = outcome(s3_gateway, bucket, identity="root", lock_mode="compliance")
    assert loose == ("failed", "object lock: new objects are locked in governance mode")


def test_a_bucket_without(s3_gateway: Gateway) -> None:
    bucket = s3_gateway.make_bucket(versioning=False, lock=False)
    assert outcome(s3_gateway, bucket) == ("ok", "as expected")
    reading = ask(s3_gateway, bucket, identity="root", versioning=True, lock_mode="governance")
    assert (reading.outcome, reading.message) == ("failed", "versioning: it is off; object lock: it is off")
    assert reading.hint is not None
    assert reading.hint.endswith(f" s3api get-bucket-versioning --bucket={bucket}")


def test_the_repository_of_the_module(s3_gateway: Gateway) -> None:
    bucket = s3_gateway.make_bucket()
    session = {"repository": f"s3://{bucket}/repository", "s3": s3_gateway.options()}
    assert ask_all([{"kind": "s3"}], **session)[0].reading.outcome == "ok"
    with pytest.raises(InvalidInput, match="url is needed"):
        ask_all([{"kind": "s3"}])
    with pytest.raises(InvalidInput, match="not a repository's URL"):
        ask_all([{"kind": "s3"}], repository="file:///nowhere")


def test_uploads_that_nobody_finishes(s3_gateway: Gateway) -> None:
    bucket = s3_gateway.make_bucket()
    client = s3_gateway.client()
    assert outcome(s3_gateway, bucket, identity="root", unfinished_after="1s") == ("ok", "as expected")
    client.create_multipart_upload(Bucket=bucket, Key="assets/begun")
    client.create_multipart_upload(Bucket=bucket, Key="elsewhere/begun")
    old: dict[str, t.Any] = {"identity": "root", "unfinished_after": "1s"}
    wait_for(lambda: outcome(s3_gateway, bucket, **old)[0] == "warning", "the upload to be old")
    assert outcome(s3_gateway, bucket, **old)[1].startswith("uploads: 1 upload never finished, the oldest begun ")
    assert outcome(s3_gateway, bucket, identity="root", unfinished_after="1d") == ("ok", "as expected")


def test_identities(s3_gateway: Gateway) -> None:
    bucket = s3_gateway.make_bucket(open_to=())
    refused = ask(s3_gateway, bucket, identity="attacker")
    assert (refused.outcome, refused.measured) == ("failed", "no listing")
    assert "may not list" in refused.message
    key = s3_gateway.users["reader"].access_key
    s3_gateway.set_policy(bucket, [allow([key], ["s3:ListBucket"], bucket)])
    assert outcome(s3_gateway, bucket, identity="reader") == ("ok", "as expected")
    blind = ask(s3_gateway, bucket, identity="reader", versioning=True)
    assert (blind.outcome, blind.message.startswith("right to look: ")) == ("unknown", True)
    wrong = {**s3_gateway.options(), "secret_key": "a-wrong-secret-key"}
    found = ask(s3_gateway, bucket, s3=wrong)
    assert (found.outcome, "a-wrong-secret-key" in repr(found)) == ("failed", False)
    assert "credentials" in found.message


def test_what_is_no_bucket_or_no_service(s3_gateway: Gateway) -> None:
    assert outcome(s3_gateway, "no-such-bucket")[1].startswith("there is no bucket no-such-bucket")

    def at(port: int, **options: t.Any) -> Reading:
        service = {**s3_gateway.options(), "endpoint_url": f"http://127.0.0.1:{port}"}
        return ask(s3_gateway, "bucket-name", s3=service, **options)

    nobody = at(closed_port())
    assert (nobody.outcome, "cannot be reached" in nobody.message) == ("failed", True)
    with HttpServer() as http:
        assert at(http.port).outcome == "failed"
    with silent_listener() as port:
        descriptors = len(os.listdir("/proc/self/fd"))
        assert at(port, timeout=1).outcome == "failed"
        wait_for(lambda: len(os.listdir("/proc/self/fd")) <= descriptors, "the connection to be closed")


def test_tls(s3_gateway_tls: Gateway) -> None:
    bucket = s3_gateway_tls.make_bucket()
    assert outcome(s3_gateway_tls, bucket) == ("ok", "as expected")
    untrusting = {key: value for key, value in s3_gateway_tls.options().items() if key != "ca_bundle"}
    assert "certificate is not trusted" in outcome(s3_gateway_tls, bucket, s3=untrusting)[1]
