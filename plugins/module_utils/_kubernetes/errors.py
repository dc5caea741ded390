# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an API server says, or the way to it, as errors that name the cluster and the way out, and never a credential."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError
from ansible_collections.sre.runbooks.plugins.module_utils._words import masked

#: What decoders quote of a body that they could not read; it may be a Secret's.
_QUOTED_BODY = re.compile(r",? error found in #\d+ byte of .*", re.DOTALL)
_LONGEST = 600


class ApiFailure(EngineError):
    """The API server refused or failed.

    ``status``: of HTTP; 0 where there was no answer. ``reason``: the API's word, such as ``AlreadyExists``.
    ``api_message``: its sentence. ``details``: its ``Status``' details, a mapping that may be empty.
    """

    kind = "kubernetes"

    def __init__(
        self,
        message: str,
        status: int = 0,
        reason: str = "",
        api_message: str = "",
        details: t.Mapping[str, t.Any] | None = None,
        expected: str | None = None,
        found: str | None = None,
        next_command: str | None = None,
    ) -> None:
        super().__init__(message, expected=expected, found=found, next_command=next_command)
        self.status = status
        self.reason = reason
        self.api_message = api_message
        self.details = dict(details or {})

    @property
    def causes(self) -> list[dict[str, t.Any]]:
        """``{"reason", "message", "field"}`` each, where the server gave any."""
        causes = self.details.get("causes")
        return [cause for cause in causes if isinstance(cause, dict)] if isinstance(causes, list) else []


class Unreachable(ApiFailure):
    """No answer, or only a failing one, for as long as we were patient."""


class Unauthorized(ApiFailure):
    """401: the credential is not (or no longer) accepted."""


class Forbidden(ApiFailure):
    """403: the credential is known and may not do that; a verb is missing, an admission or a quota refuses."""


class NotFound(ApiFailure):
    """404: there is no such object, or the server does not serve that kind."""


class Conflict(ApiFailure):
    """409: somebody else owns a field or changed the object (``Conflict``), or it is there (``AlreadyExists``)."""


class Expired(ApiFailure):
    """410: the resource version or the continuation that was asked for is compacted away."""


class Invalid(ApiFailure):
    """400 or 422: the object does not satisfy its schema, or changes what cannot be changed; ``causes`` say which."""


_KINDS: dict[int, type[ApiFailure]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Expired,
    422: Invalid,
}


def explain(
    method: str, what: str, place: str, status: int, document: t.Any, secrets: t.Sequence[str] = ()
) -> ApiFailure:
    """The error for an answer that is none of success.

    :arg what: the path that was asked for.
    :arg document: the decoded body, a ``Status`` where the API server itself answered; text otherwise.
    :arg secrets: what must not be in any message.
    """
    answer = document if isinstance(document, dict) else {}
    reason = str(answer.get("reason") or "")
    message = clean(str((answer.get("message") if answer else document) or ""), secrets)
    given = answer.get("details")
    details: dict[str, t.Any] = given if isinstance(given, dict) else {}
    for cause in details.get("causes") or []:
        if isinstance(cause, dict):
            cause["message"] = clean(str(cause.get("message") or ""), secrets)
    expected, next_command = _way_out(status, reason, place, message)
    return _KINDS.get(status, Unreachable if status in (429, 500, 502, 503, 504) else ApiFailure)(
        f"could not {_VERBS.get(method, method.lower())} {what}",
        status=status,
        reason=reason,
        api_message=message,
        details=details,
        expected=expected,
        found=f"HTTP {status}" + (f" {reason}" if reason else "") + (f": {message}" if message else ""),
        next_command=next_command,
    )


_VERBS = {"GET": "read", "POST": "create", "PUT": "replace", "PATCH": "apply", "DELETE": "delete"}


#: What else the API server forbids than a verb: words of its sentence → what is expected, and what to do.
_FORBIDDEN = (
    (
        "exceeded quota",
        "room in the namespace's quota",
        "raise the quota, or delete what fills it: kubectl describe resourcequotas --all-namespaces",
    ),
    (
        "violates PodSecurity",
        "a pod that the namespace's Pod Security level admits",
        "lower it for as long as it takes: kubectl get namespaces --label-columns pod-security.kubernetes.io/enforce",
    ),
    (
        "because it is being terminated",
        "a namespace that stays",
        "wait until it is gone (kubectl get namespaces), then: the same command",
    ),
    (
        "attempting to grant RBAC permissions",
        "an identity that may give rights which it does not have itself",
        "grant it the verbs bind and escalate, as for restores: kubectl apply -f extensions/kubernetes/rbac.yml",
    ),
)


#: The API server answers, and what it has to ask first does not.
_WEBHOOK = "failed calling webhook"
_WEBHOOK_KINDS = "validatingwebhookconfigurations,mutatingwebhookconfigurations"


def waits_for_webhook(failure: ApiFailure) -> bool:
    """Whether an admission webhook that does not answer is the reason."""
    return _WEBHOOK in failure.api_message


def _way_out(status: int, reason: str, place: str, message: str) -> tuple[str, str | None]:
    if status == 401:
        return (
            f"a credential that {place} accepts; the token expired, or was never valid there",
            "renew what component_kubernetes_api_key_file or component_kubernetes_kubeconfig names: kubectl auth whoami",
        )
    if status == 403:
        for words, expected, next_command in _FORBIDDEN:
            if words in message:
                return expected, next_command
        return (
            f"an identity that {place} lets do so",
            "use the identity that is made for this (docs/kubernetes.md), or grant it the verb: kubectl auth can-i --list",
        )
    if _WEBHOOK in message:
        return (
            "the admission webhook to answer",
            f"mend what serves it (kubectl get {_WEBHOOK_KINDS}), then: the same command",
        )
    if status in (429, 500, 502, 503, 504):
        return (
            f"{place} to answer",
            "wait until the server is ready (kubectl get --raw /readyz), then: the same command",
        )
    if status == 409 and reason == "Conflict":
        return "fields that nobody else manages", None
    return f"{place} to accept it", None


def clean(text: str, secrets: t.Iterable[str] = (), longest: int = _LONGEST) -> str:
    """On one line, bounded, without any of ``secrets`` and without quotations of a body.

    Give it the whole text: of a secret that was cut in two, neither half is known.
    """
    text = masked(" ".join(_QUOTED_BODY.sub("", text).split()), secrets)
    return text if len(text) <= longest else text[:longest] + "…"
