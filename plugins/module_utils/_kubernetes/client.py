# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests to an API server: plain dicts in and out, bounded in time, repeated where that is safe.

The official client knows how to log in and how to trust; its classes for kinds are left alone, because they drop every
field that they do not know.
"""

from __future__ import annotations

import datetime
import email.utils
import json
import types
import typing as t
import urllib.parse

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.access import Access, access_from
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import (
    ApiFailure,
    Unreachable,
    clean,
    explain,
    waits_for_webhook,
)
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.retries import Attempts, Patience, may_repeat

#: Our name among ``managedFields``.
FIELD_MANAGER = "sre-runbooks"
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
#: The most bytes of one answer: ten times what etcd would hold in one list of ours.
ANSWER_LIMIT = 512 << 20
#: A webhook that is down is not back in a moment, and request after request would wait for it while nobody is served.
_WEBHOOK_ATTEMPTS = 3

Query = t.Mapping[str, "str | int | bool | None"]


class Answer(t.NamedTuple):
    """``body``: the bytes. ``headers``: by lower-case name."""

    status: int
    headers: dict[str, str]
    body: bytes

    def document(self) -> t.Any:
        """The JSON of the body; its text where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return self.body.decode("utf-8", "replace")


class Cluster:
    """One API server. Threads may share it; close it, or use it as a context.

    Every method raises :class:`ApiFailure` or one of its kin (``errors.py``); a request that no answer comes to is
    repeated for :attr:`patience` and then raises :class:`Unreachable`.
    """

    def __init__(self, access: Access, patience: Patience | None = None) -> None:
        import kubernetes.client

        self.access = access
        self.patience = patience or Patience()
        #: The official one; its own ``configuration`` knows how to trust, :meth:`Access.headers` how to log in.
        self.api_client: t.Any = kubernetes.client.ApiClient(access.configuration)
        #: The API server's clock at its latest answer; None before the first.
        self.server_time: datetime.datetime | None = None

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.api_client.rest_client.pool_manager.clear()
        self.access.close()

    @property
    def place(self) -> str:
        """For messages: the server's URL."""
        return self.access.place

    def get(self, path: str, query: Query | None = None) -> dict[str, t.Any]:
        """Read one document."""
        return self._document("GET", path, query)

    def create(self, path: str, body: t.Mapping[str, t.Any], dry_run: bool = False) -> dict[str, t.Any]:
        """Create an object in the collection at ``path``. What may have been carried out is not asked for again.

        :arg dry_run: here and below, let the server say what would be, and write nothing.
        """
        return self._document("POST", path, _writing(dry_run), body)

    def update(self, path: str, body: t.Mapping[str, t.Any], dry_run: bool = False) -> dict[str, t.Any]:
        """Replace the object at ``path``; with its resource version, only as it was read."""
        return self._document("PUT", path, _writing(dry_run), body)

    def patch(self, path: str, body: t.Any, content_type: str = MERGE_PATCH, dry_run: bool = False) -> dict[str, t.Any]:
        """Change the object at ``path`` by a mapping, or for ``application/json-patch+json`` a sequence of steps."""
        return self._document("PATCH", path, _writing(dry_run), body, content_type)

    def apply(
        self,
        path: str,
        body: t.Mapping[str, t.Any],
        force: bool = False,
        dry_run: bool = False,
        manager: str = FIELD_MANAGER,
    ) -> dict[str, t.Any]:
        """Server-side apply; creates what is not there. Fields that the server does not know are refused.

        :arg force: take fields that others manage; without it they raise :class:`Conflict`, whose causes name them.
        """
        query = {**_writing(dry_run), "fieldManager": manager, "force": force, "fieldValidation": "Strict"}
        return self._document("PATCH", path, query, body, APPLY_PATCH)

    def delete(self, path: str, body: t.Mapping[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Delete the object at ``path``.

        :arg body: ``DeleteOptions``, such as ``{"propagationPolicy": "Background", "preconditions": {"uid": …}}``.
        """
        return self._document("DELETE", path, None, body)

    def version(self) -> dict[str, str]:
        """The server's ``/version``: ``gitVersion``, ``major``, ``minor``, ``platform``."""
        return {str(key): str(value) for key, value in self.get("/version").items()}

    def exists(self, path: str) -> bool:
        """Whether there is an object at ``path``; what may not be read raises :class:`Forbidden`."""
        return self.find(path) is not None

    def find(self, path: str) -> dict[str, t.Any] | None:
        """The object at ``path``; None when there is none."""
        try:
            return self.get(path)
        except ApiFailure as error:
            if error.status == 404:
                return None
            raise

    def _document(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: t.Any = None,
        content_type: str = JSON,
    ) -> dict[str, t.Any]:
        answer = self.request(method, path, query, body, content_type=content_type)
        document = answer.document()
        if not isinstance(document, dict):
            raise ApiFailure(
                f"{self.place} gave something other than an object for {path}",
                status=answer.status,
                expected="a JSON object, from an API server",
                found=clean(str(document), self.access.secrets(), longest=200),
                next_command="correct component_kubernetes_host: it must be the API server, not a proxy's login page",
            )
        return document

    def request(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: t.Any = None,
        accept: str = JSON,
        content_type: str = JSON,
    ) -> Answer:
        """One request, repeated while that is safe and patience lasts.

        :arg path: from the server's root, such as ``/api/v1/namespaces``, quoted where a name needs it.
        :arg body: what ``json`` can write; None for none.
        :raises ApiFailure: of the kind of the last answer's status.
        """
        import urllib3

        url = str(self.access.configuration.host).rstrip("/") + path + _query(query)
        content = None if body is None else json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        attempts = Attempts(self.patience)
        ours = not _names_version(body)
        renewed = False
        while True:
            failure: ApiFailure
            try:
                answer = self._once(method, url, content, accept, content_type)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                # Only a connection that never stood surely carried no request.
                sent = not isinstance(
                    error, (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
                )
                failure = self._unanswered(method, path, error, attempts.made)
                if isinstance(error, urllib3.exceptions.SSLError) or not may_repeat(method, None, sent=sent):
                    raise failure from None
                retry_after = None
            else:
                if 200 <= answer.status < 300:
                    return answer
                document = answer.document()
                failure = explain(method, path, self.place, answer.status, document, self.access.secrets())
                if answer.status == 401 and not renewed and self.access.renew():
                    renewed = True  # the token's file was renewed while we used the old one
                    continue
                if not may_repeat(method, answer.status, failure.reason, ours=ours and not failure.causes):
                    raise failure
                retry_after = answer.headers.get("retry-after")
            if attempts.made >= _WEBHOOK_ATTEMPTS and waits_for_webhook(failure):
                raise failure
            if not attempts.again(retry_after):
                tried = f"after {attempts.made} attempts"
                so_far = (failure.found or "").removesuffix(f", {tried}")
                failure.found = f"{so_far}, {tried} in {self.patience.retry_s:g} s"
                raise failure

    def _once(self, method: str, url: str, content: bytes | None, accept: str, content_type: str) -> Answer:
        import urllib3

        headers = {**self.access.headers(), "Accept": accept, "User-Agent": FIELD_MANAGER}
        if content is not None:
            headers["Content-Type"] = content_type
        response = self.api_client.rest_client.pool_manager.request(
            method,
            url,
            body=content,
            headers=headers,
            timeout=urllib3.Timeout(connect=self.patience.connect_s, read=self.patience.read_s),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        try:
            found = {name.lower(): value for name, value in response.headers.items()}
            self._observe(found.get("date"))
            body = response.read(ANSWER_LIMIT + 1)
            if len(body) > ANSWER_LIMIT:
                raise ApiFailure(
                    f"an answer of {self.place} is too long",
                    status=response.status,
                    expected=f"at most {ANSWER_LIMIT} bytes",
                    found="more",
                )
            return Answer(response.status, found, body)
        except BaseException:
            response.close()  # what is left of the answer must not be taken for the next one's
            raise
        finally:
            response.release_conn()

    def _observe(self, date: str | None) -> None:
        try:
            moment = email.utils.parsedate_to_datetime(date or "")
        except (TypeError, ValueError):
            return
        self.server_time = moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)

    def now(self) -> datetime.datetime:
        """The API server's clock, to the second, at its latest answer; this host's before the first."""
        return self.server_time or _clock.now()

    def _unanswered(self, method: str, path: str, error: BaseException, made: int) -> Unreachable:
        tries = f", after {made} attempts" if made > 1 else ""
        certificate = "certificate" in str(error).lower() or "ssl" in type(error).__name__.lower()
        return Unreachable(
            f"no answer of the API server at {self.place} to {method} {path}",
            expected=f"an API server whose certificate {'component_kubernetes_ca_cert vouches for' if certificate else 'is trusted'}"
            f", within {self.patience.connect_s:g} s",
            found=clean(f"{type(error).__name__}: {error}", self.access.secrets()) + tries,
            next_command="correct component_kubernetes_ca_cert and component_kubernetes_host"
            if certificate
            else "wait until the server answers (kubectl get --raw /readyz), then: the same command",
        )


def connect(params: t.Mapping[str, t.Any], patience: Patience | None = None) -> Cluster:
    """The cluster of a module's options, see :func:`access_from`. Nothing is asked of it yet."""
    access = access_from(params)
    try:
        return Cluster(access, patience)
    except BaseException:
        access.close()
        raise


def quoted(name: str) -> str:
    """A name as one segment of a path; RBAC names may hold colons and more."""
    return urllib.parse.quote(name, safe=":")


def _writing(dry_run: bool) -> dict[str, t.Any]:
    return {"fieldManager": FIELD_MANAGER, "dryRun": "All" if dry_run else None}


def _query(query: Query | None) -> str:
    found = {}
    for name, value in (query or {}).items():
        if value is None:
            continue
        found[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return f"?{urllib.parse.urlencode(found)}" if found else ""


def _names_version(body: t.Any) -> bool:
    metadata = body.get("metadata") if isinstance(body, dict) else None
    return isinstance(metadata, dict) and bool(metadata.get("resourceVersion"))
