# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a plan is made: recorded and live objects side by side, kind by kind, the server's dry run where they differ."""

from __future__ import annotations

import concurrent.futures
import json
import re
import threading
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import fields, ownership
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.compare import (
    FieldDifference,
    differences,
    is_free_form,
)
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.content import Item, Name
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.discovery import Discovery, Kind
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import ApiFailure, Conflict, Invalid
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.overlay import overlay
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.owners import Owners, Resolved, without_notes
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.paging import list_path
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.plan import (
    CHANGE,
    CONFLICT,
    CREATE,
    Change,
    Extra,
    FieldConflict,
    Plan,
)

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster
    from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress

Content = t.Mapping[Kind, t.Mapping[Name, Item]]

_ATTEMPTS = 5
#: Questions to the server that wait with their objects, for each that is asked at once.
_ASKED = 4
_OWNERS_NOTED = fields.OWNERS.encode()
_KEEPS = "the server keeps its own value: an admission webhook or a policy sets it"
#: An index or an item's name in a path: defaults are the same for every item.
_PLACE = re.compile(r"\[[^\]]*\]")


class Planner:
    """Compares ``content`` with what is live. Nothing is changed.

    :arg namespace, selector: what the point was taken of; they bound what counts as an extra object.
    :arg jobs: how many questions are open at once.
    """

    def __init__(
        self,
        cluster: Cluster,
        discovery: Discovery,
        content: Content,
        namespace: str | None,
        selector: str | None = None,
        jobs: int = 8,
        progress: Progress | None = None,
    ) -> None:
        self._cluster = cluster
        self._content = content
        self._namespace = namespace
        self._selector = selector
        self._jobs = jobs
        self._progress = progress
        self._served = ServedKinds(discovery, content)
        self._owners = Owners(cluster, discovery, self._is_coming)
        self._scaled = scaled_workloads(content)
        self._by_kind = {(kind.group, kind.kind): items for kind, items in content.items()}
        # (kind, path, value) of fields that the server is known to fill in.
        self._defaults: set[tuple[Kind, str, str]] = set()
        self._lock = threading.Lock()
        self._plan = Plan()

    def plan(self) -> Plan:
        """Look at everything. Raises :class:`ApiFailure`, :class:`Forbidden` where it may not be read."""
        self._plan = Plan()
        total = sum(len(items) for items in self._content.values())
        if self._progress is not None:
            self._progress.step("comparing objects", total)
        with concurrent.futures.ThreadPoolExecutor(self._jobs, "compare") as pool:
            for kind, items in self._content.items():
                self._plan_kind(kind, items, pool)
        return self._plan

    def desired(self, item: Item, kind: Kind, live: t.Mapping[str, t.Any] | None = None) -> dict[str, t.Any]:
        """What is to be applied: in a version that is served, its owners those that are here.

        :arg live: the live object, if there is one.
        """
        document, owners = self._adapted(item, kind, live)
        owners.put(document)
        return document

    def replacement(self, item: Item, kind: Kind, live: dict[str, t.Any]) -> dict[str, t.Any]:
        """What is to take a live object's place: with all that the server has set, and no other content."""
        content = without_notes(fields.desired(live), live)
        return t.cast("dict[str, t.Any]", overlay(self.desired(item, kind, live), content, live))

    def differences(self, item: Item, kind: Kind, live: dict[str, t.Any]) -> list[FieldDifference]:
        """The fields of a live object that are not as recorded."""
        document, owners = self._adapted(item, kind, live)
        owners.note(document)
        return differences(document, fields.desired(live))

    def _adapted(self, item: Item, kind: Kind, live: t.Mapping[str, t.Any] | None) -> tuple[dict[str, t.Any], Resolved]:
        document = item.document()
        document["apiVersion"] = kind.api_version
        owners = self._owners.resolve(document, item.name.namespace)
        if owners.dropped or owners.pending:
            with self._lock:
                self._plan.dropped_owners.update(f"{item.label}: {reason}" for reason in owners.dropped)
                if owners.pending:
                    self._plan.pending_owners.add(item.label)
        if live is not None and (kind.group, kind.kind, item.name) in self._scaled:
            # How many it has is for its autoscaler to say.
            replicas = (live.get("spec") or {}).get("replicas")
            if replicas is not None:
                document["spec"]["replicas"] = replicas
        return document, owners

    def forget_owners(self) -> None:
        """Owners were created: look them up again."""
        self._owners.forget()

    def _is_coming(self, group: str, kind: str, name: Name) -> bool:
        return name in self._by_kind.get((group, kind), {})

    def _plan_kind(self, kind: Kind, items: t.Mapping[Name, Item], pool: concurrent.futures.Executor) -> None:
        served = self._served.find(kind)
        if served is None:
            if items:
                self._plan.unserved.append(f"{len(items)} of {kind.api_version} {kind.kind}: {self._served.why(kind)}")
            return
        if served != kind and items:
            self._plan.mapped.append(f"{kind.api_version} {kind.kind} as {served.api_version}")
        missing = dict(items)
        asked: list[concurrent.futures.Future[None]] = []
        # A kind whose definition is only to come has no live objects.
        for live in self._live(served) if self._served.is_live(served) else ():
            name = Name(live["metadata"].get("namespace") or "", live["metadata"]["name"])
            item = missing.pop(name, None)
            if item is not None:
                self._compare(item, served, live, pool, asked)
                while len(asked) > _ASKED * self._jobs:
                    asked.pop(0).result()
            elif ownership.left_to(live) is None and not ownership.is_marker(live):
                self._plan.extras.append(Extra(served, name, live["metadata"]["uid"], _compact(live)))
        for item in missing.values():
            if self._selector is None:
                self._add_missing(item, served)
            else:
                # It may be there with other labels.
                asked.append(pool.submit(self._look, item, served, pool, asked))
        while asked:
            asked.pop().result()

    def _live(self, kind: Kind) -> t.Iterable[dict[str, t.Any]]:
        if not kind.namespaced and self._namespace is not None:
            # Of a namespace's component only what the point names: its namespace, definitions, bindings.
            for name in list(self._content_of(kind)):
                document = self._cluster.find(kind.path(None, name.name))
                if document is not None:
                    yield document
            return
        query = {"labelSelector": self._selector} if self._selector else None
        for document in list_path(self._cluster, kind.path(self._namespace), query):
            # Items of a list do not say what they are.
            document.setdefault("apiVersion", kind.api_version)
            document.setdefault("kind", kind.kind)
            yield document

    def _content_of(self, kind: Kind) -> t.Mapping[Name, Item]:
        return self._by_kind.get((kind.group, kind.kind), {})

    def _look(
        self,
        item: Item,
        kind: Kind,
        pool: concurrent.futures.Executor,
        asked: list[concurrent.futures.Future[None]],
    ) -> None:
        live = self._cluster.find(kind.path(item.name.namespace or None, item.name.name))
        if live is None:
            self._add_missing(item, kind)
        else:
            self._compare(item, kind, live, pool, asked)

    def _compare(
        self,
        item: Item,
        kind: Kind,
        live: dict[str, t.Any],
        pool: concurrent.futures.Executor,
        asked: list[concurrent.futures.Future[None]],
    ) -> None:
        if self._progress is not None:
            self._progress.add(1)
        if live["metadata"].get("deletionTimestamp"):
            finalizers = ", ".join(live["metadata"].get("finalizers") or []) or "none"
            with self._lock:
                self._plan.terminating.append(f"{item.label} (finalizers: {finalizers})")
            self._add(Change(item, kind, CREATE, terminating=live["metadata"]["uid"]))
            return
        found = self._unexplained(kind, self.differences(item, kind, live))
        if found:
            asked.append(pool.submit(self._ask, item, kind, live, found))
        else:
            with self._lock:
                self._plan.same += 1

    def _unexplained(self, kind: Kind, found: list[FieldDifference]) -> list[FieldDifference]:
        """The differences, unless all of them are fields that the server fills in."""
        if all(_default_key(kind, difference) in self._defaults for difference in found):
            return []
        return found

    def _ask(self, item: Item, kind: Kind, live: dict[str, t.Any], found: list[FieldDifference]) -> None:
        """Let the server say what replacing would give."""
        change = Change(item, kind, CHANGE, found)
        for _attempt in range(_ATTEMPTS):
            change.differences = self.differences(item, kind, live)
            try:
                answer = self._cluster.update(change.path, self.replacement(item, kind, live), dry_run=True)
            except Conflict:
                fresh = self._cluster.find(change.path)
                if fresh is None:
                    self._add(Change(item, kind, CREATE))
                    return
                live = fresh
            except Invalid as error:
                if "dry run" in error.api_message:
                    change.problem = error.api_message
                else:
                    change.action = CONFLICT
                    change.conflicts = field_conflicts(error, change.differences)
                break
            except ApiFailure as error:
                # A webhook that is down, a quota: applying may meet it again, and says then what it was.
                change.problem = error.api_message or error.message
                break
            else:
                effective = differences(fields.desired(answer), fields.desired(live))
                refused = [difference for difference in change.differences if not difference.added]
                if not effective and refused:
                    change.action = CONFLICT
                    change.conflicts = [FieldConflict(each.path, _KEEPS) for each in refused]
                elif not effective:
                    with self._lock:
                        self._plan.same += 1
                        self._defaults.update(
                            _default_key(kind, difference)
                            for difference in change.differences
                            if not is_free_form(difference)
                        )
                    return
                break
        change.live = _compact(live)
        self._add(change)

    def _add_missing(self, item: Item, kind: Kind) -> None:
        if _OWNERS_NOTED in item.raw:
            self._adapted(item, kind, None)  # so that owners who are not there are known beforehand
        self._add(Change(item, kind, CREATE))

    def _add(self, change: Change) -> None:
        with self._lock:
            self._plan.changes.append(change)


