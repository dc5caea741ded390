# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Takes recovery points without an engine."""

from __future__ import annotations

import datetime
import hashlib

from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint, StoredObject
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository


def stored_point(
    repository: Repository,
    at: datetime.datetime,
    component: str = "db",
    objects: dict[str, bytes] | None = None,
    **fields: object,
) -> RecoveryPoint:
    """A point of ``component`` that shows ``at``, with the given objects, without compression."""
    writer = begin_point(repository, component, "postgresql", "a-run")
    for name, data in ({"a": b"some", "b/c": b"data"} if objects is None else objects).items():
        key = writer.object_key(name)
        version = repository.store.create(key, data)
        digest = hashlib.sha256(data).hexdigest()
        writer.add(StoredObject(name, key, len(data), digest, len(data), digest, [], version_id=version))
    details = {
        "engine_version": "15.1",
        "consistency_time": at,
        "content": {"databases": {"d": {"tables": 3}}},
        "restore_guide": "## Restore\n\nUse the tools.",
        **fields,
    }
    return writer.commit(**details)
