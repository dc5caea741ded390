# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a server proves to a probe who it is, and the probe to the server: what ``Session.tls_context`` reads."""

from __future__ import annotations

from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Option, boolean, text

TLS_OPTIONS: dict[str, Option] = {
    "validate_certs": Option(boolean, default=True),
    "ca_cert": Option(text),
    "client_cert": Option(text),
    "client_key": Option(text),
}
