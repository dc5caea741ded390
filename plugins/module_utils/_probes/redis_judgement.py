# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong in what a Redis server says of itself (INFO). Nothing is asked here."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration
from ansible_collections.sre.runbooks.plugins.module_utils._probes.disk import in_units
from ansible_collections.sre.runbooks.plugins.module_utils._probes.findings import Finding
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

Info = t.Mapping[str, t.Any]
#: What the protocol still calls its roles.
_ROLES = {"master": "primary", "slave": "replica"}


def role_of(info: Info) -> str:
    return _ROLES.get(str(info.get("role")), str(info.get("role")))


def memory_percent(info: Info) -> float | None:
    """How much of maxmemory is used; None where there is no limit."""
    limit = int(info.get("maxmemory", 0))
    return 100.0 * int(info.get("used_memory", 0)) / limit if limit else None


def replicas_of(info: Info) -> list[dict[str, t.Any]]:
    """Those that a primary knows. ``lag_s``: seconds since a replica last acknowledged; ``behind``: in bytes."""
    offset = int(info.get("master_repl_offset", 0))
    return [
        {
            "address": f"{item.get('ip')}:{item.get('port')}",
            "state": str(item.get("state")),
            "lag_s": int(item.get("lag", 0)),
            "behind_bytes": max(0, offset - int(item.get("offset", 0))),
        }
        for key, item in sorted(info.items())
        if key.startswith("slave") and key[5:].isdigit() and isinstance(item, dict)
    ]


def measured(info: Info) -> str:
    percent = memory_percent(info)
    used = in_units(int(info.get("used_memory", 0)))
    memory = f"{used} used, no maxmemory" if percent is None else f"{used} used ({percent:.1f} % of maxmemory)"
    role = role_of(info)
    followers = f" with {counted(len(replicas_of(info)), 'replica')}" if role == "primary" else ""
    return f"{role}{followers}, {memory}, {counted(int(info.get('connected_clients', 0)), 'client')}"


def values_of(info: Info) -> dict[str, t.Any]:
    percent = memory_percent(info)
    values = {
        "role": role_of(info),
        "version": str(info.get("valkey_version") or info.get("redis_version")),
        "used_memory_bytes": int(info.get("used_memory", 0)),
        "maxmemory_bytes": int(info.get("maxmemory", 0)),
        "memory_percent": None if percent is None else round(percent, 2),
        "evicted_keys": int(info.get("evicted_keys", 0)),
        "rejected_connections": int(info.get("rejected_connections", 0)),
        "connected_clients": int(info.get("connected_clients", 0)),
        "replicas": replicas_of(info),
    }
    if values["role"] == "replica":
        values["link"] = str(info.get("master_link_status"))
        values["lag_s"] = _lag(info)
    return values


def judge(
    info: Info, grown: t.Mapping[str, int], seconds: float, options: t.Mapping[str, t.Any], command: str
) -> list[Finding]:
    """Everything that is not as the probe's options want it.

    :arg grown: by how much the counters grew while we looked, for so many ``seconds`` (0: one look only).
    :arg command: redis-cli with the server's address, for hints.
    """
    findings: list[Finding] = []
    if int(info.get("loading", 0)):
        findings.append(Finding("failed", "persistence", "it still loads its data", f"{command} INFO persistence"))
    role = role_of(info)
    if options["role"] not in ("any", role):
        findings.append(Finding("failed", "role", f"it is a {role}", f"{command} ROLE"))
    findings += _memory(info, grown, seconds, options, command)
    findings += _connections(info, grown, options, command)
    findings += _persistence(info, options, command)
    findings += _replica(info, options, command) if role == "replica" else _primary(info, options, command)
    return findings


def _memory(
    info: Info, grown: t.Mapping[str, int], seconds: float, options: t.Mapping[str, t.Any], command: str
) -> t.Iterator[Finding]:
    hint = f"{command} --bigkeys"
    percent = memory_percent(info)
    if percent is not None and percent >= options["memory_percent"]:
        yield Finding("failed", "memory", f"{percent:.1f} % of maxmemory is used", hint)
    elif percent is not None and percent >= options["memory_warning"]:
        yield Finding("warning", "memory", f"{percent:.1f} % of maxmemory is used", hint)
    rate = grown["evicted_keys"] / seconds if seconds else 0.0
    if rate > options["evictions"]:
        yield Finding("warning", "evictions", f"{rate:.1f} keys a second are evicted", f"{command} INFO stats")


