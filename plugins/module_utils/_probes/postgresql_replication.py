# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The postgresql_replication kind: of a primary its standbys and slots, of a standby how far behind it replays."""

from __future__ import annotations

import dataclasses
import fnmatch
import shlex
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration, parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Kind,
    Option,
    Reading,
    boolean,
    choice,
    integer,
    names,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.disk import in_units, size
from ansible_collections.sre.runbooks.plugins.module_utils._probes.findings import Finding, sum_up, with_hints
from ansible_collections.sre.runbooks.plugins.module_utils._probes.postgresql_connection import (
    CONNECTION,
    PostgresqlQuestion,
    place,
)
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

# A base backup is a sender too, and no standby. On a standby, the position is that of what it received.
_STANDBYS = """
SELECT coalesce(application_name, ''), coalesce(host(client_addr), 'a socket'), coalesce(state, 'hidden'),
    coalesce(sync_state, ''), extract(epoch FROM replay_lag)::float8,
    pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END,
        replay_lsn)::float8
FROM pg_stat_replication WHERE state IS DISTINCT FROM 'backup' ORDER BY 1, 2
"""
_SLOTS = """
SELECT slot_name, active, coalesce(wal_status, ''),
    pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END,
        restart_lsn)::float8
FROM pg_replication_slots WHERE NOT temporary ORDER BY 1
"""
# Nothing new to replay is no lag, however old the last transaction is.
_STANDBY = """
SELECT pg_is_wal_replay_paused(),
    CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
        ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 END,
    coalesce(pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), 0)::float8,
    CASE WHEN pg_has_role('pg_read_all_settings', 'USAGE') AND pg_has_role('pg_read_all_stats', 'USAGE')
        THEN coalesce(current_setting('primary_conninfo', true), '') <> '' END,
    extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8
"""
_RECEIVER = """
SELECT status, extract(epoch FROM clock_timestamp() - last_msg_receipt_time)::float8 FROM pg_stat_wal_receiver
"""
_LOOK_STANDBYS = (
    "SELECT application_name, client_addr, state, sync_state, replay_lag, replay_lsn FROM pg_stat_replication"
)
_LOOK_SLOTS = (
    "SELECT slot_name, active, wal_status, restart_lsn, safe_wal_size FROM pg_replication_slots ORDER BY restart_lsn"
)
_LOOK_RECEIVER = "SELECT status, latest_end_lsn, last_msg_receipt_time FROM pg_stat_wal_receiver"

#: A server with nothing to say is silent for half of wal_sender_timeout.
_KEEPALIVE_S = 60.0


@dataclasses.dataclass(frozen=True)
class Standby:
    """As its server sees it. ``lag_s``: None while nothing is written."""

    name: str
    address: str
    state: str
    sync: str
    lag_s: float | None
    behind_bytes: float | None


@dataclasses.dataclass(frozen=True)
class Slot:
    """``held_bytes``: of log that it keeps the server from removing; None when it holds none."""

    name: str
    active: bool
    wal_status: str
    held_bytes: float | None


@dataclasses.dataclass(frozen=True)
class Replay:
    """A standby's own. ``silent_s``: seconds since its primary was heard; None without a receiver.

    ``streams``: whether it knows its primary; None where we may not see that, nor of a receiver more than that there is one.
    """

    paused: bool
    lag_s: float | None
    behind_bytes: float
    streams: bool | None
    newest_s: float | None
    receiver: str | None
    silent_s: float | None


@dataclasses.dataclass(frozen=True)
class Found:
    standbys: list[Standby]
    slots: list[Slot]
    #: None on a primary.
    replay: Replay | None