def _default_key(kind: Kind, difference: FieldDifference) -> tuple[Kind, str, str]:
    value = repr(difference.live) if difference.added else f"not added: {difference.path}"
    return kind, _PLACE.sub("[]", difference.path), value


def field_conflicts(error: ApiFailure, found: t.Sequence[FieldDifference]) -> list[FieldConflict]:
    """What the server objects to, field by field; the fields that differ where it names none."""
    conflicts = [
        FieldConflict(str(cause.get("field") or "(object)"), " ".join(str(cause.get("message") or "").split())[:300])
        for cause in error.causes
    ]
    if conflicts:
        return conflicts
    message = " ".join(error.api_message.split())[:300]
    return [FieldConflict(difference.path, message) for difference in found[:20]] or [
        FieldConflict("(object)", message)
    ]


def scaled_workloads(content: Content) -> set[tuple[str, str, Name]]:
    """The workloads whose replicas a recorded autoscaler sets: group, kind, name."""
    found = set()
    for kind, items in content.items():
        if (kind.group, kind.kind) != ("autoscaling", "HorizontalPodAutoscaler"):
            continue
        for item in items.values():
            target = (item.document().get("spec") or {}).get("scaleTargetRef") or {}
            group, slash, _version = str(target.get("apiVersion", "")).partition("/")
            name = Name(item.name.namespace, str(target.get("name", "")))
            found.add((group if slash else "", str(target.get("kind", "")), name))
    return found


