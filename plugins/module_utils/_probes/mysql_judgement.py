# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong in what a MySQL or MariaDB server says of itself. Nothing is asked here."""

from __future__ import annotations

import dataclasses
import fnmatch
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration
from ansible_collections.sre.runbooks.plugins.module_utils._probes.findings import Finding
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

_LISTED = 20
_LOOK_TRANSACTIONS = "SELECT * FROM information_schema.innodb_trx ORDER BY trx_started LIMIT 20"


@dataclasses.dataclass(frozen=True)
class Channel:
    """From one source. ``lag_s``: None while its threads do not run. Of errors only the numbers: texts quote data."""

    name: str
    source: str
    receives: str
    applies: str
    lag_s: int | None
    receive_error: int
    apply_error: int


@dataclasses.dataclass(frozen=True)
class Transaction:
    """An open one. ``idle``: it waits for its client; ``state_s``: seconds since it began its statement, or to wait."""

    connection: int
    user: str
    host: str
    database: str
    idle: bool
    open_s: int
    state_s: int

    @classmethod
    def of(cls, row: t.Sequence[t.Any]) -> Transaction:
        """A row of innodb_trx and processlist; of one that is gone meanwhile, or was prepared, little is known."""
        connection, user, host, database, idle, open_s, state_s = row
        return cls(
            int(connection), user or "", host or "", database or "", bool(idle), int(open_s or 0), int(state_s or 0)
        )

    @property
    def name(self) -> str:
        """Who it is."""
        if not self.user:
            return f"connection {self.connection}"
        return f"connection {self.connection} (user {self.user} from {self.host}, database {self.database or 'none'})"


@dataclasses.dataclass
class State:
    """What a look found; what was not looked at is empty."""

    version: str
    connections: int
    limit: int
    read_only: bool
    #: None: nobody may tell us.
    channels: list[Channel] | None = dataclasses.field(default_factory=list)
    replicas: int | None = 0
    transactions: list[Transaction] = dataclasses.field(default_factory=list)
    #: What connections do, in the server's words, to how many do it; "hidden" are those that we may not see.
    states: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def role(self) -> str:
        if self.channels is None:
            return "unknown"
        return "replica" if self.channels else "primary"

    @property
    def look(self) -> str:
        """The statement that shows replication; each server knows only its own."""
        return "SHOW ALL SLAVES STATUS" if "MariaDB" in self.version else "SHOW REPLICA STATUS"

    @property
    def percent(self) -> float:
        return 100.0 * self.connections / self.limit if self.limit else 100.0


def channel(row: t.Mapping[str, t.Any]) -> Channel:
    """A row of SHOW SLAVE STATUS, under the names that it has had for long."""
    lag = row.get("Seconds_Behind_Master")
    return Channel(
        name=str(row.get("Connection_name") or row.get("Channel_Name") or ""),
        source=f"{row.get('Master_Host')}:{row.get('Master_Port')}",
        receives=str(row.get("Slave_IO_Running")),
        applies=str(row.get("Slave_SQL_Running")),
        lag_s=None if lag is None else int(lag),
        receive_error=int(row.get("Last_IO_Errno") or 0),
        apply_error=int(row.get("Last_SQL_Errno") or 0),
    )


def measured(state: State) -> str:
    role = "of an unknown role" if state.channels is None else state.role
    found = f"{role}, {state.connections} of {counted(state.limit, 'connection')} ({state.percent:.1f} %)"
    if state.states:
        found += f": {_told(state.states)}"
    lags = [one.lag_s for one in state.channels or [] if one.lag_s is not None]
    if lags:
        found += f", {format_duration(max(lags))} behind"
    if state.transactions:
        oldest = format_duration(max(one.open_s for one in state.transactions))
        found += f", {counted(len(state.transactions), 'open transaction')}, the oldest for {oldest}"
    return found


def _told(states: t.Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in states.items())


def values_of(state: State) -> dict[str, t.Any]:
    return {
        "role": state.role,
        "version": state.version,
        "read_only": state.read_only,
        "connections": state.connections,
        "connections_limit": state.limit,
        "connections_percent": round(state.percent, 2),
        "connections_by_state": state.states,
        "channels": [dataclasses.asdict(one) for one in state.channels or []],
        "replicas": state.replicas,
        "transactions": [dataclasses.asdict(one) for one in state.transactions[:_LISTED]],
    }


def judge(state: State, options: t.Mapping[str, t.Any], command: t.Callable[[str], str]) -> t.Iterator[Finding]:
    """Everything that is not as the probe's options want it.

    :arg command: makes the client's command line of a statement, for hints.
    """
    if state.channels is not None and options["role"] not in ("any", state.role):
        yield Finding("failed", "role", f"it is a {state.role}", command(state.look))
    words = f"{state.connections} of {state.limit} are in use" + (f" ({_told(state.states)})" if state.states else "")
    processes = command("SHOW PROCESSLIST")
    if state.percent >= options["connections_percent"]:
        yield Finding("failed", "connections", words, processes)
    elif state.percent >= options["connections_warning"]:
        yield Finding("warning", "connections", words, processes)
    for one in state.channels or []:
        yield from _replication(one, options, command(state.look))
    if options["replication"] and state.replicas is not None and state.replicas < options["replicas"]:
        found = counted(state.replicas, "replica is", "replicas are")
        yield Finding("failed", "replication", f"{found} connected, not {options['replicas']}", processes)
    for open_one in state.transactions:
        yield from _transaction(open_one, options, command(_LOOK_TRANSACTIONS))


def _replication(one: Channel, options: t.Mapping[str, t.Any], hint: str) -> t.Iterator[Finding]:
    thing = f"replication {one.name} from {one.source}" if one.name else f"replication from {one.source}"
    stopped = False
    for what, running, error in (
        ("receives nothing", one.receives, one.receive_error),
        ("applies nothing", one.applies, one.apply_error),
    ):
        if running != "Yes":
            stopped = True
            because = f" (error {error})" if error else f" ({running})"
            yield Finding("failed", thing, what + because, hint)
    if stopped:
        return
    if one.lag_s is None:
        yield Finding("unknown", thing, "how far it is behind is not known", hint)
    elif one.lag_s > options["lag_limit"]:
        yield Finding("failed", thing, f"{format_duration(one.lag_s)} behind", hint)
    elif one.lag_s > options["lag_warning"]:
        yield Finding("warning", thing, f"{format_duration(one.lag_s)} behind", hint)


def _transaction(one: Transaction, options: t.Mapping[str, t.Any], hint: str) -> t.Iterator[Finding]:
    if any(fnmatch.fnmatchcase(one.user, pattern) for pattern in options["ignore"]):
        return
    limit = options["transaction_limit"]
    words = f"open for {format_duration(one.open_s)}"
    if one.idle:
        words += f", idle in it for {format_duration(one.state_s)}"
    if limit is not None and one.open_s >= limit:
        yield Finding("failed", one.name, words, hint)
    elif one.open_s >= options["transaction_warning"] or (one.idle and one.state_s >= options["idle_warning"]):
        yield Finding("warning", one.name, words, hint)
