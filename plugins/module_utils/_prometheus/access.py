# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way to a Prometheus that a module's options describe (documented by the fragment ``sre.runbooks.prometheus``)."""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import env_fallback

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._curl import curl
from ansible_collections.sre.runbooks.plugins.module_utils._prometheus.client import Server
from ansible_collections.sre.runbooks.plugins.module_utils._secret_file import secret_in
from ansible_collections.sre.runbooks.plugins.module_utils._tls import tls_context

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
    server = Server(
        params["url"],
        params["user"] or None,
        _secret(params, "password"),
        _secret(params, "bearer_token"),
        tls_context(params) if params["url"].startswith("https:") else None,
        max(0.1, parse_duration(params["timeout"])),
    )
    server.before, server.flags = curl(params)
    return server


def _secret(params: dict[str, t.Any], name: str) -> str | None:
    """A file counts more than what may only come from the environment."""
    path = params[f"{name}_file"]
    return secret_in(path, f"{name}_file") if path else params[name] or None
