# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is looked at for which alert, the most telling first: what does not fit into the archive is left out from the end."""

from __future__ import annotations

import typing as t

ALL = "all"
_CHANGES = ("recent_changes",)
_MONITORING = ("prometheus_alerts", "prometheus_targets")
_WORKLOADS = ("kubernetes_pods", "kubernetes_workloads", "kubernetes_events")
_LOGS = ("kubernetes_previous_logs", "kubernetes_logs", "host_logs")
_HOST = ("host_load", "host_processes", "host_memory")
_QUERIES = ("postgresql_activity", "postgresql_locks", "postgresql_statements")

#: By alert, the collectors' names.
ALERTS: dict[str, tuple[str, ...]] = {
    "service_down": (
        *_WORKLOADS,
        "kubernetes_rollouts",
        "kubernetes_network",
        "kubernetes_nodes",
        *_CHANGES,
        *_MONITORING,
        "host_processes",
        "host_sockets",
        *_LOGS,
    ),
    "crash_loop": (
        *_WORKLOADS,
        "kubernetes_rollouts",
        *_CHANGES,
        "kubernetes_usage",
        "host_memory",
        "host_processes",
        *_LOGS,
    ),
    "high_latency": (
        *_QUERIES,
        *_MONITORING,
        "kubernetes_usage",
        *_WORKLOADS,
        "kubernetes_rollouts",
        "kubernetes_network",
        *_CHANGES,
        *_HOST,
        "host_sockets",
        "postgresql_sizes",
        "postgresql_settings",
        *_LOGS,
    ),
    "database_down": (
        "postgresql_server",
        "host_disks",
        "postgresql_activity",
        *_CHANGES,
        "postgresql_replication",
        "postgresql_settings",
        *_WORKLOADS,
        "kubernetes_volumes",
        "host_processes",
        "host_memory",
        "host_sockets",
        *_MONITORING,
        *_LOGS,
    ),
    "database_slow": (
        *_QUERIES,
        "postgresql_sizes",
        "postgresql_replication",
        "postgresql_settings",
        "postgresql_server",
        *_CHANGES,
        *_HOST,
        "host_disks",
        "kubernetes_usage",
        "prometheus_alerts",
        "host_logs",
    ),
    "high_cpu": (
        "host_load",
        "host_processes",
        "kubernetes_usage",
        "kubernetes_pods",
        "kubernetes_workloads",
        "kubernetes_nodes",
        *_QUERIES,
        *_CHANGES,
        *_MONITORING,
        "host_logs",
    ),
    "high_memory": (
        "host_memory",
        "host_processes",
        "kubernetes_usage",
        *_WORKLOADS,
        "kubernetes_nodes",
        "postgresql_activity",
        "postgresql_settings",
        *_CHANGES,
        *_MONITORING,
        *_LOGS,
    ),
    "disk_full": (
        "host_disks",
        "host_space",
        "kubernetes_volumes",
        "kubernetes_nodes",
        "postgresql_sizes",
        "postgresql_replication",
        *_CHANGES,
        "prometheus_alerts",
        "host_processes",
        "host_logs",
    ),
    "certificate_expiring": (
        "kubernetes_certificates",
        "kubernetes_network",
        "kubernetes_events",
        *_CHANGES,
        *_MONITORING,
        "host_logs",
    ),
    "backup_failed": (
        *_CHANGES,
        "host_disks",
        "host_space",
        "postgresql_activity",
        "postgresql_replication",
        "postgresql_sizes",
        "kubernetes_workloads",
        "kubernetes_volumes",
        "kubernetes_events",
        "host_processes",
        "prometheus_alerts",
        "postgresql_server",
        "host_logs",
    ),
    "slo_burn": (
        *_MONITORING,
        *_CHANGES,
        "kubernetes_rollouts",
        *_WORKLOADS,
        "kubernetes_usage",
        *_QUERIES,
        *_HOST,
        "host_sockets",
        *_LOGS,
    ),
}


def collectors_for(alert: str, available: t.Iterable[str]) -> list[str]:
    """Which of the available collectors run, the most telling first. ``all`` runs every one.

    :arg available: names, as the sources that are given make them.
    """
    there = list(available)
    if alert == ALL:
        order = list(dict.fromkeys(name for names in ALERTS.values() for name in names))
        return [name for name in order if name in there]
    return [name for name in ALERTS[alert] if name in there]
