# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every object of a repository that is no data: in its place, as it was written, and nothing beside what belongs there.

The bytes of recovery points are read by :mod:`verify` and their manifests by :mod:`points`; this is the rest: identity,
proofs, tombstones, pins, leases, records of runs, and whatever the collection has not written.
"""

from __future__ import annotations

import hashlib
import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, ObjectMissing, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import (
    DOCUMENT_LIMIT,
    check_component,
    parse_sealed,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.findings import ALTERED, REMOVED, Finding
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import MANIFEST_LIMIT, POINT_ID
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import proof_failures

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

_COMPONENT = r"components/(?P<component>[a-z0-9_-]{1,63})"
_POINT = rf"{_COMPONENT}/points/(?P<point_id>{POINT_ID})"
_LEASE = r"control/leases/(?P<component>[a-z0-9_-]{1,63})/(?P<epoch>\d{12})"
_RUN = r"(?P<run_id>\d{8}T\d{6}Z-[a-z0-9_-]{1,63}-[0-9a-f]{4})"

#: Sealed documents; the groups of their keys are what they say of themselves.
_SEALED = [
    re.compile(pattern)
    for pattern in (
        r"repository\.json",
        rf"{_COMPONENT}/tombstones/(?P<point_id>{POINT_ID})\.json",
        rf"{_COMPONENT}/evidence/(?P<name>\d{{8}}T\d{{6}}\.\d{{6}}Z-[0-9a-f]{{4}})\.json",
        rf"{_POINT}/pins/(?P<name>\d{{8}}T\d{{6}}\.\d{{6}}Z-[0-9a-f]{{4}})(-released)?\.json",
        rf"{_LEASE}/held\.json",
        rf"control/runs/{_RUN}\.json",
        rf"runs/{_RUN}/(run|closed)\.json",
        rf"(?P<key>runs/{_RUN[len('(?P<run_id>') : -1]}/events/[^/]+\.json)",
    )
]
#: Documents that lie side by side and could be taken for one another: their key, and what one of their fields says.
_OWN = (
    (r"^runs/[^/]+/closed\.json$", "verdict", None),
    (r"^runs/[^/]+/run\.json$", "runbook", None),
    (r"-released\.json$", "kind", "release"),
    (r"/pins/[^/]+(?<!-released)\.json$", "kind", "pin|hold"),
)
#: What others read, what says something by only being there, and what is named with its hash when its run is closed.
_OTHERS = [
    re.compile(pattern)
    for pattern in (
        rf"{_POINT}/(manifest\.json|RESTORE\.md|(objects|proofs|rewraps)/.+)",
        r"components/.+\.minisig",
        rf"{_COMPONENT}/evidence/\d{{8}}T\d{{6}}\.\d{{6}}Z-[0-9a-f]{{4}}-state\.json",
        rf"{_LEASE}/(renewed-\d{{6}}|released)\.json",
        rf"runs/{_RUN}/(report\.(json|md|html|junit\.xml|prom)|diagnostics/diagnostics\.tar\.gz)",
        r"control/probes/.+",
        r"pgbackrest/.+",
    )
]


def layout_findings(repository: Repository, component: str | None = None) -> list[Finding]:
    """As :func:`layout_failures`; subjects are keys, below the component's prefix where one is given."""
    prefix = "" if component is None else f"components/{check_component(component)}/"
    found = []
    for failure in layout_failures(repository, component):
        key, _colon, words = failure.partition(": ")
        kind = REMOVED if words.startswith("missing") else ALTERED
        subject = key[len(prefix) :] if key.startswith(prefix) else key
        found.append(
            Finding(kind, subject, f"{key} is not as it was written", "every document as it was written", words)
        )
    return found


