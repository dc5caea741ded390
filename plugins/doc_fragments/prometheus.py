# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options that say where Prometheus is and how to be let in; their names are those of the probes' kinds."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  url:
    description:
      - Where Prometheus, or what answers like it, is, such as V(https://prometheus.shop.example).
      - Falls back to the environment variable E(SRE_RUNBOOKS_PROMETHEUS_URL).
    type: str
    required: true
  user:
    description:
      - The user for basic authentication.
      - Falls back to the environment variable E(SRE_RUNBOOKS_PROMETHEUS_USER).
    type: str
  password:
    description:
      - Its password.
      - Falls back to the environment variable E(SRE_RUNBOOKS_PROMETHEUS_PASSWORD).
    type: str
  password_file:
    description: A file with the password, on the host where the task runs.
    type: path
  bearer_token:
    description:
      - A token, instead of a user.
      - Falls back to the environment variable E(SRE_RUNBOOKS_PROMETHEUS_TOKEN).
    type: str
  bearer_token_file:
    description: A file with the token, on the host where the task runs.
    type: path
  validate_certs:
    description: Whether the server's certificate has to be valid.
    type: bool
    default: true
  ca_cert:
    description: A PEM file of authorities, instead of the system's.
    type: path
  client_cert:
    description: A PEM file with the certificate that we show.
    type: path
  client_key:
    description: A PEM file with its key, when it is not in O(client_cert).
    type: path
  timeout:
    description: The most time that one question may take, such as V(30s).
    type: str
    default: 30s
"""
