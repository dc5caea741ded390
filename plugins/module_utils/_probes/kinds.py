# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every kind of probe by its name, and what the probes of one call share."""

from __future__ import annotations

import ssl
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._mistakes import Mistakes
from ansible_collections.sre.runbooks.plugins.module_utils._probes.alertmanager import ALERTMANAGER
from ansible_collections.sre.runbooks.plugins.module_utils._probes.blast_radius import BLAST_RADIUS
from ansible_collections.sre.runbooks.plugins.module_utils._probes.command import COMMAND
from ansible_collections.sre.runbooks.plugins.module_utils._probes.credential_age import CREDENTIAL_AGE
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    PLACE,
    Kind,
    Probe,
    declare,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.disk import DISK
from ansible_collections.sre.runbooks.plugins.module_utils._probes.dns import DNS
from ansible_collections.sre.runbooks.plugins.module_utils._probes.elasticsearch import ELASTICSEARCH
from ansible_collections.sre.runbooks.plugins.module_utils._probes.encryption import ENCRYPTION
from ansible_collections.sre.runbooks.plugins.module_utils._probes.engine import Turnstile
from ansible_collections.sre.runbooks.plugins.module_utils._probes.file_age import FILE_AGE
from ansible_collections.sre.runbooks.plugins.module_utils._probes.http import HTTP
from ansible_collections.sre.runbooks.plugins.module_utils._probes.http_connection import Connections
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kafka import KAFKA
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kubernetes import ApiSession
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kubernetes_api import KUBERNETES_API
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kubernetes_autoscalers import KUBERNETES_AUTOSCALERS
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kubernetes_certificates import (
    KUBERNETES_CERTIFICATES,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kubernetes_events import KUBERNETES_EVENTS
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kubernetes_ingresses import KUBERNETES_INGRESSES
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kubernetes_logs import KUBERNETES_LOGS
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kubernetes_nodes import KUBERNETES_NODES
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kubernetes_pods import KUBERNETES_PODS
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kubernetes_resources import KUBERNETES_RESOURCES
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kubernetes_restarts import KUBERNETES_RESTARTS
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kubernetes_services import KUBERNETES_SERVICES
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kubernetes_volumes import KUBERNETES_VOLUMES
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kubernetes_workloads import KUBERNETES_WORKLOADS
from ansible_collections.sre.runbooks.plugins.module_utils._probes.mysql import MYSQL
from ansible_collections.sre.runbooks.plugins.module_utils._probes.ping import PING
from ansible_collections.sre.runbooks.plugins.module_utils._probes.pitr_passphrase import PITR_PASSPHRASE
from ansible_collections.sre.runbooks.plugins.module_utils._probes.postgresql import POSTGRESQL
from ansible_collections.sre.runbooks.plugins.module_utils._probes.postgresql_archive import POSTGRESQL_ARCHIVE
from ansible_collections.sre.runbooks.plugins.module_utils._probes.postgresql_connections import POSTGRESQL_CONNECTIONS
from ansible_collections.sre.runbooks.plugins.module_utils._probes.postgresql_replication import POSTGRESQL_REPLICATION
from ansible_collections.sre.runbooks.plugins.module_utils._probes.postgresql_transactions import (
    POSTGRESQL_TRANSACTIONS,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.process import PROCESS
from ansible_collections.sre.runbooks.plugins.module_utils._probes.prometheus import PROMETHEUS
from ansible_collections.sre.runbooks.plugins.module_utils._probes.promql import PROMQL
from ansible_collections.sre.runbooks.plugins.module_utils._probes.recovery_point import RECOVERY_POINT
from ansible_collections.sre.runbooks.plugins.module_utils._probes.redis import REDIS
from ansible_collections.sre.runbooks.plugins.module_utils._probes.s3 import S3
from ansible_collections.sre.runbooks.plugins.module_utils._probes.scheduled_run import SCHEDULED_RUN
from ansible_collections.sre.runbooks.plugins.module_utils._probes.smtp import SMTP
from ansible_collections.sre.runbooks.plugins.module_utils._probes.systemd_unit import SYSTEMD_UNIT
from ansible_collections.sre.runbooks.plugins.module_utils._probes.tcp import TCP
from ansible_collections.sre.runbooks.plugins.module_utils._probes.tls import TLS
from ansible_collections.sre.runbooks.plugins.module_utils._probes.websocket import WEBSOCKET
from ansible_collections.sre.runbooks.plugins.module_utils._tls import tls_context

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        HTTP,
        WEBSOCKET,
        TCP,
        TLS,
        DNS,
        PING,
        SMTP,
        POSTGRESQL,
        POSTGRESQL_ARCHIVE,
        POSTGRESQL_CONNECTIONS,
        POSTGRESQL_REPLICATION,
        POSTGRESQL_TRANSACTIONS,
        MYSQL,
        REDIS,
        ELASTICSEARCH,
        KAFKA,
        S3,
        PITR_PASSPHRASE,
        RECOVERY_POINT,
        SCHEDULED_RUN,
        ENCRYPTION,
        BLAST_RADIUS,
        DISK,
        PROMQL,
        PROMETHEUS,
        ALERTMANAGER,
        PROCESS,
        FILE_AGE,
        SYSTEMD_UNIT,
        CREDENTIAL_AGE,
        COMMAND,
        KUBERNETES_API,
        KUBERNETES_AUTOSCALERS,
        KUBERNETES_CERTIFICATES,
        KUBERNETES_EVENTS,
        KUBERNETES_INGRESSES,
        KUBERNETES_LOGS,
        KUBERNETES_NODES,
        KUBERNETES_PODS,
        KUBERNETES_RESOURCES,
        KUBERNETES_RESTARTS,
        KUBERNETES_SERVICES,
        KUBERNETES_VOLUMES,
        KUBERNETES_WORKLOADS,
    )
}


