# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The redis kind: what a server says of itself, judged by redis_judgement.py. Valkey says the same."""

from __future__ import annotations

import contextlib
import shlex
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration, parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._errors import missing_library
from ansible_collections.sre.runbooks.plugins.module_utils._probes.blocking import BlockingCheck
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Kind,
    Option,
    Reading,
    boolean,
    choice,
    integer,
    number,
    text,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.disk import percentage
from ansible_collections.sre.runbooks.plugins.module_utils._probes.findings import sum_up, with_hints
from ansible_collections.sre.runbooks.plugins.module_utils._probes.password import PASSWORD, password_of
from ansible_collections.sre.runbooks.plugins.module_utils._probes.redis_judgement import judge, measured, values_of
from ansible_collections.sre.runbooks.plugins.module_utils._probes.tls_options import TLS_OPTIONS
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted, said

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

#: What only ever grows: whether it still does is seen by looking twice.
GROWING = ("evicted_keys", "rejected_connections")


class RedisCheck(BlockingCheck):
    libraries = ("redis", "redis.backoff", "redis.retry")

    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(session)
        self._options = options
        if options["sample"] >= options["timeout"]:
            raise ValueError("sample must be shorter than timeout")
        self.expected = _in_words(options)
        self.hint = f"{self._command()} INFO"

    def look(self) -> Reading:
        try:
            import redis
        except ImportError as error:
            raise missing_library("redis", "redis 5 or newer", error) from None
        password = password_of(self._options)
        try:
            with contextlib.closing(self._client(redis, password)) as client:
                return self._ask(client)
        except redis.exceptions.NoPermissionError as error:
            return self.reading("unknown", "nothing", f"no right to look: {said(error)}")
        except redis.exceptions.AuthenticationError as error:
            if password is None:  # what it says then is about the protocol
                message = (
                    "the server wants a credential and none is given: set password_file, and user where it has one"
                )
                return self.reading("failed", "no connection", message)
            return self.reading("failed", "no connection", f"the server refuses the credential: {said(error)}")
        except redis.exceptions.TimeoutError:
            limit = format_duration(self._options["timeout"])
            return self.reading("failed", f"no answer after {limit}", f"did not answer within {limit}", timed_out=True)
        except redis.exceptions.ConnectionError as error:
            return self.reading("failed", "no connection", said(error))
        except redis.exceptions.RedisError as error:
            return self.reading("failed", "no answer of use", said(error))

    def _client(self, redis: t.Any, password: str | None) -> t.Any:
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        options = self._options
        settings: dict[str, t.Any] = {
            "username": options["user"],
            "password": password,
            "socket_timeout": options["timeout"],
            "socket_connect_timeout": options["timeout"],
            "decode_responses": True,
            # The engine tries again where the probe says so.
            "retry": Retry(NoBackoff(), 0),
        }
        if options["socket"]:
            settings["unix_socket_path"] = options["socket"]
            # redis-py gives a connection over a socket no limit for connecting.
            del settings["socket_connect_timeout"]
        else:
            settings.update(host=options["host"], port=options["port"])
        if options["tls"]:
            settings.update(
                ssl=True,
                ssl_cert_reqs="required" if options["validate_certs"] else "none",
                ssl_check_hostname=options["validate_certs"],
                ssl_ca_certs=options["ca_cert"],
                ssl_certfile=options["client_cert"],
                ssl_keyfile=options["client_key"],
            )
        return redis.Redis(**settings)

    def _ask(self, client: t.Any) -> Reading:
        started = time.perf_counter()
        client.ping()
        latency = time.perf_counter() - started
        before = client.info()
        if not isinstance(before, dict) or "role" not in before:
            return self.reading("failed", "no answer of use", "the server's INFO says nothing of its role")
        after, seconds = before, 0.0
        # Counters since the start say nothing of now, and one look is enough where they never moved.
        if self._options["sample"] and any(before.get(name) for name in GROWING):
            looked = time.monotonic()
            time.sleep(self._options["sample"])
            after = client.info()
            seconds = time.monotonic() - looked
        grown = {name: max(0, int(after.get(name, 0)) - int(before.get(name, 0))) for name in GROWING}
        findings = judge(after, grown, seconds, self._options, self._command())
        values = {**values_of(after), "latency_s": round(latency, 6)}
        if seconds:
            values.update(sampled_s=round(seconds, 3), **{f"{name}_sampled": count for name, count in grown.items()})
        return with_hints(sum_up(self, measured(after), findings, **values), findings, self._options["hint"])

    def _command(self) -> str:
        """redis-cli with this probe's address, and no password in it."""
        options = self._options
        words = ["redis-cli"]
        words += ["-s", options["socket"]] if options["socket"] else ["-h", options["host"], "-p", str(options["port"])]
        if options["user"]:
            words += ["--user", options["user"]]
        if options["tls"]:
            words.append("--tls")
            for flag, key in (("--cacert", "ca_cert"), ("--cert", "client_cert"), ("--key", "client_key")):
                words += [flag, options[key]] if options[key] else []
            words += [] if options["validate_certs"] else ["--insecure"]
        if options["password"] is not None:
            words.append("--askpass")
        line = " ".join(shlex.quote(word) for word in words)
        if options["password"] is None and options["password_file"]:
            return f'REDISCLI_AUTH="$(cat {shlex.quote(options["password_file"])})" {line}'
        return line


def _in_words(options: dict[str, t.Any]) -> str:
    parts = ["an answer" if options["role"] == "any" else f"a {options['role']} that answers"]
    parts.append(f"less than {options['memory_percent']:g} % of maxmemory used")
    if options["sample"]:
        parts.append(f"at most {options['evictions']:g} evictions a second")
    if options["replicas"]:
        parts.append(f"at least {counted(options['replicas'], 'replica')} in step")
    parts.append(f"replication that lags at most {format_duration(options['lag_limit'])}")
    if options["save_age"] is not None:
        parts.append(f"changes saved within {format_duration(options['save_age'])}")
    parts.append("saves that succeed")
    return ", ".join(parts)


REDIS = Kind(
    name="redis",
    options={
        "host": Option(text, default="127.0.0.1"),
        "port": Option(integer(1, 65535), default=6379),
        "socket": Option(text),
        "user": Option(text),
        **PASSWORD,
        "tls": Option(boolean, default=False),
        **TLS_OPTIONS,
        "role": Option(choice("any", "primary", "replica"), default="any"),
        "replicas": Option(integer(0, 1000), default=0),
        "lag_limit": Option(parse_duration, default=30.0),
        "memory_warning": Option(percentage, default=80.0),
        "memory_percent": Option(percentage, default=95.0),
        "evictions": Option(number, default=0.0),
        "sample": Option(parse_duration, default=1.0),
        "connections_warning": Option(percentage, default=80.0),
        "connections_percent": Option(percentage, default=95.0),
        "save_age": Option(parse_duration),
    },
    prepare=RedisCheck,
    target=lambda options: t.cast(str, options["socket"] or f"{options['host']}:{options['port']}"),
)
