# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a restore is about to overwrite or delete, stored first, so that it can be brought back (see ``_recovery.kept``)."""

from __future__ import annotations

import io
import json
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import Refused
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import fields
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.content import ENGINE
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding, store_stream
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.kept import before_component
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point, remove_incomplete

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.content import Recorded
    from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.discovery import Kind
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository


def require_encryption(kinds: t.Iterable[str], recipients: t.Sequence[str], component: str) -> None:
    """Refuse to store Secrets that anybody who reads the repository could read."""
    if "Secret" in kinds and not recipients:
        raise Refused(
            "Secrets would be overwritten, and what was live could only be kept in plain text; nothing was touched",
            component,
            expected="recipients to encrypt it for",
            found="none",
            next_command="set repository_encryption_recipients in the inventory, then: the same command",
        )


def keep_before(
    repository: Repository,
    component: str,
    of_point: RecoveryPoint,
    recorded: Recorded,
    live: t.Sequence[tuple[Kind, bytes]],
    encoding: Encoding,
    run_id: str | None,
) -> RecoveryPoint:
    """Store live objects, given with their kinds as JSON, as a recovery point of :func:`before_component`.

    :arg of_point: what is restored. Call it while holding the component's lease.
    """
    name = before_component(component)
    remove_incomplete(repository, name)
    writer = begin_point(repository, name, ENGINE, run_id)
    by_kind: dict[Kind, list[bytes]] = {}
    for kind, raw in live:
        by_kind.setdefault(kind, []).append(fields.canonical(fields.desired(json.loads(raw))))
    kinds = []
    for kind, lines in sorted(by_kind.items(), key=lambda pair: pair[0].label):
        stored_name = f"{kind.group or 'core'}/{kind.version}/{kind.resource}.jsonl{encoding.suffix}"
        source = io.BytesIO(b"".join(sorted(lines)))
        writer.add(store_stream(repository.store, writer.object_key(stored_name), stored_name, source, encoding))
        kinds.append(
            {
                "group": kind.group,
                "version": kind.version,
                "resource": kind.resource,
                "kind": kind.kind,
                "namespaced": kind.namespaced,
                "count": len(lines),
                "object": stored_name,
            }
        )
    content = {
        "scope": recorded.scope,
        "namespace": recorded.namespace,
        "selector": recorded.selector,
        "kinds": kinds,
        "not_one_moment": True,
        "before": of_point.point_id,
    }
    return writer.commit(
        engine_version=recorded.server_version,
        consistency_time=_clock.now(),
        content={"kubernetes": content},
        restore_guide=_guide(component, of_point.point_id, kinds),
        encryption={"recipients": list(encoding.recipients)},
    )


def _guide(component: str, point_id: str, kinds: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    lines = [
        f"What was live before {component} was restored from {point_id}: only the objects that the restore changed.",
        "",
        "```",
    ]
    for entry in kinds:
        name = str(entry["object"])
        tools = [tool for suffix, tool in ((".age", "age -d -i identity.txt"), (".zst", "zstd -d")) if suffix in name]
        lines.append(
            " | ".join([f"cat 'objects/{name}'", *tools, "kubectl apply --server-side --force-conflicts -f -"])
        )
    return "\n".join([*lines, "```", ""])
