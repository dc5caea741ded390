# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kubernetes_volumes kind: claims are bound, and as far as the kubelets say how full they are, not nearly full.

How full a volume is only its node's kubelet knows, and only while a pod has it mounted. That is read through the API
server, which lets only those read it who may ``get nodes/proxy``: a strong right. Without it the outcome is "unknown".
"""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.pods import finished
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Kind, Option, Reading, boolean
from ansible_collections.sre.runbooks.plugins.module_utils._probes.disk import in_units, percentage
from ansible_collections.sre.runbooks.plugins.module_utils._probes.findings import Finding
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kubernetes import (
    SCOPE,
    KubernetesCheck,
    Object,
    named,
    scope_of,
)
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

#: A claim, by namespace and name.
Claim = tuple[str, str]


class VolumesCheck(KubernetesCheck):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(options, session)
        self._free: float = options["free_percent"]
        self._warning: float = options["warning_percent"]
        self._usage: bool = options["usage"]
        self.expected = "claims that are bound" + (f", each with {self._free:g} % free" if self._usage else "")
        self.hint = self.kubectl("get persistentvolumeclaims")

    def look(self) -> Reading:
        claims = [item for item in self._list("/api/v1", "persistentvolumeclaims") if not self._ignored(item)]
        findings = [
            Finding("failed", named(item), f"{(item.get('status') or {}).get('phase') or 'not bound'}, not bound")
            for item in claims
            if (item.get("status") or {}).get("phase") != "Bound"
        ]
        measured = f"{len(claims) - len(findings)} of {counted(len(claims), 'claim')} bound"
        values: dict[str, t.Any] = {"claims": len(claims)}
        if self._usage and claims:
            chosen = {_key(item) for item in claims}
            pods = self._list("/api/v1", "pods", selected=False)
            mounted = {claim: node for claim, node in mounts(pods).items() if claim in chosen}
            usage = self._usage_of(set(mounted.values()), findings)
            known = {claim: usage[claim] for claim in mounted if claim in usage}
            for claim in sorted(set(mounted) - set(usage)):
                if mounted[claim] not in self._silent:
                    words = "its driver does not tell the kubelet how full it is"
                    findings.append(Finding("unknown", "/".join(claim), words))
            findings += [finding for claim, volume in known.items() for finding in self._judge(claim, volume)]
            measured += f", {len(known)} of {len(mounted)} mounted ones measured"
            values.update(mounted=len(mounted), known=len(known))
            values["free_percent"] = {"/".join(claim): round(_free(volume), 2) for claim, volume in known.items()}
        return self.sum_up(measured, findings, **values)

    def _usage_of(self, nodes: set[str], findings: list[Finding]) -> dict[Claim, Object]:
        """What the kubelets say; a node that says nothing is a finding, once."""
        from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import quoted
        from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import ApiFailure, Forbidden

        found: dict[Claim, Object] = {}
        self._silent: set[str] = set()
        for node in sorted(nodes):
            try:
                summary = self._api.cluster.get(f"/api/v1/nodes/{quoted(node)}/proxy/stats/summary")
            except Forbidden:
                words = "how full they are is not known: this identity may not get nodes/proxy"
                findings.append(Finding("unknown", "mounted volumes", words))
                self._silent = nodes
                return found
            except ApiFailure as error:
                words = f"its kubelet does not say how full volumes are: {error.found or error.message}"
                findings.append(Finding("unknown", f"node {node}", words))
                self._silent.add(node)
                continue
            found.update(volumes_of(summary))
        return found

    def _judge(self, claim: Claim, volume: Object) -> list[Finding]:
        free = _free(volume)
        words = f"{free:.1f} % of {in_units(volume.get('capacityBytes', 0))} free"
        if free < self._free:
            return [Finding("failed", "/".join(claim), words)]
        inodes = _share(volume.get("inodesFree"), volume.get("inodes"))
        if inodes < self._free:
            return [Finding("failed", "/".join(claim), f"{inodes:.1f} % of the inodes free")]
        return [Finding("warning", "/".join(claim), words)] if free < self._warning else []


def mounts(pods: t.Iterable[Object]) -> dict[Claim, str]:
    """The node on which a claim is mounted, for those that are."""
    found: dict[Claim, str] = {}
    for pod in pods:
        node = pod["spec"].get("nodeName")
        if not node or finished(pod):
            continue
        for volume in pod["spec"].get("volumes") or []:
            name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            if "ephemeral" in volume:
                name = f"{pod['metadata']['name']}-{volume['name']}"
            if name:
                found[pod["metadata"]["namespace"], name] = node
    return found


def volumes_of(summary: Object) -> dict[Claim, Object]:
    """What a kubelet's summary says of volumes that are claims."""
    found: dict[Claim, Object] = {}
    for pod in summary.get("pods") or []:
        for volume in pod.get("volume") or []:
            reference = volume.get("pvcRef")
            if reference and volume.get("capacityBytes"):
                found[reference["namespace"], reference["name"]] = volume
    return found


def _key(item: Object) -> Claim:
    return item["metadata"]["namespace"], item["metadata"]["name"]


def _free(volume: Object) -> float:
    return _share(volume.get("availableBytes"), volume.get("capacityBytes"))


def _share(part: t.Any, whole: t.Any) -> float:
    """In per cent; some file systems have no fixed number of inodes and say 0."""
    return 100.0 * float(part or 0) / float(whole) if whole else 100.0


KUBERNETES_VOLUMES = Kind(
    name="kubernetes_volumes",
    options={
        **SCOPE,
        "usage": Option(boolean, default=True),
        "free_percent": Option(percentage, default=10.0),
        "warning_percent": Option(percentage, default=20.0),
    },
    prepare=VolumesCheck,
    target=scope_of,
)
