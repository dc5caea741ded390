# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kubernetes_certificates kind: days that certificates in Secrets and of cert-manager are still valid.

Of a Secret only the certificate is looked at; its key is in no value, message or error, and is not kept.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_time
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput, missing_library
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.workloads import condition
from ansible_collections.sre.runbooks.plugins.module_utils._probes.certificate import moment
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Kind,
    Option,
    Reading,
    names,
    number,
)
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

_SOURCES = ("secrets", "cert_manager")
_LISTED = 50


def _sources(value: t.Any) -> tuple[str, ...]:
    found = names(value)
    if not found or set(found) - set(_SOURCES):
        raise ValueError(f"some of {', '.join(_SOURCES)} are expected")
    return found


class CertificatesCheck(KubernetesCheck):
    libraries: tuple[str, ...] = (*KubernetesCheck.libraries, "cryptography.x509")

    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(options, session)
        self._days: float = options["days"]
        self._warning: float = options["warning_days"]
        self._sources: tuple[str, ...] = options["sources"]
        where = " and ".join({"secrets": "Secrets", "cert_manager": "cert-manager"}[source] for source in self._sources)
        self.expected = f"certificates of {where} that are valid for {self._days:g} more days"
        self.hint = self.kubectl("get certificates" if "cert_manager" in self._sources else "get secrets")

    def look(self) -> Reading:
        findings: list[Finding] = []
        #: Names and the moments at which they end; of a Secret and its Certificate only one.
        ends: dict[str, datetime.datetime] = {}
        if "cert_manager" in self._sources:
            for item in self._certificates():
                place = f"{item['metadata']['namespace']}/{item['spec'].get('secretName') or item['metadata']['name']}"
                ready = condition(item, "Ready")
                if ready.get("status") != "True":
                    words = f"{ready.get('reason') or 'not ready'}: {ready.get('message') or 'no condition yet'}"[:300]
                    findings.append(Finding("failed", named(item, "Certificate"), words))
                until = (item.get("status") or {}).get("notAfter")
                if until:
                    ends[place] = parse_time(until)
        if "secrets" in self._sources:
            self._look_at_secrets(ends, findings)
        now = self._api.cluster.now()
        left = {place: (end - now).total_seconds() / 86400 for place, end in ends.items()}
        for place, days in left.items():
            if days < max(self._warning, self._days):
                words = f"ended {-days:.1f} days ago" if days < 0 else f"ends in {days:.1f} days"
                findings.append(Finding("failed" if days < self._days else "warning", place, words))
        measured = counted(len(left), "certificate")
        if left:
            soonest = min(left, key=lambda place: left[place])
            measured += f", the first, {soonest}, ends in {left[soonest]:.1f} days"
        listed = sorted(left.items(), key=lambda pair: pair[1])[:_LISTED]
        return self.sum_up(measured, findings, certificates=len(left), days_left={k: round(v, 2) for k, v in listed})

    def _certificates(self) -> list[Object]:
        from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import NotFound

        try:
            return [item for item in self._list("/apis/cert-manager.io/v1", "certificates") if not self._ignored(item)]
        except NotFound:
            return []  # a cluster without cert-manager

    def _look_at_secrets(self, ends: dict[str, datetime.datetime], findings: list[Finding]) -> None:
        from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import Forbidden
        from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.paging import list_path

        middle = f"/namespaces/{self._namespace}" if self._namespace else ""
        query = {"fieldSelector": "type=kubernetes.io/tls", "labelSelector": self._selector}
        try:
            # Not through the session's lists, which keep what they saw.
            for item in list_path(self._api.cluster, f"/api/v1{middle}/secrets", query):
                if self._ignored(item):
                    continue
                try:
                    ends[named(item)] = end_of((item.get("data") or {}).get("tls.crt"))
                except InvalidInput as error:
                    findings.append(Finding("failed", named(item, "Secret"), error.message))
        except Forbidden:
            words = "this identity may not read them; sources: cert_manager does without"
            findings.append(Finding("unknown", "Secrets", words))


def end_of(encoded: t.Any) -> datetime.datetime:
    """When the first certificate of a chain ends, which is the server's own. Raises InvalidInput that quotes nothing."""
    try:
        import cryptography.x509
    except ImportError as error:
        raise missing_library("cryptography", "cryptography 38 or newer", error) from None
    try:
        pem = base64.b64decode(encoded or "", validate=True)
        certificate = cryptography.x509.load_pem_x509_certificate(pem)
    except (ValueError, TypeError, binascii.Error):
        raise InvalidInput("its tls.crt is no certificate") from None
    return moment(certificate, "not_valid_after")


KUBERNETES_CERTIFICATES = Kind(
    name="kubernetes_certificates",
    options={
        **SCOPE,
        "days": Option(number, default=7.0),
        "warning_days": Option(number, default=21.0),
        "sources": Option(_sources, default=_SOURCES),
    },
    prepare=CertificatesCheck,
    target=scope_of,
)
