# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options that say how to reach a Kubernetes API server; their names are those of kubernetes.core."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - Kubeconfig on the host where the module runs; several files as in E(KUBECONFIG). Keys that it holds stay in
        memory.
      - Falls back to the environment variable E(K8S_AUTH_KUBECONFIG).
      - Without it and O(host), E(KUBECONFIG), then C(~/.kube/config), then the service account of the pod that the
        module runs in.
    type: str
  context:
    description:
      - Context of the kubeconfig. Its current one by default.
      - Falls back to the environment variable E(K8S_AUTH_CONTEXT).
    type: str
  host:
    description:
      - URL of the API server, such as V(https://10.0.0.1:6443). Overrides the kubeconfig's.
      - Falls back to the environment variable E(K8S_AUTH_HOST).
    type: str
  api_key:
    description:
      - Bearer token. Overrides the kubeconfig's credential.
      - Falls back to the environment variable E(K8S_AUTH_API_KEY).
    type: str
  api_key_file:
    description:
      - File with a bearer token; read again while the module runs, as projected tokens are renewed.
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
      - File of the key of O(client_cert).
      - Falls back to the environment variable E(K8S_AUTH_KEY_FILE).
    type: path
  validate_certs:
    description:
      - Whether the API server's certificate must be trusted. As the kubeconfig says, and yes without one, by default.
      - Falls back to the environment variable E(K8S_AUTH_VERIFY_SSL).
    type: bool
  proxy:
    description:
      - URL of a proxy on the way to the API server.
      - Falls back to the environment variable E(K8S_AUTH_PROXY).
    type: str
"""
