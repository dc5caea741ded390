# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster that holds the objects a test gives, for the kubernetes kinds to look at."""

from __future__ import annotations

import collections
import datetime
import json
import threading
import types
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import explain
from ansible_collections.sre.runbooks.plugins.module_utils._probes.engine import Result, run_probes
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session, declare_all
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kubernetes import ApiSession

#: The pods of the namespace that everything is asked of.
PODS = "/api/v1/namespaces/shop/pods"
NOW = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.timezone.utc)
Object = dict[str, t.Any]


def ago(seconds: float) -> str:
    return (NOW - datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Cluster:
    """Lists by path, all of them empty unless given; a number in place of a list is the status that refuses."""

    place = "https://cluster.test"

    def __init__(self, lists: dict[str, t.Any]) -> None:
        self._lists = lists
        self._lock = threading.Lock()
        self.asked: collections.Counter[str] = collections.Counter()
        self.queries: list[dict[str, t.Any]] = []

    def get(self, path: str, query: t.Any = None) -> Object:
        with self._lock:
            self.asked[path] += 1
            self.queries.append(dict(query or {}))
        found = self._lists.get(path, [])
        if isinstance(found, int):
            raise explain("GET", path, self.place, found, {"reason": "Refused"})
        return found if isinstance(found, dict) else {"metadata": {}, "items": found}

    def request(self, _method: str, path: str, query: t.Any = None, accept: str = "") -> t.Any:
        """What is no object comes as it is: the log of a container, of which a kubelet gives the last lines."""
        found = self._lists.get(path, {}) if path.endswith("/log") else None
        if isinstance(found, dict) and query and query.get("container") in found:
            self.queries.append(query)
            lines = found[query["container"]].splitlines(keepends=True)[-query["tailLines"] :]
            return types.SimpleNamespace(body="".join(lines).encode()[: query["limitBytes"]])
        return types.SimpleNamespace(body=json.dumps(self.get(path, query)).encode())

    def now(self) -> datetime.datetime:
        return NOW

    def close(self) -> None:
        pass


class Clustered(Session):
    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self._api = ApiSession({})
        self._api._cluster = t.cast(t.Any, cluster)

    def kubernetes(self, options: dict[str, t.Any]) -> ApiSession:
        return self._api


def ask(cluster: Cluster, *declarations: Object) -> list[Result]:
    session = Clustered(cluster)
    results, _ = run_probes(
        declare_all([{"namespace": "shop", "timeout": 60, **one} for one in declarations], session), session.close
    )
    return results


def look(kind: str, lists: dict[str, t.Any], **options: t.Any) -> Result:
    scope = {} if kind in ("kubernetes_nodes", "kubernetes_api") else {"namespace": "shop"}
    session = Clustered(Cluster(lists))
    (result,), _ = run_probes(declare_all([{"kind": kind, "timeout": 60, **scope, **options}], session), session.close)
    return result


def item(name: str, spec: t.Any = None, status: t.Any = None, **metadata: t.Any) -> Object:
    described = {"name": name, "namespace": "shop", "creationTimestamp": ago(9000), "uid": name, **metadata}
    return {"metadata": described, "spec": spec or {}, "status": status or {}}