def _connections(
    info: Info, grown: t.Mapping[str, int], options: t.Mapping[str, t.Any], command: str
) -> t.Iterator[Finding]:
    hint = f"{command} CLIENT LIST"
    limit, clients = int(info.get("maxclients", 0)), int(info.get("connected_clients", 0))
    percent = 100.0 * clients / limit if limit else 0.0
    words = f"{clients} of {limit} connections are in use"
    if limit and percent >= options["connections_percent"]:
        yield Finding("failed", "connections", words, hint)
    elif limit and percent >= options["connections_warning"]:
        yield Finding("warning", "connections", words, hint)
    if grown["rejected_connections"]:
        words = (
            f"{counted(grown['rejected_connections'], 'connection was', 'connections were')} rejected while we looked"
        )
        yield Finding("failed", "connections", words, hint)


def _persistence(info: Info, options: t.Mapping[str, t.Any], command: str) -> t.Iterator[Finding]:
    hint = f"{command} INFO persistence"
    for key, what in (
        ("rdb_last_bgsave_status", "the last save failed"),
        ("aof_last_write_status", "the last write of the append-only file failed"),
        ("aof_last_bgrewrite_status", "the last rewrite of the append-only file failed"),
    ):
        if str(info.get(key, "ok")) != "ok":
            yield Finding("failed", "persistence", what, hint)
    changes = int(info.get("rdb_changes_since_last_save", 0))
    if options["save_age"] is not None and changes:
        # The server's clock: its uptime and times are all its own, so ours need not agree with it.
        now = int(info.get("server_time_usec", 0)) / 1e6 or time.time()
        age = now - int(info.get("rdb_last_save_time", 0))
        if age > options["save_age"]:
            words = f"{counted(changes, 'change')} not saved for {format_duration(age)}"
            yield Finding("failed", "persistence", words, hint)


def _lag(info: Info) -> int | None:
    """Seconds since the primary was last heard; None where the link is down."""
    seconds = int(info.get("master_last_io_seconds_ago", -1))
    return None if seconds < 0 else seconds


def _replica(info: Info, options: t.Mapping[str, t.Any], command: str) -> t.Iterator[Finding]:
    hint = f"{command} INFO replication"
    primary = f"{info.get('master_host')}:{info.get('master_port')}"
    if str(info.get("master_link_status")) != "up":
        down = format_duration(max(0, int(info.get("master_link_down_since_seconds", 0))))
        doing = ", it copies everything anew" if int(info.get("master_sync_in_progress", 0)) else ""
        yield Finding("failed", "replication", f"the link to {primary} is down for {down}{doing}", hint)
        return
    lag = _lag(info)
    if lag is None or lag > options["lag_limit"]:
        silence = "never heard" if lag is None else f"not heard for {format_duration(lag)}"
        yield Finding("failed", "replication", f"{primary} was {silence}", hint)


def _primary(info: Info, options: t.Mapping[str, t.Any], command: str) -> t.Iterator[Finding]:
    hint = f"{command} INFO replication"
    replicas = replicas_of(info)
    late = [item for item in replicas if item["state"] == "online" and item["lag_s"] > options["lag_limit"]]
    absent = [item for item in replicas if item["state"] != "online"]
    for item in late:
        words = f"{item['address']} lags {format_duration(item['lag_s'])} ({in_units(item['behind_bytes'])}) behind"
        yield Finding("failed", "replication", words, hint)
    for item in absent:
        yield Finding("warning", "replication", f"{item['address']} is in state {item['state']}", hint)
    in_step = len(replicas) - len(late) - len(absent)
    if in_step < options["replicas"]:
        words = f"{counted(in_step, 'replica is', 'replicas are')} in step, not {options['replicas']}"
        yield Finding("failed", "replication", words, hint)
