# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a backup of a scope takes: every kind, each tried, so that none is missing in silence."""

from __future__ import annotations

import concurrent.futures
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.discovery import (
    Discovery,
    Kind,
    Skipped,
    discover,
)
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import ApiFailure
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.rights import hidden
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.scope import Scope

#: Groups that only measure: without their server nothing of a component is missing.
_MEASURING = ("metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io")
_EXCLUDED = re.compile(r"(\*|[a-z0-9-]+)(\.[a-z0-9.-]+)?")
SECRETS = "secrets"


@dataclass
class Coverage:
    """``kinds``: what is taken. ``estimates``: label → objects, at least. ``skipped``: what is served and not taken."""

    kinds: list[Kind] = field(default_factory=list)
    estimates: dict[str, int] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def check_excluded(patterns: t.Sequence[str]) -> list[str]:
    """Labels as ``widgets.example.com``, or ``*.example.com`` for a group. Raises :class:`InvalidInput`."""
    for pattern in patterns:
        if not _EXCLUDED.fullmatch(pattern) or pattern == "*":
            raise InvalidInput(
                "not a kind to leave out",
                expected="its plural with its group, such as events, widgets.example.com or *.example.com",
                found=repr(pattern[:100]),
                next_command="correct component_kubernetes_excluded_kinds: kubectl api-resources",
            )
    return list(patterns)


def is_excluded(label: str, patterns: t.Sequence[str]) -> bool:
    """Whether one of the patterns means the kind that kubectl calls ``label``."""
    group = label.partition(".")[2]
    return any(pattern == label or (pattern.startswith("*.") and pattern[2:] == group) for pattern in patterns)


def find_coverage(cluster: Cluster, scope: Scope, excluded: t.Sequence[str], jobs: int) -> Coverage:
    """Ask what is served, and try to list each kind of it that the scope can hold.

    :raises Refused: a kind may not be read, or the server of one does not answer: a backup would be partial.
    """
    found = discover(cluster)
    _refuse_unavailable(found, excluded)
    coverage = Coverage(skipped=list(found.skipped))
    wanted = []
    for kind in found.kinds:
        if is_excluded(kind.label, excluded):
            coverage.skipped.append(Skipped(kind.label, "left out, as the inventory wants it", True))
        elif scope.holds(kind):
            wanted.append(kind)
    known = [kind.label for kind in found.kinds] + [skipped.label for skipped in found.skipped]
    for pattern in excluded:
        if not any(is_excluded(label, [pattern]) for label in known):
            coverage.warnings.append(f"excluded_kinds names {pattern}, which the cluster does not serve")
    _try(cluster, scope, wanted, jobs, coverage)
    return coverage


def _refuse_unavailable(found: Discovery, excluded: t.Sequence[str]) -> None:
    missing = {
        version: reason
        for version, reason in found.unavailable.items()
        if version.partition("/")[0] not in _MEASURING and not is_excluded(f"x.{version.partition('/')[0]}", excluded)
    }
    if missing:
        version, reason = next(iter(sorted(missing.items())))
        group, _slash, name = version.partition("/")
        raise Refused(
            f"{len(missing)} API groups do not answer, and a backup without their kinds would be partial",
            expected="every API service available",
            found=f"{version}: {reason}",
            next_command=f"leave it out by component_kubernetes_excluded_kinds (*.{group}), or mend it:"
            f" kubectl describe apiservice {name}.{group}",
        )


def _try(cluster: Cluster, scope: Scope, kinds: t.Sequence[Kind], jobs: int, coverage: Coverage) -> None:
    denied: list[tuple[Kind, str]] = []

    def look(kind: Kind) -> int | ApiFailure:
        query = {"limit": 1, "labelSelector": scope.selector}
        try:
            document = cluster.get(kind.path(scope.namespace), query)
        except ApiFailure as error:
            if error.status in (403, 404, 405):
                return error
            raise
        more = (document.get("metadata") or {}).get("remainingItemCount") or 0
        return len(document.get("items") or []) + int(more)

    with concurrent.futures.ThreadPoolExecutor(jobs, "look") as threads:
        for kind, seen in zip(kinds, threads.map(look, kinds)):
            if isinstance(seen, int):
                coverage.kinds.append(kind)
                coverage.estimates[kind.label] = seen
            elif seen.status == 403:
                denied.append((kind, seen.api_message or seen.reason))
            else:
                coverage.skipped.append(Skipped(kind.label, f"is listed nowhere: {seen.api_message or seen.status}"))
                coverage.warnings.append(
                    f"{kind.label} is served and cannot be listed ({seen.api_message or seen.status})"
                )
    if denied:
        raise hidden(cluster, [kind for kind, _reason in denied], scope.namespace, [reason for _kind, reason in denied])
