# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the kubernetes kinds have in common: one API session and one look at each list a call, and how findings are summed up."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import shlex
import threading
import typing as t
from concurrent.futures import Future

from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.retries import Patience
from ansible_collections.sre.runbooks.plugins.module_utils._probes.blocking import BlockingCheck
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Option,
    Reading,
    boolean,
    names,
    text,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.findings import Finding, sum_up

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

Object = dict[str, t.Any]
#: A probe asks again by itself (``attempts``), so the client under it gives up soon.
_PATIENCE = Patience(connect_s=3.0, read_s=30.0, retry_s=2.0)


#: How the API is reached; the names are those of kubernetes.core.
CONNECTION: dict[str, Option] = {
    "kubeconfig": Option(text),
    "context": Option(text),
    "host": Option(text),
    "api_key": Option(text, secret=True),
    "api_key_file": Option(text),
    "ca_cert": Option(text),
    "client_cert": Option(text),
    "client_key": Option(text),
    "validate_certs": Option(boolean),
    "proxy": Option(text),
}
#: What is looked at: all namespaces without one.
SCOPE: dict[str, Option] = {
    **CONNECTION,
    "namespace": Option(text),
    "selector": Option(text),
    "ignore": Option(names, default=()),
}


class ApiSession:
    """One cluster for all probes of a call that name it; each list is asked for once."""

    def __init__(self, options: t.Mapping[str, t.Any]) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._cluster: Cluster | None = None
        self._lists: dict[tuple[str, str | None], Future[list[Object]]] = {}

    @property
    def cluster(self) -> Cluster:
        """Connected at the first use. Raises RunbookError when the options do not say to what."""
        from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import connect

        with self._lock:
            if self._cluster is None:
                self._cluster = connect({key: self._given(key) for key in CONNECTION}, _PATIENCE)
            return self._cluster

    def _given(self, name: str) -> t.Any:
        """An option, or what the environment says in its place, as for the options of modules."""
        from ansible_collections.sre.runbooks.plugins.module_utils._module import KUBERNETES_OPTIONS

        if self._options.get(name) is not None:
            return self._options[name]
        found = [os.environ[one] for one in KUBERNETES_OPTIONS[name]["fallback"][1] if os.environ.get(one)]
        return CONNECTION[name].convert(found[0]) if found else None

    def list(self, path: str, selector: str | None = None) -> list[Object]:
        """The objects of a collection, as some moment of this call saw them. Not for Secrets: it keeps them."""
        from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.paging import list_path

        with self._lock:
            answer = self._lists.get((path, selector))
            ours = answer is None
            if answer is None:
                answer = self._lists[path, selector] = Future()
        if ours:
            try:
                found = []
                for item in list_path(self.cluster, path, {"labelSelector": selector}):
                    item["metadata"].pop("managedFields", None)
                    found.append(item)
                answer.set_result(found)
            except BaseException as error:
                with self._lock:
                    # The next attempt asks again.
                    self._lists.pop((path, selector), None)
                answer.set_exception(error)
        return answer.result()

    def forget(self) -> None:
        """Ask for every list anew."""
        with self._lock:
            self._lists.clear()

    def close(self) -> None:
        with self._lock:
            cluster, self._cluster = self._cluster, None
        if cluster is not None:
            with contextlib.suppress(OSError, RunbookError):
                cluster.close()


class KubernetesCheck(BlockingCheck):
    """A kind says in :meth:`look` what it finds; what the API does not tell makes it "unknown"."""

    libraries: tuple[str, ...] = ("kubernetes.client", "kubernetes.config")

    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(session)
        self._options = options
        self._api = session.kubernetes({key: options[key] for key in CONNECTION})
        self._namespace: str | None = options.get("namespace")
        self._selector: str | None = options.get("selector")
        self._asked = False

    def _list(self, group: str, resource: str, selected: bool = True) -> list[Object]:
        """The objects of the scope: ``group`` such as ``/api/v1`` or ``/apis/apps/v1``."""
        if self._asked:
            self._api.forget()  # another attempt, which is about another moment
            self._asked = False
        middle = f"/namespaces/{self._namespace}" if self._namespace else ""
        return self._api.list(f"{group}{middle}/{resource}", self._selector if selected else None)

    async def ask(self) -> Reading:
        try:
            return await super().ask()
        finally:
            self._asked = True

    def _ignored(self, item: Object) -> bool:
        name = item["metadata"]["name"]
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self._options["ignore"])

    def kubectl(self, words: str, namespace: str | None = None) -> str:
        """A command for whoever looks further, in one namespace of several."""
        flags = "".join(
            f" --{key}={shlex.quote(self._options[key])}" for key in ("kubeconfig", "context") if self._options[key]
        )
        namespace = namespace or self._namespace
        scope = f" --namespace={shlex.quote(namespace)}" if namespace else " --all-namespaces"
        return f"kubectl{flags} {words}" + (scope if "namespace" in self._options else "")

    def sum_up(self, measured: str, findings: t.Sequence[Finding], **values: t.Any) -> Reading:
        """The reading of what was found: as bad as the worst of it, the worst first."""
        return sum_up(self, measured, findings, **values)


def named(item: t.Mapping[str, t.Any], kind: str = "") -> str:
    """``Deployment shop/api`` for messages."""
    metadata = item["metadata"]
    place = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{kind} {place}{metadata['name']}".strip()


def scope_of(options: t.Mapping[str, t.Any]) -> str:
    """What is probed, for a probe without a name."""
    return str(options.get("namespace") or options["context"] or "all namespaces")
