# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A mail server (aiosmtpd) on loopback, with and without TLS and accounts; it keeps what it was told."""

from __future__ import annotations

import collections.abc
import contextlib
import ssl
import typing as t

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tools.local_environment import free_port

ACCOUNT = ("probe", "hunter2-of-mail")


class Kept:
    """What the server was told: the names of clients, and the senders of mails."""

    def __init__(self) -> None:
        self.clients: list[str] = []
        self.senders: list[str] = []

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.clients.append(hostname)
        session.host_name = hostname
        return responses

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.senders.append(address)
        return "250 OK"


def _known(server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: t.Any) -> AuthResult:
    login = (given.login.decode(), given.password.decode()) if isinstance(given, LoginPassword) else None
    return AuthResult(success=login == ACCOUNT, handled=False)


@contextlib.contextmanager
def mail_server(
    starttls: ssl.SSLContext | None = None,
    implicit: ssl.SSLContext | None = None,
    accounts: bool = False,
    **options: t.Any,
) -> collections.abc.Iterator[tuple[int, Kept]]:
    """Its port, and what it was told."""
    kept = Kept()
    if accounts:
        options = {"authenticator": _known, "auth_require_tls": implicit is None, **options}
    controller = Controller(
        kept,
        hostname="127.0.0.1",
        port=free_port(),
        ssl_context=implicit,
        tls_context=starttls,
        ident="mail of the tests",
        ready_timeout=60,
        **options,
    )
    controller.start()
    try:
        kept.clients.clear()
        yield controller.port, kept
    finally:
        controller.stop()
