# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kubernetes as an engine: the objects of a namespace, of a selection, or of no namespace; each kind at one moment."""

from __future__ import annotations

import concurrent.futures
import datetime
import typing as t
from dataclasses import dataclass

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._engines.acting import require_jobs
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.coverage import (
    SECRETS,
    Coverage,
    check_excluded,
    find_coverage,
)
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.discovery import Kind
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.guide import restore_guide
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.helm import Releases
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.scope import (
    SCOPES,
    Home,
    Scope,
    nothing_there,
    scope_from,
)
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.taking import Taken, Taking, secrets_refused
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.volumes import (
    HELPER_IMAGE,
    MODES,
    VolumeChoice,
    take_volumes,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import PointWriter
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Recorder

ENGINE = "kubernetes"
#: What ``engine_from`` reads beside the connection; documented by the module.
OBJECT_OPTIONS: dict[str, t.Any] = {
    "scope": {"type": "str", "choices": list(SCOPES), "default": "namespace"},
    "namespace": {"type": "str"},
    "selector": {"type": "str"},
    "excluded_kinds": {"type": "list", "elements": "str", "default": []},
    "secrets": {
        "type": "str",
        "choices": ["require_encryption", "exclude"],
        "default": "require_encryption",
        "no_log": False,
    },
    "volumes": {"type": "str", "choices": list(MODES), "default": "auto"},
    "volumes_by_claim": {"type": "dict", "default": {}},
    "helper_image": {"type": "str", "default": HELPER_IMAGE},
    "jobs": {"type": "int", "default": 4},
}
#: The namespace's own object, read by its name: a namespace's reader may list no others.
_NAMESPACE = Kind("", "v1", "namespaces", "Namespace", False)


@dataclass(frozen=True)
class KubernetesPlan:
    """``version``: of the server, such as ``1.35.4``."""

    scope: Scope
    version: str
    coverage: Coverage

    @property
    def size(self) -> int:
        """Not known before the objects are read."""
        return 0

    def lacking_in(self, point: RecoveryPoint) -> str | None:
        told = point.content.get("kubernetes") or {}
        if {name: told.get(name) for name in self.scope.facts()} != self.scope.facts():
            return "is of another scope"
        held = {(entry.get("group"), entry.get("resource")) for entry in told.get("kinds", [])}
        for kind in self.coverage.kinds:
            if (kind.group, kind.resource) not in held and self.coverage.estimates[kind.label]:
                return f"does not hold {kind.label}"
        return None

    def warnings(self) -> list[str]:
        return list(self.coverage.warnings)

    def facts(self) -> dict[str, t.Any]:
        return {
            **self.scope.facts(),
            "server_version": self.version,
            "kinds": {label: count for label, count in sorted(self.coverage.estimates.items()) if count},
            "skipped": {skipped.label: skipped.reason for skipped in self.coverage.skipped},
            "size": self.size,
        }


class KubernetesEngine:
    """The objects of one scope of one cluster.

    :arg excluded: labels of kinds, see :func:`check_excluded`. :arg jobs: kinds that are read at once.
    :arg volumes: how what the claims of a namespace hold is taken.
    """

    name = ENGINE

    def __init__(
        self,
        cluster: Cluster,
        scope: Scope,
        encrypted: bool,
        excluded: t.Sequence[str] = (),
        jobs: int = 4,
        volumes: VolumeChoice | None = None,
    ) -> None:
        self._cluster, self._scope = cluster, scope
        self._encrypted, self._excluded, self._jobs = encrypted, excluded, jobs
        self._volumes = volumes or VolumeChoice()

    def plan(self) -> KubernetesPlan:
        """Find what is to be taken; refuse a namespace that is absent or going, kinds that are hidden, and bare Secrets."""
        version = self._cluster.version()["gitVersion"].lstrip("v")
        if self._scope.kind == "namespace" and self._scope.namespace:
            Home(self._cluster, self._scope.namespace)
        coverage = find_coverage(self._cluster, self._scope, self._excluded, self._jobs)
        if self._scope.kind == "selection" and not any(coverage.estimates.values()):
            raise nothing_there(self._scope)
        if coverage.estimates.get(SECRETS) and not self._encrypted:
            raise secrets_refused()
        return KubernetesPlan(self._scope, version, coverage)

    def take(
        self,
        plan: KubernetesPlan,
        writer: PointWriter,
        encoding: Encoding,
        progress: Progress,
        recorder: Recorder,
        check: t.Callable[[], None],
    ) -> RecoveryPoint:
        """Take every kind of the plan. Whatever is raised, no recovery point exists then."""
        self._cluster.version()
        # The server's clock before the first list: nothing that is taken is older.
        consistency_time = self._cluster.now()
        home = (
            Home(self._cluster, self._scope.namespace)
            if self._scope.kind == "namespace" and self._scope.namespace
            else None
        )
        taking = Taking(self._cluster, self._scope, writer, encoding, progress, check)
        progress.step(f"reading the objects of {self._scope.words}")
        with recorder.step("take objects", scope=self._scope.words) as step:
            taken = [] if home is None else [taking.take_one(_NAMESPACE, home.obj)]
            with concurrent.futures.ThreadPoolExecutor(self._jobs, "take") as threads:
                try:
                    taken += threads.map(taking.take, plan.coverage.kinds)
                except BaseException:
                    threads.shutdown(wait=False, cancel_futures=True)
                    raise
            objects, owned = sum(kind.count for kind in taken), sum(kind.owned for kind in taken)
            step.facts.update(kinds=len(taken), objects=objects, left_to_controllers=owned)
        if not objects:
            raise nothing_there(self._scope)
        content = {"kubernetes": self._content(plan, taken, taking.releases)}
        if home is not None and self._scope.namespace:
            with recorder.step("take volumes", scope=self._scope.words) as step:
                content["kubernetes"]["volumes"] = volumes = take_volumes(
                    self._cluster, self._scope.namespace, self._volumes, writer, encoding, progress, check
                )
                step.facts.update(volumes=len(volumes), taken=sum(entry["mode"] != "none" for entry in volumes))
            home.refuse_change()
        check()
        return writer.commit(
            engine_version=plan.version,
            consistency_time=consistency_time,
            content=content,
            restore_guide=restore_guide(content, encoding),
            encryption={"recipients": list(encoding.recipients)},
        )

    def _content(self, plan: KubernetesPlan, taken: t.Sequence[Taken], releases: Releases) -> dict[str, t.Any]:
        moments = [kind.began for kind in taken]
        first, last = min(moments), max(moments)
        return {
            **self._scope.facts(),
            "server": {"version": plan.version, "url": self._cluster.place},
            "kinds": [kind.facts() for kind in sorted(taken, key=lambda kind: (kind.kind.group, kind.kind.resource))],
            "releases": releases.facts(),
            "skipped": [
                {"label": skipped.label, "reason": skipped.reason, "excluded": skipped.excluded}
                for skipped in sorted(plan.coverage.skipped, key=lambda skipped: skipped.label)
            ],
            # Each kind is as it was at one moment, and no two kinds need be of the same.
            "not_one_moment": len(taken) > 1,
            "span": {
                "first": _clock.format_time(first),
                "last": _clock.format_time(last),
                "seconds": _seconds(first, last),
            },
        }

    def problems(self, point: RecoveryPoint) -> list[str]:
        """Claims whose data is not in the point, although nobody chose so."""
        return [
            f"nothing of claim {entry['claim']} is taken: {entry.get('reason', '')}"
            for entry in point.content["kubernetes"].get("volumes", [])
            if entry["mode"] == "none" and self._volumes.of(entry["claim"]) != "none"
        ]


def _seconds(first: datetime.datetime, last: datetime.datetime) -> float:
    return (last - first).total_seconds()


def engine_from(params: t.Mapping[str, t.Any], cluster: Cluster) -> KubernetesEngine:
    """The engine that a module's options ask for. Raises :class:`InvalidInput` for those that cannot be."""
    scope = scope_from(params["scope"], params["namespace"], params["selector"])
    excluded = check_excluded(params["excluded_kinds"])
    if params["secrets"] == "exclude":
        excluded.append(SECRETS)
    return KubernetesEngine(
        cluster,
        scope,
        bool(params["encryption_recipients"]),
        excluded,
        require_jobs(params["jobs"]),
        VolumeChoice(params["volumes"], params["volumes_by_claim"], params["helper_image"]),
    )
