# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the kinds that ask Prometheus or Alertmanager have in common: the way to the server."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._curl import curl
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._probes.blocking import BlockingCheck
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Option, Reading, text
from ansible_collections.sre.runbooks.plugins.module_utils._probes.password import PASSWORD, password_of, secret_of
from ansible_collections.sre.runbooks.plugins.module_utils._probes.tls_options import TLS_OPTIONS
from ansible_collections.sre.runbooks.plugins.module_utils._prometheus.client import PrometheusError, Server

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

ACCESS: dict[str, Option] = {
    "url": Option(text, required=True),
    "user": Option(text),
    **PASSWORD,
    "bearer_token": Option(text, secret=True),
    "bearer_token_file": Option(text),
    **TLS_OPTIONS,
}


class ServerCheck(BlockingCheck):
    """A subclass says in :meth:`judge` what it finds at the server."""

    #: The outcome when the server does not answer at all.
    silent = "unknown"

    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(session)
        self._options = options
        #: The next command that the declaration brought.
        self.own_hint: str | None = options["hint"]
        self._context = session.tls_context(options) if options["url"].startswith("https:") else None
        self._password, self._token = options["password"], options["bearer_token"]
        #: Without the secrets of files, until it is asked.
        self.server = self.open_at(options["url"])

    def look(self) -> Reading:
        # What cannot be read makes the engine say "unknown".
        self._password, self._token = password_of(self._options), secret_of(self._options, "bearer_token")
        try:
            return self.judge(self.open_at(self._options["url"]))
        except PrometheusError as error:
            outcome = self.silent if error.reason in ("unreachable", "answer") else "unknown"
            reading = self.reading(outcome, error.found or "no answer", error.message)
            reading.hint = self.own_hint or error.next_command or self.hint
            return reading

    def judge(self, server: Server) -> Reading:
        raise NotImplementedError

    def open_at(self, url: str) -> Server:
        """A server that lets us in as the declaration says. Raises ValueError for what cannot be one."""
        options = self._options
        try:
            # The probe's own time ends first; this only ends the thread.
            server = Server(url, options["user"], self._password, self._token, self._context, options["timeout"])
            server.before, server.flags = curl(options)
            return server
        except InvalidInput as error:
            raise ValueError(f"{error.message}; expected: {error.expected}") from None
