# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How curl is let in where a probe or a module is: for next commands, which everybody may read."""

from __future__ import annotations

import shlex
import typing as t


def curl(options: t.Mapping[str, t.Any]) -> tuple[str, str]:
    """What comes before ``curl``, and its flags. No secret is in either, nor among the arguments of any program.

    A secret in a file goes to curl through a pipe; for a password that the inventory gives, curl asks.
    """
    before, flags = "", []
    user, token, password = (options.get(name) for name in ("user", "bearer_token_file", "password_file"))
    if token:
        before = f'printf \'header = "Authorization: Bearer %s"\\n\' "$(cat {shlex.quote(token)})" | '
    elif user and password and options.get("password") is None:
        name = shlex.quote(user)
        before = f'printf \'user = "%s:%s"\\n\' {name} "$(cat {shlex.quote(password)})" | '
    elif user:
        flags += ["-u", user]
    if before:
        flags += ["-K", "-"]
    for flag, key in (("--cacert", "ca_cert"), ("--cert", "client_cert"), ("--key", "client_key")):
        if options.get(key):
            flags += [flag, options[key]]
    if options.get("validate_certs") is False:
        flags.append("-k")
    return before, "".join(f" {shlex.quote(flag)}" for flag in flags)


def patience(options: t.Mapping[str, t.Any]) -> str:
    """The flag with which curl waits as long as the probe does: what does not answer lets nobody wait for ever."""
    return f"-m {max(1, round(options['timeout']))}"
