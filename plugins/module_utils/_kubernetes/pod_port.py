# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ``transport`` option of modules whose server may live in a pod: one tunnel per pod and port in this process."""

from __future__ import annotations

import atexit
import json
import threading
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import connect
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.pod_choice import choose_pod
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.tunnel import Tunnel

#: How long a pod may take to become ready, where the option does not say.
_READY = "1m"
_APPEARS_S = 5.0
_open: dict[str, Tunnel] = {}
_lock = threading.Lock()


def way_to(transport: t.Mapping[str, t.Any]) -> Tunnel:
    """The tunnel that leads where the option says, opened at the first call and closed when this process ends.

    :arg transport: ``namespace``, ``pod`` or ``pod_selector``, ``port``, ``timeout``, and the connection options of the cluster.
    :raises InvalidInput: no namespace, pod or port is named.
    :raises RunbookError: see :func:`choose_pod`, :func:`connect`.
    """
    key = json.dumps(transport, sort_keys=True, default=str)
    with _lock:
        if key not in _open:
            _open[key] = _opened(transport)
        return _open[key]


def _opened(transport: t.Mapping[str, t.Any]) -> Tunnel:
    namespace, port = transport.get("namespace"), transport.get("port")
    if not namespace:
        raise InvalidInput(
            "nothing says in which namespace the pod is",
            expected="transport.namespace (component_kubernetes_namespace in the inventory)",
            found="none",
        )
    if not isinstance(port, int) or not 0 < port < 65536:
        raise InvalidInput("not a port of a pod", expected="1 to 65535 (component_kubernetes_port)", found=repr(port))
    ready_s = parse_duration(transport.get("timeout") or _READY)
    cluster = connect(transport)
    # Its credentials serve every connection that is made through the tunnel.
    atexit.register(cluster.close)
    asked = (transport.get("pod"), transport.get("pod_selector"))
    pod = choose_pod(cluster, str(namespace), *asked, appears_s=min(_APPEARS_S, ready_s), ready_s=ready_s)
    tunnel = Tunnel(cluster.access, str(namespace), pod["metadata"]["name"], port)
    atexit.register(tunnel.close)
    return tunnel
