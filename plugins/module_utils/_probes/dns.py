# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The dns kind: what name servers answer, whether they may say so, and whether they agree."""

from __future__ import annotations

import asyncio
import dataclasses
import ipaddress
import re
import shlex
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._errors import missing_library
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Check,
    Kind,
    Option,
    Reading,
    boolean,
    choice,
    integer,
    names,
    text,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.expectation import shown
from ansible_collections.sre.runbooks.plugins.module_utils._probes.http_connection import why

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

_TYPES = ("A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT")
#: A datagram may get lost: it is sent so often within the probe's timeout.
_SENT = 3
_SHOWN = 5


@dataclasses.dataclass
class _Answer:
    """What one server said. ``problem``: why it is none; then nothing else counts."""

    server: str
    problem: str | None = None
    rcode: str = ""
    records: tuple[str, ...] = ()
    ttl: int | None = None
    authoritative: bool = False
    latency_s: float = 0.0

    def facts(self) -> dict[str, t.Any]:
        return {**dataclasses.asdict(self), "records": list(self.records[:50])}


class DnsCheck(Check):
    libraries = ("dns.asyncbackend", "dns.asyncquery", "dns.resolver")

    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        self._session = session
        self._options = options
        self._servers = [_place(server) for server in options["servers"]]
        self._wanted: tuple[str, ...] | None = None
        if options["answers"] is not None:
            self._wanted = tuple(sorted(normal(answer, options["type"]) for answer in options["answers"]))
        if options["agree"] and len(self._servers) == 1:
            raise ValueError("agree needs more than one of servers, or none: those of the host")
        if options["rcode"] != "NOERROR" and self._wanted is not None:
            raise ValueError(f"answers do not come with {options['rcode']}")
        if self._wanted is not None:
            parts = [f"{options['type']} {_listed(self._wanted)}"]
        else:
            parts = ["an answer" if options["rcode"] == "NOERROR" else options["rcode"]]
        if options["authoritative"]:
            parts.append("with authority")
        if options["agree"]:
            parts.append("the same from each server")
        if options["maximum_ttl"] is not None:
            parts.append(f"kept for at most {options['maximum_ttl']:g} s")
        self.expected = ", ".join(parts)
        host, port = self._servers[0] if self._servers else ("", 53)
        at = f" @{shlex.quote(host)}" + (f" -p {port}" if port != 53 else "") if host else ""
        self.hint = f"dig{at} {shlex.quote(options['record'])} {options['type']}"

    async def ask(self) -> Reading:
        try:
            import dns.message
            import dns.name
            import dns.resolver
        except ImportError as error:
            raise missing_library("dnspython", "dnspython 2.3 or newer", error) from None
        try:
            name = dns.name.from_text(self._options["record"])
        except dns.exception.DNSException as error:
            return self.reading("unknown", "nothing", f"{shown(self._options['record'])} is no name: {error}")
        servers = self._servers
        if not servers:
            try:
                resolver = dns.resolver.Resolver()
            except (dns.exception.DNSException, OSError) as error:
                return self.reading("unknown", "nothing", f"this host's name servers are not known: {error}")
            servers = [(str(server), resolver.port) for server in resolver.nameservers]
            if self._options["agree"] and len(servers) < 2:
                return self.reading("unknown", "nothing", "this host has one name server: there is none to agree with")
        answers = await asyncio.gather(*(self._ask_server(name, host, port) for host, port in servers))
        return self._judge(answers)

    async def _ask_server(self, name: t.Any, host: str, port: int) -> _Answer:
        import dns.asyncbackend
        import dns.asyncquery
        import dns.exception
        import dns.flags
        import dns.message
        import dns.rcode

        shown_as = host if port == 53 else f"{host}:{port}"
        try:
            address = (await self._session.connections.resolve(host, port))[0][4][0]
        except OSError as error:
            return _Answer(shown_as, f"the server's own name is not known: {why(error)}")
        query = dns.message.make_query(name, self._options["type"])
        if not self._options["recursion"]:
            query.flags &= ~dns.flags.RD
        backend = dns.asyncbackend.get_backend("asyncio")
        started = time.perf_counter()
        wait = self._options["timeout"] / (_SENT + 0.5)
        for _ in range(_SENT):
            try:
                response, _tcp = await dns.asyncquery.udp_with_fallback(
                    query, address, timeout=wait, port=port, backend=backend
                )
            except dns.exception.Timeout:
                continue
            except dns.exception.DNSException as error:
                return _Answer(shown_as, f"what it says is no answer to the question ({type(error).__name__})")
            except (OSError, EOFError) as error:
                return _Answer(shown_as, why(error) if isinstance(error, OSError) else "it hung up")
            return self._read(response, shown_as, time.perf_counter() - started)
        return _Answer(shown_as, "no answer")

    def _read(self, response: t.Any, server: str, latency: float) -> _Answer:
        import dns.exception
        import dns.flags
        import dns.rcode

        answer = _Answer(
            server,
            rcode=dns.rcode.to_text(response.rcode()),
            authoritative=bool(response.flags & dns.flags.AA),
            latency_s=round(latency, 6),
        )
        if answer.rcode == "NOERROR":
            try:
                chain = response.resolve_chaining()
            except dns.exception.DNSException as error:
                answer.problem = f"its answer leads nowhere ({type(error).__name__})"
                return answer
            if chain.answer is not None:
                answer.records = tuple(sorted(normal(_plain(record), self._options["type"]) for record in chain.answer))
                answer.ttl = chain.minimum_ttl
        return answer

    def _judge(self, answers: t.Sequence[_Answer]) -> Reading:
        options = self._options
        problems = [f"{one.server}: {problem}" for one in answers for problem in self._problems(one)]
        if options["agree"]:
            said: dict[tuple[str, tuple[str, ...]], list[str]] = {}
            for one in answers:
                if one.problem is None:
                    said.setdefault((one.rcode, one.records), []).append(one.server)
            if len(said) > 1:
                versions = [
                    f"{_told(rcode, records)} from {_listed(servers)}" for (rcode, records), servers in said.items()
                ]
                problems.append("the servers disagree: " + "; ".join(versions))
        answered = [one for one in answers if one.problem is None]
        values: dict[str, t.Any] = {"servers": [one.facts() for one in answers]}
        measured = _told(answered[0].rcode, answered[0].records) if answered else "no answer"
        if len(answers) > 1:
            measured += f" from {answered[0].server}" if answered else ""
            measured += f", {len(answered)} of {len(answers)} servers answer"
        if problems:
            return self.reading("failed", measured, "; ".join(problems[:_SHOWN]), **values)
        slowest = max(one.latency_s for one in answers)
        values["latency_s"] = slowest
        if options["latency_limit"] is not None and slowest > options["latency_limit"]:
            return self.reading("failed", measured, f"slower than {options['latency_limit']:g} s", **values)
        return self.reading("ok", measured, "as expected", **values)

    def _problems(self, answer: _Answer) -> t.Iterator[str]:
        options = self._options
        if answer.problem is not None:
            yield answer.problem
            return
        if answer.rcode != options["rcode"]:
            yield answer.rcode
        elif self._wanted is not None and answer.records != self._wanted:
            yield _told(answer.rcode, answer.records)
        elif self._wanted is None and options["rcode"] == "NOERROR" and not answer.records:
            yield f"the name has no {options['type']}"
        if options["authoritative"] and not answer.authoritative:
            yield "it answers without authority"
        if options["maximum_ttl"] is not None and (answer.ttl or 0) > options["maximum_ttl"]:
            yield f"it may be kept for {answer.ttl} s"


