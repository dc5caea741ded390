# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for what the cluster does by itself: shown, bounded, and in the end with what it waits for by name."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster, quoted
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import Conflict, NotFound

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress

Object = t.Mapping[str, t.Any]

_PAUSE_S = 0.2


def await_definitions(cluster: Cluster, paths: t.Sequence[str], timeout_s: float, progress: Progress | None) -> None:
    """Until every CustomResourceDefinition is served."""

    def missing(definition: Object | None) -> str | None:
        conditions = {
            str(each.get("type")): each for each in ((definition or {}).get("status") or {}).get("conditions") or []
        }
        if conditions.get("Established", {}).get("status") == "True":
            return None
        refused = conditions.get("NamesAccepted", {})
        return str(refused.get("message") or "it is not established yet")

    _await(cluster, paths, missing, "definitions to be served", timeout_s, progress)


def await_namespaces(cluster: Cluster, paths: t.Sequence[str], timeout_s: float, progress: Progress | None) -> None:
    """Until every namespace is active."""

    def missing(namespace: Object | None) -> str | None:
        phase = ((namespace or {}).get("status") or {}).get("phase")
        return None if phase == "Active" else f"it is {phase or 'not there'}"

    _await(cluster, paths, missing, "namespaces to be active", timeout_s, progress)


def _await(
    cluster: Cluster,
    paths: t.Sequence[str],
    missing: t.Callable[[Object | None], str | None],
    what: str,
    timeout_s: float,
    progress: Progress | None,
) -> None:
    if progress is not None:
        progress.step(f"waiting for {what}", len(paths))
    deadline = time.monotonic() + timeout_s
    for path in paths:
        while True:
            reason = missing(cluster.find(path))
            if reason is None:
                break
            if time.monotonic() > deadline:
                raise EngineError(
                    f"waited in vain for {what}",
                    expected=f"{path.rpartition('/')[2]} within {timeout_s:g} s",
                    found=reason,
                    next_command=f"kubectl get --raw {path}",
                )
            time.sleep(_PAUSE_S)
        if progress is not None:
            progress.add(1)


def await_namespace_gone(
    cluster: Cluster, namespace: str, timeout_s: float, progress: Progress | None, component: str | None = None
) -> None:
    """Until a namespace that is being deleted is gone; returns at once for one that is not being deleted.

    :raises Refused: it is stuck; with what keeps it.
    """
    path = f"/api/v1/namespaces/{quoted(namespace)}"
    deadline = time.monotonic() + timeout_s
    shown = False
    while True:
        found = cluster.find(path)
        if found is None or not found["metadata"].get("deletionTimestamp"):
            return
        if progress is not None and not shown:
            progress.step(f"waiting for the namespace {namespace} to be gone")
            shown = True
        if time.monotonic() > deadline:
            raise Refused(
                f"the namespace {namespace} is being deleted and does not end",
                component,
                expected=f"that it is gone within {timeout_s:g} s",
                found=what_keeps(found),
                next_command=f"kubectl get namespace {namespace} -o yaml",
            )
        time.sleep(_PAUSE_S)


def what_keeps(namespace: Object) -> str:
    """Why a namespace is not gone yet, as its controller says it."""
    said = [
        str(each.get("message"))
        for each in (namespace.get("status") or {}).get("conditions") or []
        if each.get("status") == "True" and each.get("message")
    ]
    finalizers = [
        *((namespace.get("spec") or {}).get("finalizers") or []),
        *(namespace["metadata"].get("finalizers") or []),
    ]
    return "; ".join([*said, f"finalizers of the namespace: {', '.join(finalizers) or 'none'}"])


def delete_and_wait(cluster: Cluster, path: str, uid: str | None, timeout_s: float, progress: Progress | None) -> None:
    """Delete one object, only that one, and wait until it is gone.

    :raises EngineError: its finalizers keep it; they are named.
    """
    options: dict[str, t.Any] = {"propagationPolicy": "Background"}
    if uid is not None:
        options["preconditions"] = {"uid": uid}
    try:
        cluster.delete(path, options)
    except NotFound:
        return
    except Conflict:
        found = cluster.find(path)
        if found is None or found["metadata"].get("uid") != uid:
            return  # the one that was meant is gone
        raise
    await_gone(cluster, path, uid, timeout_s, progress)


def await_gone(cluster: Cluster, path: str, uid: str | None, timeout_s: float, progress: Progress | None) -> None:
    """Until an object that is being deleted is gone. Raises :class:`EngineError` naming the finalizers that keep it."""
    deadline = time.monotonic() + timeout_s
    pause = 0.02
    while True:
        found = cluster.find(path)
        if found is None or (uid is not None and found["metadata"].get("uid") != uid):
            return
        if time.monotonic() > deadline:
            finalizers = ", ".join(found["metadata"].get("finalizers") or []) or "none"
            raise EngineError(
                f"{found.get('kind', 'an object')} {found['metadata']['name']} is being deleted and does not end",
                expected=f"that it is gone within {timeout_s:g} s",
                found=f"finalizers: {finalizers}",
                next_command=f"kubectl get --raw {path}",
            )
        if pause == _PAUSE_S and progress is not None:
            progress.step(f"waiting for {found['metadata']['name']} to be gone")
        time.sleep(pause)
        pause = min(pause * 2, _PAUSE_S)
