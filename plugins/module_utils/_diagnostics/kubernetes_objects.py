# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects of Kubernetes as they may leave the cluster: what a person looks for, and no value that may be a secret."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration, parse_time
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kubernetes import named

Object = t.Mapping[str, t.Any]

#: Parts of a container that say how it runs, and hold no value of its environment.
_OF_CONTAINERS = ("name", "image", "ports", "resources", "volumeMounts")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def age(item: Object, now: datetime.datetime) -> str:
    """How long ago it was made."""
    made = item["metadata"].get("creationTimestamp")
    return format_duration((now - parse_time(made)).total_seconds()) if made else ""


def images_of(item: Object) -> str:
    """The images of a pod's or a template's containers."""
    containers = (item.get("spec") or {}).get("containers") or []
    return ", ".join(str(container.get("image")) for container in containers)


def described(pod: Object) -> dict[str, t.Any]:
    """A pod without annotations, arguments and values of its environment, which often hold secrets."""
    spec = pod["spec"]
    containers = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    return {
        "name": named(pod),
        "labels": pod["metadata"].get("labels") or {},
        "owners": [f"{one.get('kind')} {one.get('name')}" for one in pod["metadata"].get("ownerReferences") or []],
        "node": spec.get("nodeName"),
        "containers": [_container(container) for container in containers],
        "volumes": [volume.get("name") for volume in spec.get("volumes") or []],
        "status": pod.get("status") or {},
    }


def _container(container: Object) -> dict[str, t.Any]:
    kept = {name: container[name] for name in _OF_CONTAINERS if name in container}
    for name in _PROBES:
        if name in container:
            # Commands and headers hold credentials now and then.
            kept[name] = {key: value for key, value in container[name].items() if key != "exec"}
            if "httpGet" in kept[name]:
                kept[name]["httpGet"] = {key: kept[name]["httpGet"].get(key) for key in ("path", "port", "scheme")}
    names = [str(entry.get("name")) for entry in container.get("env") or []]
    # A list of names: as keys of a mapping they would be taken for what is secret below them.
    return {**kept, "environment": names} if names else kept
