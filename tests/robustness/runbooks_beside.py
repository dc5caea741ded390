# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the kill sweep disturbs beside recovery points: evidence, records of runs, keys, indexes, copies of a server's files."""

from __future__ import annotations

import pathlib
import shutil
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import describe_holder
from ansible_collections.sre.runbooks.plugins.module_utils._repository.signatures import generate_key
from tests.robustness.module_process import Disturbance, Outcome
from tests.robustness.runbooks import Disturbed, Runbook, back_up, fill

_SIGNING_KEY = generate_key()[0]


def _evidence(component: Disturbed, disturbance: Disturbance | None = None) -> Outcome:
    given = {"force": True, "signing_key": _SIGNING_KEY, "encryption_identity": component.identities}
    return component.run("evidence", disturbance, **given)


def _something_new(component: Disturbed) -> None:
    """A point that no evidence knows yet."""
    fill(component)
    assert not back_up(component).failed


def _started(component: Disturbed, disturbance: Disturbance | None = None) -> Outcome:
    """A run of a controller that has ended; starting another one closes it."""
    gone = {**describe_holder(None), "pid_started": "1"}
    given = {"runbook": "back_up_components", "components": ["flights_db"], "operator": "a test", "controller": gone}
    return component.process.call("run", {**_where(component), **given}, disturbance)


def _where(component: Disturbed) -> dict[str, str]:
    return {"repository": component.url, "environment_name": "local"}


def _finished(component: Disturbed) -> Outcome:
    """The run after a killed one, to its end."""
    started = _started(component)
    if started.failed:
        return started
    given = {"state": "finished", "run_id": started.result["run_id"], "verdict": "met"}
    return component.process.call("run", {**_where(component), **given})


def _report(component: Disturbed, disturbance: Disturbance | None = None) -> Outcome:
    outcome = {"name": "flights_db", "engine": "postgresql", "rpo": "5m", "outcome": "ok"}
    given = {
        "run_id": _state(component, "run_id").read_text(),
        "runbook": "back_up_components",
        "report_dir": str(_state(component, "reports")),
        "components": [outcome],
    }
    return component.process.call("report", {**_where(component), **given}, disturbance)


def _open_run(component: Disturbed) -> None:
    started = _started(component)
    assert not started.failed, str(started)
    _state(component, "run_id").write_text(started.result["run_id"])


def _state(component: Disturbed, name: str) -> pathlib.Path:
    """A place of ours that belongs to nobody else's directory."""
    place = component.path / "beside"
    place.mkdir(exist_ok=True)
    return place / name


def _key(module: str) -> Runbook:
    """A secret file and a public one, made where neither is."""

    def act(component: Disturbed, disturbance: Disturbance | None = None) -> Outcome:
        directory = _state(component, module)
        directory.mkdir(exist_ok=True)
        return component.process.call(module, {"path": str(directory / "secret.key")}, disturbance)

    return Runbook(
        act,
        act,
        act,
        prepare=lambda component: shutil.rmtree(_state(component, module), ignore_errors=True),
        left=lambda component: [
            f"left beside the keys: {path.name}"
            for path in _state(component, module).iterdir()
            if path.name not in ("secret.key", "secret.pub", "age-recipient.txt")
        ],
    )


def _break_index(component: Disturbed) -> None:
    """As a rebuild that was killed half way leaves it: no query uses it."""
    component.server.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'flights_dest_idx'::regclass", "flights"
    )


def _reindex(component: Disturbed, disturbance: Disturbance | None = None) -> Outcome:
    # What a killed rebuild left has a name that only the diagnosis tells.
    names = [name for (name,) in component.server.execute(_INVALID, "flights")] or ["flights_dest_idx"]
    given = {"indexes": [{"database": "flights", "name": name} for name in names], **component.server.params()}
    return component.process.call("postgresql_reindex", given, disturbance)


_INVALID = (
    "SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON oid = indexrelid"
    " WHERE NOT indisvalid AND relnamespace = 'public'::regnamespace ORDER BY 1"
)


def _copy(component: Disturbed, disturbance: Disturbance | None = None) -> Outcome:
    given = {"dest": str(_state(component, "copy")), **component.server.params()}
    return component.process.call("postgresql_copy", given, disturbance)


def _left_of_report(component: Disturbed) -> list[str]:
    reports = _state(component, "reports")
    run_id = _state(component, "run_id").read_text()
    told = {path.name for path in (reports / run_id).iterdir()}
    problems = [
        f"left in the report's directory: {name}"
        for name in told - {"report.json", "report.md", "report.html", "report.junit.xml", "report.prom"}
    ]
    problems += [f"left beside the reports: {path.name}" for path in reports.iterdir() if path.name[0] == "."]
    # Of two that started in the same second, either may be the latest.
    if (reports / "latest").resolve().name[:15] < run_id[:15]:
        problems.append("latest is an older report")
    return problems + _open_runs(component)


def _open_runs(component: Disturbed) -> list[str]:
    store = component.repository.store
    # A mark whose run was killed before it was written is cleared away when nobody can be about to write it any more.
    runs = list(store.children("runs/"))
    problems = [f"a run is open still: {name}" for name in store.children("control/runs/") if f"{name[:-5]}/" in runs]
    problems += [f"never closed: {name}" for name in runs if "closed.json" not in set(store.children(f"runs/{name}"))]
    return problems


BESIDE = {
    "run": Runbook(_started, _finished, _finished, prepare=_finished, left=_open_runs),
    "report": Runbook(_report, _report, _report, prepare=_open_run, left=_left_of_report),
    "signing key": _key("signing_key"),
    "age identity": _key("age_identity"),
    "reindex": Runbook(
        _reindex,
        _reindex,
        _reindex,
        prepare=_break_index,
        left=lambda component: [
            f"an index is invalid: {name}" for (name,) in component.server.execute(_INVALID, "flights")
        ],
    ),
    "copy": Runbook(
        _copy,
        _copy,
        _copy,
        prepare=lambda component: shutil.rmtree(_state(component, "copy"), ignore_errors=True),
        left=lambda component: [
            f"left beside the copy: {path.name}"
            for path in _state(component, "copy").parent.glob("copy*")
            if path.name != "copy"
        ],
    ),
    "evidence": Runbook(_evidence, _evidence, _evidence, prepare=_something_new),
}
#: Of these, what uses the repository: its calls can fail one by one.
IN_REPOSITORY: t.Sequence[str] = ("run", "report", "evidence")
