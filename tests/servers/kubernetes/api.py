# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tests' own way to a Kubernetes API: plain HTTP and plain objects, nothing of the code under test."""

from __future__ import annotations

import collections.abc
import http.client
import json
import ssl
import threading
import time
import typing as t
import urllib.parse

from tests.servers.kubernetes.credentials import Pair

Object = dict[str, t.Any]
_CONTENT = {"PATCH": "application/merge-patch+json"}
_APPLY = "application/apply-patch+yaml"


class ApiFault(Exception):
    """What the server refused."""

    def __init__(self, status: int, document: Object) -> None:
        super().__init__(f"{status} {document.get('reason')}: {document.get('message')}")
        self.status = status
        self.document = document


class Api:
    """One user's requests to one server; any thread may send them."""

    def __init__(self, url: str, ca: str, user: Pair | str) -> None:
        self.url = url
        self._address = urllib.parse.urlsplit(url)
        self._context = ssl.create_default_context(cafile=ca)
        self._token = user if isinstance(user, str) else None
        if not isinstance(user, str):
            self._context.load_cert_chain(user.certificate, user.key)
        self._local = threading.local()
        self._resources: dict[str, dict[str, Object]] = {}

    def request(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        content_type: str | None = None,
        accept: str = "application/json",
        **query: t.Any,
    ) -> t.Any:
        """One request: the decoded answer, or its text where it is no JSON.

        :raises ApiFault: for every answer that is not 2xx.
        """
        if query:
            path += ("&" if "?" in path else "?") + urllib.parse.urlencode(query)
        headers = {"Accept": accept}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = content_type or _CONTENT.get(method, "application/json")
        status, content, kind = self._send(method, path, data, headers)
        document = json.loads(content) if kind.startswith("application/json") else content.decode()
        if not 200 <= status < 300:
            raise ApiFault(status, document if isinstance(document, dict) else {"message": document})
        return document

    def _send(self, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> tuple[int, bytes, str]:
        kept: http.client.HTTPSConnection | None = getattr(self._local, "connection", None)
        for connection in [kept] if kept else []:
            try:
                return self._exchange(connection, method, path, data, headers)
            except (OSError, http.client.HTTPException):
                connection.close()  # an idle one that the server gave up
        fresh = http.client.HTTPSConnection(
            str(self._address.hostname), self._address.port, timeout=60, context=self._context
        )
        self._local.connection = fresh
        return self._exchange(fresh, method, path, data, headers)

    @staticmethod
    def _exchange(
        connection: http.client.HTTPSConnection, method: str, path: str, data: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes, str]:
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.getheader("Content-Type") or ""

    def path(self, api_version: str, kind: str, name: str = "", namespace: str | None = None) -> str:
        """Where an object, or without ``name`` the list of its kind, is."""
        base = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
        known = self._resources.get(base, {})
        if kind not in known:
            found = self.request("GET", base)["resources"]
            known = {entry["kind"]: entry for entry in found if "/" not in entry["name"]}
            self._resources[base] = known
        resource = known[kind]
        place = f"/namespaces/{namespace}" if resource["namespaced"] and namespace else ""
        return f"{base}{place}/{resource['name']}" + (f"/{name}" if name else "")

    def forget(self) -> None:
        """Look kinds up again: there are new ones."""
        self._resources.clear()

    def path_of(self, item: Object, with_name: bool = True) -> str:
        metadata = item["metadata"]
        name = metadata["name"] if with_name else ""
        return self.path(item["apiVersion"], item["kind"], name, metadata.get("namespace", "default"))

    def create(self, *items: Object) -> list[Object]:
        """Each as it is then; at the first refusal the rest is left."""
        return [self.request("POST", self.path_of(item, with_name=False), item) for item in items]

    def apply(self, item: Object, manager: str = "tests", force: bool = True) -> Object:
        """Server-side apply."""
        path, force_text = self.path_of(item), "true" if force else "false"
        return t.cast(Object, self.request("PATCH", path, item, _APPLY, fieldManager=manager, force=force_text))

    def patch(self, item: Object, change: Object, subresource: str = "") -> Object:
        """A merge patch of the object that ``item`` names."""
        path = self.path_of(item) + (f"/{subresource}" if subresource else "")
        return t.cast(Object, self.request("PATCH", path, change))

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Object:
        return t.cast(Object, self.request("GET", self.path(api_version, kind, name, namespace)))

    def find(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """As :meth:`get`; None where there is none."""
        try:
            return self.get(api_version, kind, name, namespace)
        except ApiFault as fault:
            if fault.status != 404:
                raise
            return None

    def list(self, api_version: str, kind: str, namespace: str | None = None, **query: t.Any) -> list[Object]:
        """Each with its version and kind, which the server leaves out in lists of its own kinds."""
        found = self.request("GET", self.path(api_version, kind, "", namespace), **query)["items"]
        return [{"apiVersion": api_version, "kind": kind, **item} for item in found]

    def delete(self, api_version: str, kind: str, name: str, namespace: str | None = None, gone_s: float = 180) -> None:
        """Delete it and wait until it is gone (``gone_s`` = 0: do not wait); nothing happens where there is none."""
        try:
            self.request("DELETE", self.path(api_version, kind, name, namespace), propagationPolicy="Background")
        except ApiFault as fault:
            if fault.status != 404:
                raise
        if gone_s:
            what = f"the end of {kind} {name}"
            wait(lambda: self.find(api_version, kind, name, namespace) is None, what, gone_s)

    def token(self, namespace: str, service_account: str, seconds: int = 3600) -> str:
        """A token that is a service account for at least ten minutes, which is the shortest that servers give."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": max(600, seconds)},
        }
        return str(self.request("POST", path, request)["status"]["token"])

    def ready(self, kind: str, name: str, namespace: str = "default", seconds: float = 120) -> Object:
        """Wait until a Deployment, StatefulSet, DaemonSet or Pod is ready, in its present form alone: as it is then."""
        version = "v1" if kind in ("Pod", "Node") else "apps/v1"

        def found() -> Object | None:
            item = self.find(version, kind, name, namespace)
            return item if item is not None and is_ready(item) else None

        return wait(found, f"{kind} {name} to be ready", seconds)


def is_ready(item: Object) -> bool:
    status, spec = item.get("status", {}), item.get("spec", {})
    if item["kind"] in ("Pod", "Node"):
        return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in status.get("conditions", []))
    if status.get("observedGeneration", 0) < item["metadata"].get("generation", 0):
        return False
    if item["kind"] == "DaemonSet":
        counts = {status.get(name, 0) for name in ("numberReady", "updatedNumberScheduled")}
        return counts == {status.get("desiredNumberScheduled")}
    # A pod of the former template is ready, too, until one of the present template takes its place.
    counts = {status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas")}
    return counts == {spec.get("replicas", 1)}


T = t.TypeVar("T")


def wait(condition: collections.abc.Callable[[], T | None], what: str, seconds: float = 120) -> T:
    """What ``condition`` returns once that is something true; only what is broken takes so long on a busy machine."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.05)