class Session:
    """Connections, TLS contexts and turnstiles of one call. Close it in the event loop that used it."""

    def __init__(
        self,
        repository: str | None = None,
        environment_name: str | None = None,
        s3: dict[str, t.Any] | None = None,
        environment_components: t.Sequence[str] = (),
    ) -> None:
        self.repository = repository
        self.environment_name = environment_name
        self.s3 = s3
        self.environment_components = tuple(environment_components)
        self.connections = Connections()
        self._turnstiles: dict[t.Any, Turnstile] = {}
        self._contexts: dict[t.Any, ssl.SSLContext] = {}
        self._clusters: dict[t.Any, ApiSession] = {}

    def turnstile(self, target: t.Any, places: int = 64, most: int | None = None) -> Turnstile:
        """The one of that target."""
        if target not in self._turnstiles:
            self._turnstiles[target] = Turnstile(places, most=most)
        return self._turnstiles[target]

    def tls_context(self, options: dict[str, t.Any]) -> ssl.SSLContext:
        """One context for probes with the same TLS options. Raises InvalidInput for unusable files."""
        key = tuple(options[name] for name in ("validate_certs", "ca_cert", "client_cert", "client_key"))
        if key not in self._contexts:
            self._contexts[key] = tls_context(options)
        return self._contexts[key]

    def kubernetes(self, options: dict[str, t.Any]) -> ApiSession:
        """The one of that cluster and identity; nothing is asked of it yet."""
        key = tuple(sorted((name, value) for name, value in options.items() if value is not None))
        if key not in self._clusters:
            self._clusters[key] = ApiSession(options)
        return self._clusters[key]

    def close(self) -> None:
        self.connections.close()
        for cluster in self._clusters.values():
            cluster.close()


def declare_all(declarations: t.Sequence[t.Any], session: Session) -> list[Probe]:
    """Check every declaration before anything runs. Raises InvalidInput for all that is wrong in any of them."""
    probes: list[Probe] = []
    problems: list[InvalidInput] = []
    for position, raw in enumerate(declarations, start=1):
        try:
            probes.append(declare(raw, position, KINDS, session))
        except Mistakes as error:
            problems += error.problems
        except InvalidInput as error:
            problems.append(error)
    if problems:
        raise Mistakes(problems, PLACE)
    return probes
