# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which admission webhook stands in the way, found by its name among the cluster's configurations."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import ApiFailure

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster

_NAME = re.compile(r'(?:failed calling|admission) webhook "([^"]+)"')
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_CONFIGURATIONS = {
    "validatingwebhookconfigurations": "ValidatingWebhookConfiguration",
    "mutatingwebhookconfigurations": "MutatingWebhookConfiguration",
}


def explain_webhook(cluster: Cluster, error: ApiFailure) -> tuple[str, str, str] | None:
    """Expected, found and next, when a webhook is the reason; None otherwise."""
    match = _NAME.search(error.api_message)
    if match is None:
        return None
    name = match[1]
    answers = "failed calling" not in error.api_message
    place, policy, command = _find(cluster, name)
    return (
        f"that the admission webhook {name}{place} {'admits the object' if answers else 'answers'}",
        f"{' '.join(error.api_message.split())[:400]}{policy}",
        command,
    )


def _find(cluster: Cluster, name: str) -> tuple[str, str, str]:
    for resource, kind in _CONFIGURATIONS.items():
        try:
            items = cluster.get(f"{_ADMISSION}/{resource}").get("items") or []
        except ApiFailure:
            continue  # only for a better message
        for item in items:
            for webhook in item.get("webhooks") or []:
                if webhook.get("name") == name:
                    configuration = item["metadata"]["name"]
                    service = (webhook.get("clientConfig") or {}).get("service") or {}
                    served = f", served by {service['namespace']}/{service['name']}" if service.get("name") else ""
                    return (
                        f" of {kind} {configuration}",
                        f"; its failurePolicy is {webhook.get('failurePolicy', 'Fail')}{served}",
                        f"kubectl get {kind.lower()} {configuration} -o yaml",
                    )
    return "", "", "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations"
