# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a server proves to us who it is, and we to the server."""

from __future__ import annotations

import ssl
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput


def tls_context(options: t.Mapping[str, t.Any]) -> ssl.SSLContext:
    """Of ``validate_certs``, ``ca_cert``, ``client_cert`` and ``client_key``. Raises InvalidInput for unusable files."""
    try:
        context = ssl.create_default_context(cafile=options["ca_cert"])
        if options["client_cert"]:
            context.load_cert_chain(options["client_cert"], options["client_key"])
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(str(options[name]) for name in ("ca_cert", "client_cert", "client_key") if options[name])
        raise InvalidInput("the TLS files cannot be used", expected="PEM files", found=f"{files}: {error}") from None
    if not options["validate_certs"]:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
