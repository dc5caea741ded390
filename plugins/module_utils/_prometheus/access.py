# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way to a Prometheus that a module's options describe (documented by the fragment ``sre.runbooks.prometheus``)."""

from __future__ import annotations

import ssl
import typing as t

from ansible.module_utils.basic import env_fallback

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._prometheus.client import Server

PROMETHEUS_OPTIONS: dict[str, t.Any] = {
    "url": {"type": "str", "required": True, "fallback": (env_fallback, ["SRE_RUNBOOKS_PROMETHEUS_URL"])},
    "user": {"type": "str", "fallback": (env_fallback, ["SRE_RUNBOOKS_PROMETHEUS_USER"])},
    "password": {"type": "str", "no_log": True, "fallback": (env_fallback, ["SRE_RUNBOOKS_PROMETHEUS_PASSWORD"])},
    "password_file": {"type": "path", "no_log": False},
    "bearer_token": {"type": "str", "no_log": True, "fallback": (env_fallback, ["SRE_RUNBOOKS_PROMETHEUS_TOKEN"])},
    "bearer_token_file": {"type": "path", "no_log": False},
    "validate_certs": {"type": "bool", "default": True},
    "ca_cert": {"type": "path"},
    "client_cert": {"type": "path"},
    "client_key": {"type": "path", "no_log": False},
    "timeout": {"type": "str", "default": "30s"},
}


def server_of(params: dict[str, t.Any]) -> Server:
    """Nothing is asked yet. Raises InvalidInput for a bad URL and for files that cannot be used."""
    return Server(
        params["url"],
        params["user"] or None,
        _secret(params, "password"),
        _secret(params, "bearer_token"),
        _context(params) if params["url"].startswith("https:") else None,
        max(0.1, parse_duration(params["timeout"])),
    )


def _secret(params: dict[str, t.Any], name: str) -> str | None:
    path = params[f"{name}_file"]
    if not path:
        return params[name] or None
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"the file of {name} cannot be read",
            expected=f"a readable file {path}",
            found=getattr(error, "strerror", None) or "no text",
            next_command=f"ls -l {path}",
        ) from None


def _context(params: dict[str, t.Any]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=params["ca_cert"])
        if params["client_cert"]:
            context.load_cert_chain(params["client_cert"], params["client_key"])
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(str(params[name]) for name in ("ca_cert", "client_cert", "client_key") if params[name])
        raise InvalidInput("the TLS files cannot be used", expected="PEM files", found=f"{files}: {error}") from None
    if not params["validate_certs"]:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
