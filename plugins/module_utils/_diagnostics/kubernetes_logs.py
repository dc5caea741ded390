# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ends of containers' logs, of those in trouble first, and what a container said before it ended."""

from __future__ import annotations

import collections
import contextlib
import threading
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.desk import Desk, TimeIsUp
from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.pod_logs import read_end
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.pods import (
    container_statuses,
    restarts_of,
    trouble_of,
)
from ansible_collections.sre.runbooks.plugins.module_utils._log_lines import matching
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kubernetes import named
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.kubernetes import Scope

_MOST_CONTAINERS = 60
_LINES = 2000
_AT_ONCE = 4
#: Read beside what is kept, so that a key whose beginning is cut off is known as one.
_BESIDE = 64 << 10
_GRACE_S = 60.0

Object = dict[str, t.Any]


def logs(desk: Desk, scope: Scope) -> None:
    """Of every container that has started."""
    found = []
    for pod in _worst_first(scope):
        found += [(pod, entry["name"]) for entry in container_statuses(pod) if not _waits_for_first_start(entry)]
    _read_all(desk, scope, found, previous=False)


def previous_logs(desk: Desk, scope: Scope) -> None:
    """Of every container that was restarted."""
    found = [(pod, one.container) for pod in _worst_first(scope) for one in restarts_of(pod)]
    _read_all(desk, scope, found, previous=True)


def _worst_first(scope: Scope) -> list[Object]:
    now = scope.now()

    def weight(pod: Object) -> tuple[bool, int, str]:
        troubled = trouble_of(pod, now, _GRACE_S) is not None
        return not troubled, -sum(one.count for one in restarts_of(pod)), named(pod)

    return sorted(scope.objects("/api/v1", "pods"), key=weight)


def _waits_for_first_start(entry: Object) -> bool:
    return "waiting" in (entry.get("state") or {}) and not entry.get("lastState")


def _read_all(desk: Desk, scope: Scope, found: list[tuple[Object, str]], previous: bool) -> None:
    if len(found) > _MOST_CONTAINERS:
        desk.problem(f"of {len(found)} containers only the logs of {_MOST_CONTAINERS} are kept, those in trouble first")
    waiting = collections.deque(found[:_MOST_CONTAINERS])

    def work() -> None:
        with contextlib.suppress(TimeIsUp):
            while waiting:
                try:
                    pod, container = waiting.popleft()
                except IndexError:
                    return  # another thread was quicker
                _keep(desk, scope, pod, container, previous)

    # Not a pool, whose threads the end of the process would wait for.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(_AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(desk.left_s)
    if any(thread.is_alive() for thread in threads):
        raise TimeIsUp


def _keep(desk: Desk, scope: Scope, pod: Object, container: str, previous: bool) -> None:
    name = f"{named(pod)}/{container}"
    try:
        text, note = _end_of(desk, scope, pod, container, previous)
    except TimeIsUp:
        raise
    except RunbookError as error:
        desk.problem(f"{name}: {error}")
        return
    except Exception as error:  # whatever it is, the other logs are read
        desk.problem(f"{name}: {type(error).__name__}: {error}")
        return
    if not text:
        return
    desk.text(f"{name.replace('/', '_')}.log", text, newest_last=True, note=note)
    bad = matching(text)
    if bad:
        which = "last words" if previous else "log"
        desk.finding(
            "note", f"{counted(bad, 'line')} of the {which} of {name} {'speaks' if bad == 1 else 'speak'} of errors"
        )


def _end_of(desk: Desk, scope: Scope, pod: Object, container: str, previous: bool) -> tuple[str, str]:
    """The last lines, and what is left out."""
    limit = desk.item_limit + _BESIDE
    cluster = scope.session.cluster
    body, lines = read_end(cluster, pod, container, _LINES, limit, previous=previous, timestamps=True)
    whole = body.count(b"\n") < lines
    if len(body) >= limit:
        body = body[: desk.item_limit]  # half a secret at its end is not known as one
    return body.decode("utf-8", "replace"), "" if whole else f"only the last {lines} lines are asked for"
