# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ping kind: round trips to a host, measured with TCP handshakes, since ICMP needs rights and is often filtered."""

from __future__ import annotations

import asyncio
import shlex
import socket
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Check,
    Kind,
    Option,
    Reading,
    boolean,
    integer,
    text,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.disk import percentage
from ansible_collections.sre.runbooks.plugins.module_utils._probes.http_connection import why
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session


class PingCheck(Check):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        self._session = session
        self._options = options
        count, wait, pause = options["count"], options["wait"], options["pause"]
        if wait <= 0:
            raise ValueError("wait must be more than 0 s")
        if count * wait + (count - 1) * pause > options["timeout"]:
            raise ValueError(f"{count} times {wait:g} s and the pauses between do not fit into timeout")
        answer = "an answer, open or refused," if options["refused"] else "a connection"
        self.expected = f"{answer} for all but {options['maximum_loss']:g} % of {count}"
        if options["latency_limit"] is not None:
            self.expected += f", within {options['latency_limit']:g} s on average"
        # Not ping's: a host can answer ICMP and no connection.
        self.hint = f"nc -vz -w {max(1, round(wait))} {shlex.quote(options['host'])} {options['port']}"

    async def ask(self) -> Reading:
        options = self._options
        try:
            addresses = await self._session.connections.resolve(options["host"], options["port"])
        except OSError as error:
            return self.reading("failed", "no address", why(error))
        trips: list[float] = []
        reasons: dict[str, int] = {}
        for number in range(options["count"]):
            if number:
                await asyncio.sleep(options["pause"])
            try:
                # The first that answers, as every other kind has it, and from then on that one.
                addresses, seconds = await asyncio.wait_for(self._first(addresses), options["wait"])
                trips.append(seconds)
            except (OSError, asyncio.TimeoutError) as error:
                reason = why(error) if isinstance(error, OSError) and str(error) else "no answer"
                reasons[reason] = reasons.get(reason, 0) + 1
        return self._judge(trips, reasons, addresses[0][4][0])

    async def _first(self, addresses: t.Sequence[t.Any]) -> tuple[list[t.Any], float]:
        """The address that answers, and its seconds. Raises the OSError of the first where none does."""
        problem: OSError | None = None
        for address in addresses:
            try:
                return [address], await self._shake_hands(address)
            except OSError as error:
                problem = problem or error
        raise problem or OSError("it has no address")

    async def _shake_hands(self, address: t.Any) -> float:
        """Seconds until the other side said something. Raises OSError; waits for silence to end."""
        loop = asyncio.get_running_loop()
        with socket.socket(address[0], socket.SOCK_STREAM) as line:
            line.setblocking(False)
            started = time.perf_counter()
            try:
                await loop.sock_connect(line, address[4])
            except ConnectionRefusedError:
                if not self._options["refused"]:
                    raise
            return time.perf_counter() - started

    def _judge(self, trips: list[float], reasons: dict[str, int], address: str) -> Reading:
        options = self._options
        loss = 100.0 * (options["count"] - len(trips)) / options["count"]
        values: dict[str, t.Any] = {"address": address, "sent": options["count"], "loss_percent": round(loss, 2)}
        told = ", ".join(f"{reason} ({counted(count, 'time')})" for reason, count in reasons.items())
        if not trips:
            return self.reading("failed", f"no answer from {address}", told, **values)
        least, most, average = min(trips), max(trips), sum(trips) / len(trips)
        values.update(minimum_s=round(least, 6), average_s=round(average, 6), maximum_s=round(most, 6))
        in_ms = "/".join(f"{1000 * seconds:.1f}" for seconds in (least, average, most))
        measured = f"{loss:g} % loss, {in_ms} ms (min/avg/max) to {address}"
        if loss > options["maximum_loss"]:
            return self.reading("failed", measured, told, **values)
        for key, outcome in (("latency_limit", "failed"), ("latency_warning", "warning")):
            if options[key] is not None and average > options[key]:
                return self.reading(outcome, measured, f"slower than {options[key]:g} s on average", **values)
        return self.reading("ok", measured, "as expected", **values)


PING = Kind(
    name="ping",
    options={
        "host": Option(text, required=True),
        "port": Option(integer(1, 65535), required=True),
        "count": Option(integer(1, 100), default=3),
        "wait": Option(parse_duration, default=1.0),
        "pause": Option(parse_duration, default=0.2),
        "refused": Option(boolean, default=False),
        "maximum_loss": Option(percentage, default=0.0),
        "latency_limit": Option(parse_duration),
        "latency_warning": Option(parse_duration),
    },
    prepare=PingCheck,
    target=lambda options: f"{options['host']}:{options['port']}",
)
