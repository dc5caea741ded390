# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Namespaces for drills: told from all others by a label, and removed even when the drill that made one was killed."""

from __future__ import annotations

import contextlib
import datetime
import json
import secrets
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import waiting
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import quoted
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import NotFound
from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import (
    describe_holder,
    provably_alive,
    provably_dead,
)

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster
    from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress

#: The component that a namespace was made to drill.
LABEL = "sre.runbooks/drill"
_HOLDER = "sre.runbooks/drill-holder"
_UNTIL = "sre.runbooks/drill-until"
_REPOSITORY = "sre.runbooks/drill-repository"
#: After that long a drill of another host is taken for dead.
_LONGEST = datetime.timedelta(hours=6)
_NAMESPACES = "/api/v1/namespaces"


class ScratchNamespaces:
    """The drill namespaces of one component of one repository in one cluster."""

    def __init__(
        self, cluster: Cluster, component: str, repository_id: str, timeout_s: float, progress: Progress | None = None
    ) -> None:
        self._cluster = cluster
        self._component = component
        self._repository_id = repository_id
        self._timeout_s = timeout_s
        self._progress = progress

    def metadata(self, run_id: str | None) -> dict[str, t.Any]:
        """Labels and annotations of a new one."""
        return {
            "labels": {LABEL: self._component},
            "annotations": {
                _HOLDER: json.dumps(describe_holder(run_id), sort_keys=True),
                _UNTIL: _clock.format_time(_clock.now() + _LONGEST),
                _REPOSITORY: self._repository_id,
            },
        }

    def create(self, original: str, metadata: t.Mapping[str, t.Any]) -> str:
        """A new namespace, empty; its name begins with the original's."""
        name = f"{original[:45].rstrip('-')}-drill-{secrets.token_hex(4)}"
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, **metadata}}
        self._cluster.create(_NAMESPACES, body)
        return name

    def remove(self, name: str) -> None:
        """Delete one, with everything in it; it is gone when this returns.

        :raises RunbookError: something keeps it; the next drill tries again.
        """
        path = f"{_NAMESPACES}/{quoted(name)}"
        found = self._cluster.find(path)
        if found is None:
            return
        if not found["metadata"].get("deletionTimestamp"):
            with contextlib.suppress(NotFound):  # another drill's run was faster
                self._cluster.delete(path, {"preconditions": {"uid": found["metadata"]["uid"]}})
        waiting.await_namespace_gone(self._cluster, name, self._timeout_s, self._progress, self._component)

    def remove_leftovers(self) -> list[str]:
        """Delete those whose drill has certainly ended; their names."""
        removed = []
        items = self._cluster.get(_NAMESPACES, {"labelSelector": f"{LABEL}={self._component}"}).get("items") or []
        for item in items:
            annotations = item["metadata"].get("annotations") or {}
            if annotations.get(_REPOSITORY) == self._repository_id and _is_over(annotations):
                self.remove(item["metadata"]["name"])
                removed.append(item["metadata"]["name"])
        return removed


def _is_over(annotations: t.Mapping[str, str]) -> bool:
    try:
        holder = json.loads(annotations[_HOLDER])
        until = _clock.parse_time(annotations[_UNTIL])
    except (KeyError, ValueError, InvalidInput):
        return False  # not as we write it: somebody else's
    if not isinstance(holder, dict) or provably_alive(holder):
        return False
    return provably_dead(holder) or _clock.now() > until