def normal(value: t.Any, kind: str) -> str:
    """A record's data so that the same is equal: addresses in their shortest form, names in lower case, no last dots."""
    found = str(value).strip()
    if kind in ("A", "AAAA"):
        try:
            return str(ipaddress.ip_address(found))
        except ValueError:
            return found
    if kind == "TXT":
        return found[1:-1] if len(found) > 1 and found[0] == found[-1] == '"' else found
    return " ".join(re.sub(r"\.$", "", word).lower() for word in found.split())


def _plain(record: t.Any) -> str:
    """A record's data as text; a TXT's pieces put together, without quotes."""
    strings = getattr(record, "strings", None)
    return b"".join(strings).decode("utf-8", "replace") if strings is not None else str(record.to_text())


def _told(rcode: str, records: t.Sequence[str]) -> str:
    return _listed(records) if records else (rcode if rcode != "NOERROR" else "no such record")


def _listed(words: t.Sequence[str]) -> str:
    more = f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
    return ", ".join(ascii(word)[1:-1][:100] for word in words[:_SHOWN]) + more


def _place(server: str) -> tuple[str, int]:
    """``10.0.0.2``, ``ns1.example:5353``, ``[2001:db8::1]:53``."""
    match = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](?::(\d+))?|([^:\s]+)(?::(\d+))?|([0-9A-Fa-f:.]+)", server)
    if match is None:
        raise ValueError(f"servers are such as 10.0.0.2, ns1.example:5353 or [2001:db8::1]:53, not {shown(server)}")
    port = match[2] or match[4]
    return match[1] or match[3] or match[5], integer(1, 65535)(port) if port else 53


def texts(value: t.Any) -> tuple[str, ...]:
    """One text or a list of such."""
    found = tuple(text(item) for item in (value if isinstance(value, (list, tuple)) else [value]))
    if not found:
        raise ValueError("at least one is expected")
    return found


def servers(value: t.Any) -> tuple[str, ...]:
    """A list, or separated by commas."""
    found = names(value)
    for server in found:
        _place(server)
    return found


DNS = Kind(
    name="dns",
    options={
        "record": Option(text, required=True),
        "type": Option(choice(*_TYPES), default="A"),
        "servers": Option(servers, default=()),
        "answers": Option(texts),
        "rcode": Option(choice("NOERROR", "NXDOMAIN"), default="NOERROR"),
        "authoritative": Option(boolean, default=False),
        "agree": Option(boolean, default=False),
        "recursion": Option(boolean, default=True),
        "maximum_ttl": Option(parse_duration),
        "latency_limit": Option(parse_duration),
    },
    prepare=DnsCheck,
    target=lambda options: f"{options['type']} {options['record']}",
)
