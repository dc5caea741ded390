# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an identity lacks, told so that somebody who administers the cluster can grant it: rules, and the command."""

from __future__ import annotations

import shlex
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import Refused
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.discovery import Kind
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import ApiFailure

_SERVICE_ACCOUNT = "system:serviceaccount:"
#: What a message of this length says is enough to act on; the rules are whole.
_NAMED = 8


def who_am_i(cluster: Cluster) -> str | None:
    """The user's name as the API server knows it; None where it does not tell."""
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        answer = cluster.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
    except ApiFailure:
        return None
    name = ((answer.get("status") or {}).get("userInfo") or {}).get("username")
    return str(name) if name else None


def rules(kinds: t.Iterable[Kind], verbs: t.Sequence[str]) -> str:
    """The rules of a Role or ClusterRole that grant ``verbs`` on ``kinds``, as YAML."""
    groups: dict[str, list[str]] = {}
    for kind in kinds:
        groups.setdefault(kind.group, []).append(kind.resource)
    return "\n".join(
        f'- {{apiGroups: ["{group}"], resources: [{", ".join(sorted(resources))}], verbs: [{", ".join(verbs)}]}}'
        for group, resources in sorted(groups.items())
    )


def grant_commands(kinds: t.Sequence[Kind], verbs: t.Sequence[str], namespace: str | None, user: str | None) -> str:
    """Commands that make a role with those rules and bind it; kubectl wants one resource list per role."""
    name = "sre-runbooks-backup"
    subject = _subject(user)
    where = f" --namespace={namespace}" if namespace else ""
    scope = "" if namespace else "cluster"
    role = f"kubectl create {scope}role {name}{where} --verb={','.join(verbs)} --resource={','.join(kind.label for kind in kinds)}"
    binding = f"kubectl create {scope}rolebinding {name}{where} --{scope}role={name} {subject}"
    return f"{role} && {binding}"


def _subject(user: str | None) -> str:
    if user and user.startswith(_SERVICE_ACCOUNT):
        return f"--serviceaccount={user[len(_SERVICE_ACCOUNT) :]}"
    return f"--user={shlex.quote(user or 'USER')}"


def hidden(cluster: Cluster, kinds: t.Sequence[Kind], namespace: str | None, reasons: t.Sequence[str]) -> Refused:
    """The refusal of a backup that some kinds would be missing from.

    :arg reasons: what the server said, for the first of them.
    """
    user = who_am_i(cluster)
    named = ", ".join(kind.label for kind in kinds[:_NAMED])
    more = f" and {len(kinds) - _NAMED} more" if len(kinds) > _NAMED else ""
    return Refused(
        f"{len(kinds)} kind{'s' if len(kinds) > 1 else ''} cannot be read, and a backup without them would be partial",
        expected=f"the verb list for {user or 'this identity'}, by these rules"
        f" in a {'Role of namespace ' + namespace if namespace else 'ClusterRole'}:\n{rules(kinds, ['list'])}\n",
        found=f"no right to list {named}{more} ({reasons[0]})" if reasons else f"no right to list {named}{more}",
        next_command="leave them out by component_kubernetes_excluded_kinds, or grant it: "
        + grant_commands(kinds, ["list"], namespace, user),
    )
