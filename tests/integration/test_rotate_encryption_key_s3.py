# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys rotated in a real bucket under the documented policy: by retention only, and hidden by no delete marker."""

from __future__ import annotations

import io
import pathlib
import typing as t

import pyrage

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding, store_stream
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import initialise_repository
from tests.servers.module_call import call_module
from tests.servers.s3 import Gateway, bare_environment


def test_a_key_is_rotated_in_a_bucket(s3_gateway: Gateway, tmp_path: pathlib.Path) -> None:
    bucket = s3_gateway.make_bucket(open_to=())
    s3_gateway.set_documented_policy(bucket, "prod/")
    keys = [pyrage.x25519.Identity.generate() for _ in range(2)]
    old, new = (str(key.to_public()) for key in keys)
    files = [tmp_path / "old", tmp_path / "new"]
    for path, key in zip(files, keys, strict=True):
        path.write_text(f"{key}\n")
    url = f"s3://{bucket}/prod"
    with bare_environment():
        repository, _created = initialise_repository(url, "local", False, s3_gateway.options("backup"))
        assert repository is not None
        writer = begin_point(repository, "db", "postgresql", None)
        encoding = Encoding(recipients=[old])
        for number in range(3):
            name = f"db-0001/{number}.dat.zst.age"
            source = io.BytesIO(bytes([number]) * 100_000)
            writer.add(store_stream(repository.store, writer.object_key(name), name, source, encoding))
        point = writer.commit(
            engine_version="15",
            consistency_time=_clock.now(),
            content={},
            restore_guide="None.",
            encryption={"recipients": [old]},
        )

    def call(module: str, identity: str, **params: t.Any) -> dict[str, t.Any]:
        own = {"repository": url, "environment_name": "local", "component": "db", "s3": s3_gateway.options(identity)}
        return call_module(module, {**own, **params})

    rotation = {
        "encryption_recipients": [new],
        "encryption_identity_file": str(files[1]),
        "encryption_identity_files": [str(files[0])],
    }
    denied = call("recovery_point_rewrap", "backup", **rotation)
    assert denied["failed"] and denied["error"]["kind"] == "not_permitted", denied
    done = call("recovery_point_rewrap", "retention", **rotation)
    assert done["changed"] and done["rewrapped"] == 1, done
    assert not call("recovery_point_rewrap", "retention", **rotation)["changed"]
    # Whoever may put delete markers hides the new headers from listings, and from nobody who reads.
    client = s3_gateway.client()
    for found in client.list_objects_v2(Bucket=bucket, Prefix=f"prod/{point.prefix}rewraps/")["Contents"]:
        client.delete_object(Bucket=bucket, Key=found["Key"])
    for depth in ("point", "object"):
        looked = call("encryption_info", "reader", depth=depth, **{**rotation, "encryption_identity_files": []})
        assert [(found["state"], found["current"]) for found in looked["recovery_points"]] == [("opens", True)], looked
    verified = call("recovery_point_verify", "prover", encryption_identity_file=str(files[1]))
    assert "error" not in verified and verified["decoded"] == verified["objects"] == 4, verified
