# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a report goes: write-once into the repository, and beside it into a directory of the controller.

Either may be out of order (a disaster is when reports matter); then the other still gets it.
"""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, ObjectExists, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import canonical_json, parse_document
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import checked_run_id
from ansible_collections.sre.runbooks.plugins.module_utils._runs.render_html import render_html
from ansible_collections.sre.runbooks.plugins.module_utils._runs.render_markdown import render_markdown
from ansible_collections.sre.runbooks.plugins.module_utils._whole_file import point_to, write_whole

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

_REPORT_LIMIT = 16 * 1024 * 1024
_LATEST = "latest"


@dataclasses.dataclass
class Published:
    """Where the report is now. ``stored`` is the repository's key prefix, ``local`` the directory; None where it failed."""

    stored: str | None = None
    local: str | None = None
    problems: list[str] = dataclasses.field(default_factory=list)


def stored_report(repository: Repository | None, run_id: str) -> dict[str, t.Any] | None:
    """The report of an earlier attempt to report on the same run, or None. What is stored stays as it is."""
    if repository is None:
        return None
    key = f"runs/{checked_run_id(run_id)}/report.json"
    try:
        return parse_document(repository.store.read(key, _REPORT_LIMIT), key).data
    except RunbookError:
        return None


def publish(report: t.Mapping[str, t.Any], repository: Repository | None, report_dir: str | None) -> Published:
    """Write ``report.json``, ``report.md`` and ``report.html`` to both places. Never raises; see ``problems``."""
    files = {
        "report.html": render_html(report).encode("utf-8"),
        "report.md": render_markdown(report).encode("utf-8"),
        "report.json": canonical_json(report),
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
            done.problems.append(f"the report is not in {report_dir}: {error.strerror or error}")
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
