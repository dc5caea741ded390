# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every proof of every retained point, read each time: they are small, and a restore chooses by what they say."""

from __future__ import annotations

import hashlib
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._repository.at_once import read_at_once
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import DOCUMENT_LIMIT
from ansible_collections.sre.runbooks.plugins.module_utils._repository.findings import (
    ALTERED,
    FORGED,
    REMOVED,
    UNSIGNED,
    Finding,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import point_prefix
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import parse_proof
from ansible_collections.sre.runbooks.plugins.module_utils._repository.signatures import (
    SUFFIX,
    ForgedSignature,
    Unsigned,
)

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.history import History
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.listing import ComponentListing
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository


@dataclass
class ProofsRead:
    """What was read. ``digests``: per point, the sha256 of each proof that can be believed, by its name."""

    digests: dict[str, dict[str, str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def read_proofs(repository: Repository, component: str, history: History, listing: ComponentListing) -> ProofsRead:
    """Read the proofs of the points that are not expired; what was changed, forged or taken away is a finding."""
    found = ProofsRead()
    names = [
        (point_id, name)
        for point_id, point in listing.points.items()
        if point.modified is not None and point_id not in history.tombstones
        for name in sorted(point.proofs)
        if not name.endswith(SUFFIX)
    ]
    read = read_at_once(repository.store, lambda item: _read(repository, component, *item), names)
    for (point_id, name), result in zip(names, read):
        if isinstance(result, Finding):
            found.findings.append(result)
            continue
        digest, previous = result
        found.digests.setdefault(point_id, {})[name] = digest
        if previous is not None and previous not in listing.points[point_id].proofs:
            gone = _subject(point_id, previous)
            found.findings.append(Finding(REMOVED, gone, f"{gone} is gone", f"the proof that {name} names", "nothing"))
    return found


def _read(repository: Repository, component: str, point_id: str, name: str) -> tuple[str, str | None] | Finding:
    """The proof's sha256 and the name of the proof before it, or what is wrong with it."""
    key, subject = f"{point_prefix(component, point_id)}proofs/{name}", _subject(point_id, name)
    try:
        content = repository.store.read(key, DOCUMENT_LIMIT)
        previous: str | None = parse_proof(content, key)["previous"]
        if repository.trust is not None:
            repository.trust.check(repository.store, key, content)
    except ForgedSignature as error:
        detail = f"the signature of {subject} is not to be believed"
        return Finding(FORGED, subject, detail, "that of a trusted key", str(error.found))
    except Unsigned:
        return Finding(UNSIGNED, subject, f"{subject} bears no signature", "one of a trusted key", "none")
    except (RunbookError, ValueError) as error:
        return Finding(ALTERED, subject, f"{subject} cannot be believed", "the proof that was written", str(error))
    return hashlib.sha256(content).hexdigest(), previous


def _subject(point_id: str, name: str) -> str:
    return f"points/{point_id}/proofs/{name}"
