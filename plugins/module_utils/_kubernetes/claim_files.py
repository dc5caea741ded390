# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What restores put aside in claims, noted beside the environment's marker until it is released."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import marker, volumes
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster, quoted


class ClaimFiles:
    """The claims of one component in one namespace; ``namespace`` None for a component that has none of its own."""

    def __init__(self, cluster: Cluster, component: str, namespace: str | None, image: str) -> None:
        self._cluster = cluster
        self._component = component
        self._namespace = namespace or ""
        self._image = image
        self._kept = f"kept-files.{component}"

    def keep(self, claims: t.Collection[str]) -> None:
        """Note that something is, or is about to be, put aside in those claims. The namespace is marked by now."""
        self._write(self._noted() | set(claims))

    def kept(self) -> list[str]:
        """The claims that are there, in which former restores may have put something aside."""
        return sorted(claim for claim in self._noted() if self._is_there(claim)) if self._namespace else []

    def release(self) -> list[str]:
        """Remove what former restores put aside; the claims in which there was anything."""
        entries = [{"claim": claim, "mode": "files"} for claim in self.kept()]
        released = volumes.release_volumes(self._cluster, self._namespace, entries, self._image)
        self._write(())
        return released

    def _is_there(self, claim: str) -> bool:
        path = f"/api/v1/namespaces/{quoted(self._namespace)}/persistentvolumeclaims/{quoted(claim)}"
        return self._cluster.exists(path)

    def _noted(self) -> set[str]:
        try:
            found = json.loads(marker.read_note(self._cluster, self._namespace, self._kept) or "[]")
        except ValueError:
            return set()  # somebody else's word
        return {claim for claim in found if isinstance(claim, str)} if isinstance(found, list) else set()

    def _write(self, claims: t.Collection[str]) -> None:
        if self._noted() != set(claims):
            text = json.dumps(sorted(claims)) if claims else None
            marker.write_note(self._cluster, self._namespace, self._kept, text)