class PostgresqlReplicationCheck(PostgresqlQuestion):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(options, session)
        parts = [] if options["role"] == "any" else [f"a {options['role']}"]
        if options["standbys"]:
            parts.append(f"the standbys {', '.join(options['standbys'])}")
        if options["minimum"]:
            parts.append(f"at least {counted(options['minimum'], 'standby', 'standbys')}")
        parts.append(f"replication that lags at most {format_duration(options['lag_limit'])}")
        parts.append(f"slots that hold at most {in_units(options['slot_limit'])}")
        self.expected = ", ".join(parts)
        self.hint = self.psql(_LOOK_STANDBYS)

    async def question(self, connection: t.Any) -> Found:
        async def rows(query: str) -> list[tuple[t.Any, ...]]:
            return t.cast("list[tuple[t.Any, ...]]", await (await connection.execute(query)).fetchall())

        replay = None
        if (await rows("SELECT pg_is_in_recovery()"))[0][0]:
            receiver = ((await rows(_RECEIVER)) or [(None, None)])[0]
            replay = Replay(*(await rows(_STANDBY))[0], *receiver)
        standbys = [Standby(*row) for row in await rows(_STANDBYS)]
        return Found(standbys, [Slot(*row) for row in await rows(_SLOTS)], replay)

    def answer(self, found: Found, latency: float) -> Reading:
        role = "primary" if found.replay is None else "standby"
        findings = [*self._of_standbys(found.standbys, role), *self._of_slots(found.slots)]
        measured = f"{role}, {counted(len(found.standbys), 'standby', 'standbys')}"
        measured += f", {counted(len(found.slots), 'slot')}"
        values: dict[str, t.Any] = {
            "role": role,
            "standbys": [dataclasses.asdict(standby) for standby in found.standbys],
            "slots": [dataclasses.asdict(slot) for slot in found.slots],
            "latency_s": round(latency, 6),
        }
        if found.replay is not None:
            findings += self._of_replay(found.replay)
            values["replay"] = dataclasses.asdict(found.replay)
            if found.replay.lag_s is not None:
                measured += f", replays {format_duration(found.replay.lag_s)} behind"
        if self._options["role"] not in ("any", role):
            findings.append(Finding("failed", "role", f"it is a {role}", self.psql("SELECT pg_is_in_recovery()")))
        return with_hints(sum_up(self, measured, findings, **values), findings, self._options["hint"])

    def _late(self, seconds: float) -> str | None:
        if seconds > self._options["lag_limit"]:
            return "failed"
        warning = self._options["lag_warning"]
        return "warning" if warning is not None and seconds > warning else None

    def _hidden(self, what: str, role: str) -> Finding:
        grant = f'GRANT pg_monitor TO "{self._options["user"]}"'
        words = f"{what} cannot be seen, which needs the role pg_monitor"
        # Nothing can be granted on a standby, and where its primary is may not be seen either.
        elsewhere = f"psql -c {shlex.quote(grant)} # on the primary"
        return Finding(
            "unknown", "right to look", words, elsewhere if role == "standby" else self.psql(grant, user="postgres")
        )

    def _of_standbys(self, standbys: t.Sequence[Standby], role: str) -> t.Iterator[Finding]:
        hint = self.psql(_LOOK_STANDBYS)
        if any(standby.state == "hidden" for standby in standbys):
            yield self._hidden("the standbys", role)
            return
        for wanted in self._options["standbys"]:
            if not any(fnmatch.fnmatchcase(standby.name, wanted) for standby in standbys):
                yield Finding("failed", f"standby {wanted}", "it is not connected", hint)
        if len(standbys) < self._options["minimum"]:
            words = f"{counted(len(standbys), 'standby is', 'standbys are')} connected"
            yield Finding("failed", "standbys", f"{words}, not {self._options['minimum']}", hint)
        for standby in standbys:
            name = f"standby {standby.name or standby.address}"
            behind = in_units(standby.behind_bytes or 0)
            if standby.state != "streaming":
                yield Finding("warning", name, f"it is in state {standby.state}, {behind} behind", hint)
            outcome = None if standby.lag_s is None else self._late(standby.lag_s)
            if outcome and standby.lag_s is not None:
                yield Finding(outcome, name, f"replays {format_duration(standby.lag_s)} ({behind}) behind", hint)
            limit = self._options["lag_bytes"]
            if limit is not None and (standby.behind_bytes or 0) > limit:
                yield Finding("failed", name, f"replays {behind} behind", hint)

    def _of_slots(self, slots: t.Sequence[Slot]) -> t.Iterator[Finding]:
        hint = self.psql(_LOOK_SLOTS)
        for slot in slots:
            held = slot.held_bytes or 0
            words = f"holds {in_units(held)} of log" + ("" if slot.active else ", and nobody uses it")
            if slot.wal_status == "lost":
                yield Finding("failed", f"slot {slot.name}", "log that it needs was removed", hint)
            elif held > self._options["slot_limit"]:
                yield Finding("failed", f"slot {slot.name}", words, hint)
            elif slot.wal_status == "unreserved" or held > self._options["slot_warning"]:
                yield Finding("warning", f"slot {slot.name}", words, hint)

    def _of_replay(self, replay: Replay) -> t.Iterator[Finding]:
        hint = self.psql(_LOOK_RECEIVER)
        if replay.paused:
            resume = self.psql("SELECT pg_wal_replay_resume()")
            yield Finding("warning", "replay", "it is paused", resume)
        if replay.streams is None:
            yield self._hidden("whether anything is received", "standby")
        elif self._options["streaming"] and replay.streams and replay.receiver is None:
            since = "" if replay.newest_s is None else f", what it has is {format_duration(replay.newest_s)} old"
            yield Finding("failed", "receiver", f"nothing is received from the primary{since}", hint)
        silence = replay.silent_s if replay.silent_s is not None and replay.silent_s > _KEEPALIVE_S else 0.0
        outcome = self._late(silence)
        if outcome:
            yield Finding(outcome, "receiver", f"the primary was not heard for {format_duration(silence)}", hint)
        received = f"{in_units(replay.behind_bytes)} received and not replayed"
        limit = self._options["lag_bytes"]
        if replay.lag_s is not None and self._late(replay.lag_s):
            outcome = self._late(replay.lag_s)
            yield Finding(outcome or "failed", "replay", f"{format_duration(replay.lag_s)} behind, {received}", hint)
        elif limit is not None and replay.behind_bytes > limit:
            yield Finding("failed", "replay", received, hint)
        elif replay.lag_s is None and replay.behind_bytes:
            yield Finding("warning", "replay", f"{received}, and nothing was replayed since the start", hint)


POSTGRESQL_REPLICATION = Kind(
    name="postgresql_replication",
    options={
        **CONNECTION,
        "role": Option(choice("any", "primary", "standby"), default="any"),
        "standbys": Option(names, default=(), filled=True),
        "minimum": Option(integer(0, 1000), default=0),
        "lag_warning": Option(parse_duration, default=60.0),
        "lag_limit": Option(parse_duration, default=300.0),
        "lag_bytes": Option(size),
        "slot_warning": Option(size, default=1 << 30),
        "slot_limit": Option(size, default=10 << 30),
        "streaming": Option(boolean, default=True),
    },
    prepare=PostgresqlReplicationCheck,
    target=place,
)