def layout_failures(repository: Repository, component: str | None = None) -> list[str]:
    """What is wrong outside of the points' data, in words that begin with the key. Reads every small document.

    :arg component: look only at what is below its own prefixes, and at no run.
    """
    failures: list[str] = []
    prefixes = [""] if component is None else [f"components/{component}/", f"control/leases/{component}/"]
    keys = [found.key for prefix in prefixes for found in repository.store.list(prefix)]
    for key in keys:
        try:
            _check(repository, key)
        except ObjectMissing:  # ended, released or expired since it was listed
            continue
        except RunbookError as error:
            failures.append(f"{key}: {error}")
    known = set(keys)
    for match in _places(f"{_POINT}/", keys):
        failures += [f"{match[0]}{failure}" for failure in proof_failures(repository.store, match[0])]
        failures += _manifest_failures(match, known)
    for match in _places(f"{_LEASE}/", keys):
        # One that is over is removed as a whole; its holder's document goes first.
        if f"{match[0]}held.json" not in known and list(repository.store.children(match[0])):
            failures.append(f"{match[0]}held.json: missing")
    for match in _places(f"runs/{_RUN}/", keys):
        failures += _run_failures(repository, match["run_id"], known)
    return failures


def _places(pattern: str, keys: t.Sequence[str]) -> list[re.Match[str]]:
    """A match for each prefix of that form that holds anything, sorted."""
    found = {match[0]: match for match in map(re.compile(pattern).match, keys) if match}
    return [found[prefix] for prefix in sorted(found)]


def _check(repository: Repository, key: str) -> None:
    for pattern in _SEALED:
        match = pattern.fullmatch(key)
        if match:
            fields = parse_sealed(repository.store.read(key, DOCUMENT_LIMIT), key)
            for name, value in match.groupdict().items():
                said = fields.data.get(name)
                if said != (int(value) if isinstance(said, int) else value):
                    raise IntegrityError(
                        f"{key} is another document", expected=f"{name} {value}", found=str(said)[:200]
                    )
            for ending, own, value in _OWN:
                if re.search(ending, key):
                    fields.text(own, value)
            return
    if not any(pattern.fullmatch(key) for pattern in _OTHERS):
        raise IntegrityError(f"{key} is nobody's", expected="only what the collection writes", found="another object")


def _manifest_failures(point: re.Match[str], keys: t.AbstractSet[str]) -> list[str]:
    """A point that was proven, and whose manifest is gone, without a tombstone that says why."""
    tombstone = f"components/{point['component']}/tombstones/{point['point_id']}.json"
    if f"{point[0]}manifest.json" in keys or tombstone in keys:
        return []
    proven = any(key.startswith(f"{point[0]}proofs/") for key in keys)
    return [f"{point[0]}manifest.json: missing, although there are proofs of the point"] if proven else []


def _run_failures(repository: Repository, run_id: str, keys: t.Container[str]) -> list[str]:
    """A record that is closed holds what it held then; one that is not closed is listed among the open ones."""
    prefix = f"runs/{run_id}/"
    if f"{prefix}run.json" not in keys:
        return [f"{prefix}run.json: missing"]
    try:
        closed = parse_sealed(repository.store.read(f"{prefix}closed.json", DOCUMENT_LIMIT), f"{prefix}closed.json")
        objects, events = closed.mapping("objects"), closed.texts("events")
    except ObjectMissing:
        opened = f"control/runs/{run_id}.json"
        return [] if opened in keys else [f"{prefix}closed.json: missing, and {opened} too"]
    except RunbookError as error:
        return [f"{prefix}closed.json: {error}"]
    failures = [f"{prefix}events/{name}: missing" for name in events if f"{prefix}events/{name}" not in keys]
    for name, sha256 in objects.items():
        if f"{prefix}{name}" not in keys:
            failures.append(f"{prefix}{name}: missing")
        elif hashlib.sha256(repository.store.read(f"{prefix}{name}", MANIFEST_LIMIT)).hexdigest() != sha256:
            failures.append(f"{prefix}{name}: changed since its run was closed")
    return failures
