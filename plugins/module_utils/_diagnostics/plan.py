# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which collectors there are for the sources that a module was given, and what must not be seen of those."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible.module_utils.common.text.formatters import human_to_bytes

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_time, now, parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics import (
    host,
    host_space,
    log_files,
    postgresql_server,
    recent_changes,
)
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.alerts import collectors_for
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.gathering import Collector, gather
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.kubernetes import Scope
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.masking import Masker
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.part import Part
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.postgresql import Server
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.prometheus import Prometheus
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput

_LONGEST_S = 3600.0


@dataclasses.dataclass
class Plan:
    """What would be looked at. Nothing has been asked yet. :ivar collectors: in their order."""

    component: str
    alert: str
    time_limit_s: float
    item_limit: int
    total_limit: int
    masker: Masker
    collectors: list[Collector]
    scope: Scope | None

    def carry_out(self, show: t.Callable[[str], None]) -> Part:
        """Look. :arg show: told now and then who is waited for."""
        started = now()
        try:
            found = gather(self.collectors, self.masker, self.time_limit_s, self.item_limit, self.total_limit, show)
        finally:
            if self.scope is not None:
                self.scope.close()
        took = (now() - started).total_seconds()
        return Part(self.component, self.alert, os.uname().nodename, format_time(started), took, found)


def plan(params: t.Mapping[str, t.Any]) -> Plan:
    """The plan for the options of ``sre.runbooks.diagnostics``. Raises :class:`InvalidInput`."""
    since_s, time_limit_s = _duration(params, "since"), _duration(params, "time_limit")
    if not 1 <= time_limit_s <= _LONGEST_S:
        raise InvalidInput(
            "the time limit is not usable",
            component=params["component"],
            expected="from 1 s to 1 h",
            found=f"time_limit {params['time_limit']}",
            next_command="correct diagnostics_time_limit in the inventory, then: the same command without -e diagnostics_time_limit",
        )
    item_limit, total_limit = _size(params, "item_limit"), _size(params, "total_limit")
    if item_limit < 1024 or total_limit < item_limit:
        raise InvalidInput(
            "the limits are not usable",
            component=params["component"],
            expected="diagnostics_item_limit at least 1 KiB, diagnostics_total_limit at least as much",
            found=f"diagnostics_item_limit {params['item_limit']}, diagnostics_total_limit {params['total_limit']}",
            next_command="correct diagnostics_item_limit and diagnostics_total_limit in the inventory, then:"
            " the same command without -e diagnostics_item_limit -e diagnostics_total_limit",
        )
    available: list[Collector] = []
    scope = None
    if params["host_state"]:
        available += [*host.collectors(), *host_space.collectors(params["directories"])]
    if params["log_files"]:
        available.append(log_files.collector(params["log_files"]))
    if params["postgresql"]:
        available += Server(params).collectors()
        if params["host_state"] and (params["transport"] or {}).get("kind") != "kubernetes":
            available.append(postgresql_server.collector(params))
    if params["kubernetes"]:
        scope = Scope(params["kubernetes"], since_s)
        available += scope.collectors()
    if params["prometheus"]:
        available += Prometheus(params["prometheus"]).collectors()
    if params["repository"] and params["environment_name"]:
        available.append(recent_changes.collector(params, params["component"], since_s))
    by_name = {collector.name: collector for collector in available}
    chosen = [by_name[name] for name in collectors_for(params["alert"], by_name)]
    if not chosen:
        raise InvalidInput(
            f"nothing is looked at for alert {params['alert']}",
            component=params["component"],
            expected="a source that tells of it: host_state, log_files, postgresql, kubernetes, prometheus or repository",
            found=f"collectors {', '.join(by_name) or 'none'}",
            next_command="the same command with -e alert=all",
        )
    return Plan(
        component=params["component"],
        alert=params["alert"],
        time_limit_s=time_limit_s,
        item_limit=item_limit,
        total_limit=total_limit,
        masker=Masker(secrets_in(params)),
        collectors=chosen,
        scope=scope,
    )


def _duration(params: t.Mapping[str, t.Any], name: str) -> float:
    try:
        return parse_duration(params[name])
    except InvalidInput as error:
        raise InvalidInput(
            f"{name} is {error.message}",
            component=params["component"],
            expected=error.expected,
            found=error.found,
            next_command=f"correct diagnostics_{name} in the inventory, then: the same command without -e diagnostics_{name}",
        ) from None


def _size(params: t.Mapping[str, t.Any], name: str) -> int:
    """In bytes."""
    try:
        return int(human_to_bytes(params[name]))
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"diagnostics_{name} is not a size",
            component=params["component"],
            expected="bytes, or such as 256K or 16M",
            found=repr(params[name]),
            next_command=f"correct diagnostics_{name} in the inventory, then: the same command without -e diagnostics_{name}",
        ) from None


def secrets_in(params: t.Mapping[str, t.Any]) -> set[str]:
    """The values of these options that nobody may see, those in the files that they name included."""
    kubernetes, prometheus = params["kubernetes"] or {}, params["prometheus"] or {}
    s3, transport = params["s3"] or {}, params["transport"] or {}
    given = [params["login_password"], prometheus.get("password"), s3.get("secret_key"), s3.get("session_token")]
    given += [kubernetes.get("api_key"), transport.get("api_key"), prometheus.get("bearer_token")]
    files = [params["login_password_file"], prometheus.get("password_file"), prometheus.get("bearer_token_file")]
    files += [kubernetes.get("api_key_file"), transport.get("api_key_file")]
    return {value for value in [*given, *map(_content, files)] if value}


def _content(path: str | None) -> str:
    """What a file with a secret holds; nothing when it cannot be read, which its collector says."""
    if not path:
        return ""
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as file:
            return file.read(65536).strip()
    except (OSError, UnicodeDecodeError):
        return ""
