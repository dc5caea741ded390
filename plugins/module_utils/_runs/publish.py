# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a report goes: write-once into the repository, and beside it into a directory of the controller.

Either may be out of order (a disaster is when reports matter); then the other still gets it.
Where a node exporter is told of runs, its directory gets the figures of the newest.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, ObjectExists, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import canonical_json, parse_document
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import checked_run_id
from ansible_collections.sre.runbooks.plugins.module_utils._runs.render_html import render_html
from ansible_collections.sre.runbooks.plugins.module_utils._runs.render_junit import render_junit
from ansible_collections.sre.runbooks.plugins.module_utils._runs.render_markdown import render_markdown
from ansible_collections.sre.runbooks.plugins.module_utils._runs.render_prometheus import (
    render_prometheus,
    with_former_figures,
)
from ansible_collections.sre.runbooks.plugins.module_utils._runs.run import REPORT_LIMIT
from ansible_collections.sre.runbooks.plugins.module_utils._runs.words import part_text
from ansible_collections.sre.runbooks.plugins.module_utils._whole_file import point_to, write_whole

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

_LATEST = "latest"


@dataclasses.dataclass
class Published:
    """Where the report is now. ``stored`` is the repository's key prefix, ``local`` the directory; None where it failed.

    :ivar missing: that the directory which was asked for has no report; empty when it has.
    :ivar kept: what the directory of figures keeps of an earlier run, and why; empty where it keeps nothing.
    """

    stored: str | None = None
    local: str | None = None
    missing: str = ""
    kept: str = ""
    problems: list[str] = dataclasses.field(default_factory=list)


def stored_report(repository: Repository | None, run_id: str) -> dict[str, t.Any] | None:
    """The report of an earlier attempt to report on the same run, or None. What is stored stays as it is."""
    if repository is None:
        return None
    key = f"runs/{checked_run_id(run_id)}/report.json"
    try:
        found = parse_document(repository.store.read(key, REPORT_LIMIT), key).data
        # A release that knew of none of these may have written it.
        return {"service_objectives": [], "checklist": None, "left_out": None, "previous_problem": "", **found}
    except RunbookError:
        return None


def publish(
    report: t.Mapping[str, t.Any],
    repository: Repository | None,
    report_dir: str | None,
    textfile_dir: str | None = None,
) -> Published:
    """Write the report in all its forms to every place. Never raises; see ``problems``."""
    files = {
        "report.html": render_html(report).encode("utf-8"),
        "report.md": render_markdown(report).encode("utf-8"),
        "report.json": canonical_json(report),
        "report.junit.xml": render_junit(report).encode("utf-8"),
        "report.prom": render_prometheus(report).encode("utf-8"),
    }
    done = Published()
    run_id = checked_run_id(report["run_id"])
    if repository is not None:
        try:
            done.stored = _store(repository, run_id, files)
        except (RunbookError, OSError) as error:
            done.problems.append(f"the report is not in the repository: {error}")
    if report_dir is not None:
        try:
            done.local = _write_local(report_dir, run_id, files)
        except OSError as error:
            done.missing = f"the report is not in {report_dir}"
            # The usual place, unless it is the one that cannot be written.
            other = "reports" if os.path.basename(os.path.normpath(report_dir)) != "reports" else "reports-elsewhere"
            found = f"{error.filename or report_dir}: {error.strerror or error}"
            done.problems.append(
                f"{done.missing}; expected: a directory that this account can write to; found: {found}; "
                f"next: the same command with -e run_report_dir={other}"
            )
    if textfile_dir is not None:
        try:
            _write_figures(textfile_dir, report, files["report.prom"])
            if report["left_out"]:
                done.kept = (
                    f"in {textfile_dir} the verdict of the run and the figures of the other components stay as they are: "
                    f"this run was {part_text(report)}"
                )
        except OSError as error:
            done.problems.append(
                f"the figures are not in {textfile_dir}; expected: a directory that this account can write to; "
                f"found: {error.strerror or error}; "
                f"next: {'ls -ld' if os.path.exists(textfile_dir) else 'mkdir -p'} {shlex.quote(textfile_dir)}"
            )
    return done


def _store(repository: Repository, run_id: str, files: t.Mapping[str, bytes]) -> str:
    """report.json first: when a kill leaves some out, the others are made again from it."""
    prefix = f"runs/{run_id}"
    for name in sorted(files, key=lambda name: name != "report.json"):
        try:
            repository.store.create(f"{prefix}/{name}", files[name])
        except ObjectExists:
            if repository.store.stat(f"{prefix}/{name}").length == 0:
                raise IntegrityError("an empty report is in the way", found=f"{prefix}/{name}") from None
    return prefix


def _write_figures(textfile_dir: str, report: t.Mapping[str, t.Any], figures: bytes) -> None:
    name = re.sub(r"[^A-Za-z0-9_-]", "_", f"sre_runbooks_{report['environment']}_{report['runbook']}")
    path = os.path.join(textfile_dir, f"{name}.prom")
    if report["left_out"]:
        try:
            with open(path, "rb") as stream:
                former = stream.read(REPORT_LIMIT)
        except FileNotFoundError:
            former = b""
        # Alerts are about all of them: a run of some must not end the one about another.
        figures = with_former_figures(report, former.decode("utf-8", "replace")).encode("utf-8")
    # Read by another user; the collector passes over files that end otherwise, as ours do while they are written.
    write_whole(path, figures, mode=0o644)


def _write_local(report_dir: str, run_id: str, files: t.Mapping[str, bytes]) -> str:
    top = os.path.abspath(os.path.expanduser(report_dir))
    directory = os.path.join(top, run_id)
    os.makedirs(directory, exist_ok=True)
    for name, content in files.items():
        write_whole(os.path.join(directory, name), content)
    _point_latest(top, run_id)
    return directory


def _point_latest(top: str, run_id: str) -> None:
    """``latest`` → the newest run; a report written late on an older run does not turn it back."""
    link = os.path.join(top, _LATEST)
    try:
        if os.readlink(link) > run_id and os.path.isdir(link):
            return
    except OSError:
        pass
    point_to(link, run_id)