class ServedKinds:
    """Recorded kinds as the cluster serves them, now or once the recorded definitions are there."""

    def __init__(self, discovery: Discovery, content: Content) -> None:
        self._discovery = discovery
        self._live = {kind for versions in discovery.served.values() for kind in map(_bare, versions)}
        self._coming: set[tuple[str, str, str]] = set()
        for kind, items in content.items():
            if kind.kind == "CustomResourceDefinition":
                for item in items.values():
                    self._coming.update(_defined(item.document()))

    def find(self, kind: Kind) -> Kind | None:
        """The same kind in its recorded version, else in another that is served."""
        if _bare(kind) in self._live or (kind.group, kind.version, kind.kind) in self._coming:
            return _bare(kind)
        versions = self._discovery.served.get((kind.group, kind.kind))
        return _bare(versions[0]) if versions else None

    def is_live(self, kind: Kind) -> bool:
        """Whether it is served already."""
        return _bare(kind) in self._live

    def why(self, kind: Kind) -> str:
        """Why there is none, in words."""
        problem = self._discovery.unavailable.get(kind.api_version)
        return problem or "no version of that kind is served here, and the recovery point has no definition of it"


def _bare(kind: Kind) -> Kind:
    return Kind(kind.group, kind.version, kind.resource, kind.kind, kind.namespaced)


def _defined(definition: t.Mapping[str, t.Any]) -> t.Iterator[tuple[str, str, str]]:
    spec = definition.get("spec") or {}
    for version in spec.get("versions") or []:
        if version.get("served"):
            yield spec["group"], version["name"], spec["names"]["kind"]


def _compact(document: t.Mapping[str, t.Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
