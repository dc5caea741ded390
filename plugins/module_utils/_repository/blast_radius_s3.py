# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The blast radius of an identity in a bucket: what the bucket says of itself, and what is refused when it is tried."""

from __future__ import annotations

import datetime
import secrets
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import NotPermitted, ObjectExists
from ansible_collections.sre.runbooks.plugins.module_utils._repository.blast_radius import (
    FAIL,
    PASS,
    PROBE_CONTENT,
    PROBES,
    UNKNOWN,
    Demands,
    Finding,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.blast_radius_bucket import (
    Asking,
    bucket_findings,
)

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_store import S3Store

#: Nothing is ever stored there, so that even an accepted deletion of its version "null" changes nothing.
_NOWHERE = "components/-/nothing-is-here"
_SHORTER = datetime.timedelta(minutes=2)
_TRIES = ("create_only", "overwrite", "shorten_retention", "delete", "bypass_governance", "delete_version")
_POLICY = "give this identity the rights of docs/bucket.md and no others"
_EXPECTED = {
    "create_only": "If-None-Match is honoured: of two writers of one key, one is refused",
    "overwrite": "a key that exists is refused",
    "shorten_retention": "a lock cannot be shortened",
    "delete": "deleting is refused outside of control/leases and control/runs",
    "bypass_governance": "a lock cannot be bypassed",
    "delete_version": "deleting versions is refused; only the retention identity may, after their lock",
}


def s3_findings(store: S3Store, demands: Demands) -> list[Finding]:
    """Every question about a bucket, cheapest first."""
    asking = Asking(store.client, store.location.bucket)
    bucket = bucket_findings(asking, store.location.prefix, demands, store.bucket.options.lock_for)
    tries = _Tries(store, asking).findings() if demands.trying else [_not_tried(check) for check in _TRIES]
    return [*bucket, *tries]


def _not_tried(check: str, why: str = "not tried") -> Finding:
    remedy = (
        "ansible-playbook sre.runbooks.prepare_repository -e repository_blast_radius=try"
        if why == "not tried"
        else None
    )
    return Finding(check, UNKNOWN, _EXPECTED[check], why, remedy)


@dataclass
class _Probe:
    """The object that is tried on: its full key, its version, and what it holds."""

    key: str
    version: str | None
    content: bytes | None = None


class _Tries:
    """What this identity can do to an object that exists, tried on one that nobody needs.

    Where it is refused, as it should be, the probe stays, and every lint of the day uses it again.
    """

    def __init__(self, store: S3Store, asking: Asking) -> None:
        self._store = store
        self._asking = asking
        self._prefix = store.location.prefix

    def findings(self) -> list[Finding]:
        try:
            probe = self._make_probe()
        except NotPermitted:
            why = "no probe could be written to try it on"
            cannot = Finding("overwrite", PASS, _EXPECTED["overwrite"], "this identity may not write at all")
            others = [_not_tried(check, why) for check in _TRIES[2:-1]]
            return [_not_tried("create_only", why), cannot, *others, self._delete_version(None)]
        if probe is None:
            return [_not_tried(check, "the probe that was written cannot be read") for check in _TRIES]
        try:
            # In this order, as each takes something from the next where it is not refused.
            return [
                self._create_only(probe),
                self._overwrite(probe),
                self._shorten_retention(probe),
                self._delete(probe),
                self._bypass_governance(probe),
                self._delete_version(probe),
            ]
        finally:
            self._clean(probe)

    def _make_probe(self) -> _Probe | None:
        """Through the store, so that it is written and locked as every object is; None when it cannot be read."""
        today = f"{PROBES}{_clock.now():%Y%m%d}"
        # The second one for a server that is in doubt of what is left of the first.
        for key in (today, f"{today}-{secrets.token_hex(4)}"):
            try:
                version = self._store.create(key, PROBE_CONTENT)
            except ObjectExists:
                listed = self._asking.ask("list_object_versions", Prefix=self._prefix + key)
                versions = [entry for entry in (listed.data or {}).get("Versions", []) if entry["Key"].endswith(key)]
                # The oldest one; what is above it, an earlier try has left.
                version = versions[-1]["VersionId"] if versions else None
            probe = _Probe(self._prefix + key, version)
            content = self._content(probe)
            if content is not None:
                return replace(probe, content=content)
        return None

    def _content(self, probe: _Probe) -> bytes | None:
        """What is there now, in the probe's version where there are versions; None when it is gone."""
        version = {"VersionId": probe.version} if probe.version else {}
        answer = self._asking.ask("get_object", Key=probe.key, **version)
        return None if answer.data is None else bytes(answer.data["Body"].read(1000))

    def _stays(self, probe: _Probe) -> bool:
        return probe.content is not None and self._content(probe) == probe.content

    def _create_only(self, probe: _Probe) -> Finding:
        """What leases stand on: without it two runs would believe to hold one."""
        check = "create_only"
        try:
            self._store.create(probe.key[len(self._prefix) :], PROBE_CONTENT)
        except ObjectExists:
            return Finding(check, PASS, _EXPECTED[check], "refused")
        found = "a key that exists could be created again"
        return Finding(check, FAIL, _EXPECTED[check], found, "use a server that honours If-None-Match", True)

    def _overwrite(self, probe: _Probe) -> Finding:
        answer = self._asking.ask("put_object", Key=probe.key, Body=b"overwritten\n")
        if answer.data is None:
            return self._refused("overwrite", answer.denied, answer.code)
        if self._stays(probe):
            found = "accepted, as a new version above the earlier one, which stays"
            remedy = "require s3:if-none-match in the bucket's policy, where the server knows that condition"
            return Finding("overwrite", FAIL, _EXPECTED["overwrite"], found, remedy)
        found = "accepted: the earlier content is gone"
        return Finding("overwrite", FAIL, _EXPECTED["overwrite"], found, "turn versioning and object lock on", True)

    def _shorten_retention(self, probe: _Probe) -> Finding:
        """Also with the bypass, which is a right of its own."""
        check = "shorten_retention"
        lock = self._asking.lock_of(probe.key, probe.version)
        if lock is None:
            return _not_tried(check, "the probe is not locked, so there is nothing to shorten")
        soon = {"Mode": lock, "RetainUntilDate": _clock.now() + _SHORTER}
        version = {"VersionId": probe.version} if probe.version else {}
        for bypass in (False, True):
            answer = self._asking.ask(
                "put_object_retention",
                **{"Key": probe.key, "Retention": soon, **version},
                **({"BypassGovernanceRetention": True} if bypass else {}),
            )
            if answer.data is not None:
                how = "with the bypass of governance mode" if bypass else "as it is"
                remedy = f"take s3:PutObjectRetention away; {_POLICY}"
                return Finding(
                    check, FAIL, _EXPECTED[check], f"the probe's lock could be shortened, {how}", remedy, True
                )
        return self._refused(check, answer.denied, answer.code)

    def _delete(self, probe: _Probe) -> Finding:
        answer = self._asking.ask("delete_object", Key=probe.key)
        if answer.data is None:
            return self._refused("delete", answer.denied, answer.code)
        remedy = f"take s3:DeleteObject away; {_POLICY}"
        if self._stays(probe):
            found = "accepted: a delete marker hides the probe, whose version stays"
            return Finding("delete", FAIL, _EXPECTED["delete"], found, remedy)
        return Finding("delete", FAIL, _EXPECTED["delete"], "accepted: the probe is gone", remedy, True)

    def _bypass_governance(self, probe: _Probe) -> Finding:
        check = "bypass_governance"
        lock = self._asking.lock_of(probe.key, probe.version)
        if lock is None or probe.version is None:
            return _not_tried(check, "the probe is not locked, so there is nothing to bypass")
        answer = self._asking.ask(
            "delete_object", Key=probe.key, VersionId=probe.version, BypassGovernanceRetention=True
        )
        if answer.data is None:
            return self._refused(check, answer.denied, answer.code)
        remedy = f"take s3:BypassGovernanceRetention away, or lock in compliance mode; {_POLICY}"
        return Finding(check, FAIL, _EXPECTED[check], "the locked probe could be deleted", remedy, True)

    def _delete_version(self, probe: _Probe | None) -> Finding:
        """First the right, where nothing is; then the deed, in case that the first answer meant something else."""
        check = "delete_version"
        remedy = f"take s3:DeleteObjectVersion away; {_POLICY}"
        right = self._asking.ask("delete_object", Key=self._prefix + _NOWHERE, VersionId="null")
        if right.data is not None or right.missing:
            found = "accepted, for a version that does not exist: once their lock is over, nothing protects versions"
            return Finding(check, FAIL, _EXPECTED[check], found, remedy, True)
        if probe is not None and probe.version is not None:
            deed = self._asking.ask("delete_object", Key=probe.key, VersionId=probe.version)
            if deed.data is not None:
                return Finding(check, FAIL, _EXPECTED[check], "accepted", remedy, True)
        return self._refused(check, right.denied, right.code)

    def _refused(self, check: str, denied: bool, code: str) -> Finding:
        if denied:
            return Finding(check, PASS, _EXPECTED[check], "refused")
        return Finding(check, UNKNOWN, _EXPECTED[check], f"answered with {code}, which says neither yes nor no")

    def _clean(self, probe: _Probe) -> None:
        """Take away what tries have added, where that is allowed; an untouched probe is kept for the next lint."""
        listed = self._asking.ask("list_object_versions", Prefix=probe.key)
        if listed.data is None:
            return
        # From the top: a version deleted from below a delete marker leaves some servers in doubt of what is there.
        entries = [*listed.data.get("DeleteMarkers", []), *listed.data.get("Versions", [])]
        entries = [entry for entry in entries if entry["Key"] == probe.key]
        if [entry["VersionId"] for entry in entries] != [probe.version]:
            for entry in entries:
                which = {"Key": entry["Key"], "VersionId": entry["VersionId"]}
                if self._asking.ask("delete_object", **which).denied:
                    self._asking.ask("delete_object", **which, BypassGovernanceRetention=True)
