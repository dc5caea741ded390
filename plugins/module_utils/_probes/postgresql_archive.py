# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The postgresql_archive kind: how much of what a server wrote is not in its archive yet, against its RPO."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration, parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    InvalidInput,
    MissingRequirement,
    RunbookError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.blocking import BlockingCheck
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Kind,
    Option,
    Reading,
    choice,
    integer,
    text,
)
from ansible_collections.sre.runbooks.plugins.module_utils._words import said

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session


class PostgresqlArchiveCheck(BlockingCheck):
    libraries = ("psycopg",)

    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(session)
        if options["component"] is None:
            raise ValueError("a component is needed")
        self._options = options
        self._rpo: float = options["rpo"]
        self.expected = f"an archive that lags at most {format_duration(self._rpo)} behind"
        self.hint = f"ansible-playbook sre.runbooks.prepare_archiving --limit {options['component']}"

    def look(self) -> Reading:
        # Only now: most calls have no such probe.
        from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.switch import lag_s
        from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import address_from, connect

        options = self._options
        try:
            address = address_from(
                {
                    "login_host": options["host"],
                    "login_port": options["port"],
                    "login_unix_socket": options["socket"],
                    "login_user": options["user"],
                    "login_password": options["password"],
                    "login_password_file": options["password_file"],
                    "login_db": options["database"],
                    "ssl_mode": options["ssl_mode"],
                    "ca_cert": options["ca_cert"],
                    "connect_timeout": max(2, round(options["timeout"]) + 1),
                }
            )
            with contextlib.closing(connect(address)) as session:
                session.execute(f"SET statement_timeout = {max(1, int(options['timeout'] * 1000))}")
                import psycopg  # it is there: connect has used it

                try:
                    lag = lag_s(session)
                except psycopg.Error as error:
                    return self.reading("failed", "a failed query", said(error))
        except (InvalidInput, MissingRequirement) as error:
            return self.unasked(error)
        except RunbookError as error:
            return self.reading("failed", "no connection", error.found or error.message)
        return self.judge(lag)

    def judge(self, lag: float | None) -> Reading:
        """:arg lag: seconds of changes that a disaster now would lose; None when nothing was ever archived."""
        if lag is None:
            return self.reading("failed", "nothing was ever archived", "the server archives nothing", rpo_s=self._rpo)
        values = {"rpo_s": self._rpo, "lag_s": round(lag, 3)}
        measured = f"{format_duration(lag)} behind" if lag else "all of it is archived"
        if lag > self._rpo:
            return self.reading("failed", measured, "the archive lags further behind than the RPO", **values)
        return self.reading("ok", measured, "as expected", **values)


POSTGRESQL_ARCHIVE = Kind(
    name="postgresql_archive",
    options={
        "host": Option(text, default="127.0.0.1"),
        "port": Option(integer(1, 65535), default=5432),
        "socket": Option(text),
        "user": Option(text, default="postgres"),
        "password": Option(text, secret=True),
        "password_file": Option(text),
        "database": Option(text, default="postgres"),
        "ssl_mode": Option(
            choice("disable", "allow", "prefer", "require", "verify-ca", "verify-full"), default="prefer"
        ),
        "ca_cert": Option(text),
        "rpo": Option(parse_duration, required=True),
    },
    prepare=PostgresqlArchiveCheck,
    target=lambda options: t.cast(str, options["component"]),
)
