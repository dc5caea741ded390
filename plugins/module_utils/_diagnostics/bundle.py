# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the parts that came from the hosts to one archive, on the controller and, where that is wanted, in the repository."""

from __future__ import annotations

import dataclasses
import os
import tempfile
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_time, now
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.archive import (
    Chapter,
    Index,
    chapter_of,
    unlooked,
    write_archive,
)
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.desk import SEVERITIES, Desk
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.gathering import Collector, fit, gather
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.masking import Masker
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.part import Part, unpack
from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, RepositoryError, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import open_repository
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import checked_run_id
from ansible_collections.sre.runbooks.plugins.module_utils._runs.run import new_run_id
from ansible_collections.sre.runbooks.plugins.module_utils._runs.words import printable, size_text
from ansible_collections.sre.runbooks.plugins.module_utils._whole_file import whole_file
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

_NAME = "diagnostics.tar.gz"
_PROBES_S = 60.0
_PIECE = 1 << 20
_LINES = 12
_NAMED = 3


@dataclasses.dataclass
class Made:
    """What there is now. ``archive_path`` and ``repository_key`` are empty where it is not."""

    index: Index
    archive_path: str = ""
    repository_key: str = ""
    bytes: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)

    def facts(self) -> dict[str, t.Any]:
        """What the module returns."""
        findings = self.index.findings
        return {
            "archive_path": self.archive_path,
            "repository_key": self.repository_key,
            "bytes": self.bytes,
            "components": {chapter.component: _sentence(chapter) for chapter in self.index.chapters},
            "findings": findings,
            "summary_lines": self._lines(findings),
            "problems": self.problems,
        }

    def _lines(self, findings: t.Sequence[t.Mapping[str, str]]) -> list[str]:
        lines = [
            f"{found['severity']}: {found['component']}: {printable(found['text'])}" for found in findings[:_LINES]
        ]
        if len(findings) > _LINES:
            lines.append(f"and {len(findings) - _LINES} more in the archive")
        where = self.archive_path or self.repository_key
        lines.append(
            f"diagnostics: {where} ({size_text(self.bytes)}), begin with index.html" if where else "nothing was written"
        )
        return lines


class WrittenNowhere(RepositoryError):
    """The archive could be written nowhere; ``made`` tells what would have been in it."""

    def __init__(self, made: Made) -> None:
        super().__init__(
            "the archive could be written nowhere",
            expected="a directory of the controller that can be written to, or the repository",
            found="; ".join(made.problems) or "neither was wanted",
            next_command="the same command with -e run_report_dir=/var/tmp/reports",
        )
        self.made = made


def bundle(params: t.Mapping[str, t.Any], check_mode: bool) -> Made:
    """Read the parts and write the archive, which nothing is written of in check mode.

    :raises WrittenNowhere: when there is no place for it.
    """
    moment = now()
    run_id = checked_run_id(params["run_id"]) if params["run_id"] else new_run_id("collect_diagnostics", moment)
    known = [given for given in params["components"] if given["name"]]
    chapters = []
    for given in known:
        try:
            part = _part(given)
        except (RunbookError, OSError) as error:
            chapters.append(unlooked(given["name"], str(error)))
            continue
        chapter = Chapter(given["name"]) if part is None else chapter_of(part)
        if not given["part_path"]:
            nothing = unlooked(given["name"], given["problem"] or "nothing came")
            chapter.problem, chapter.findings = nothing.problem, nothing.findings + chapter.findings
        chapters.append(chapter)
    index = Index(f"diagnostics-{run_id}", params["environment_name"], params["alert"], format_time(moment), chapters)
    made = Made(index)
    if check_mode:
        return made

    def write(file: t.BinaryIO) -> None:
        # A second time from their files: only one of them is in memory.
        write_archive(file, index, filter(None, (_part(given) for given in known if _chapter(index, given).sections)))

    if params["report_dir"]:
        try:
            made.archive_path = _write_local(params["report_dir"], run_id, write)
            made.bytes = os.stat(made.archive_path).st_size
        except OSError as error:
            made.problems.append(f"the archive is not in {params['report_dir']}: {error.strerror or error}")
    if params["keep_in_repository"] and params["repository"]:
        try:
            made.repository_key = _store(params, run_id, made, write)
        except (RunbookError, OSError) as error:
            made.problems.append(f"the archive is not in the repository: {error}")
    if not made.archive_path and not made.repository_key:
        raise WrittenNowhere(made)
    return made


def _part(given: t.Mapping[str, t.Any]) -> Part | None:
    """What was collected of a component, with the results of its probes; None when there is nothing."""
    part = None
    if given["part_path"]:
        with open(given["part_path"], "rb") as file:
            part = unpack(file.read())
        part.component = given["name"]
    if given["probes"] or given["probes_problem"]:
        if part is None:
            part = Part(given["name"], "", "", format_time(now()), 0.0, [])
        probes = Collector("health_probes", "what the component's probes say", lambda desk: _probes(desk, given))
        item_limit, total_limit = given["item_limit"], given["total_limit"]
        asked = gather([probes], Masker(), _PROBES_S, item_limit, total_limit)
        # Before the rest: they are little, and tell most.
        part.collected = fit([*asked, *part.collected], total_limit)
    return part


def _probes(desk: Desk, given: t.Mapping[str, t.Any]) -> None:
    if given["probes_problem"]:
        raise EngineError(f"the probes did not run: {given['probes_problem']}")
    results = given["probes"]
    desk.document("results", list(results))
    names = ("name", "kind", "outcome", "measured", "expected", "message")
    desk.table("results", names, [[result.get(name) for name in names] for result in results])
    for result in results:
        outcome = result.get("outcome")
        if outcome in ("failed", "unknown", "warning"):
            severity = "warning" if outcome == "warning" or not result.get("critical", True) else "failure"
            text = f"probe {result.get('name')} is {outcome}: {result.get('message')}"
            # A message that is one of our errors has said all of it.
            if "; next: " in text:
                desk.finding(severity, text)
                continue
            said = (("expected", result.get("expected")), ("found", result.get("measured")))
            text = "; ".join([text, *(f"{name}: {what}" for name, what in said if what and f"; {name}: " not in text)])
            desk.finding(severity, text, str(result.get("hint") or ""))


def _chapter(index: Index, given: t.Mapping[str, t.Any]) -> Chapter:
    return next(chapter for chapter in index.chapters if chapter.component == given["name"])


def _sentence(chapter: Chapter) -> str:
    if chapter.problem:
        return f"nothing was collected: {chapter.problem}"
    items = sum(len(section.entries) for section in chapter.sections)
    severities = [one["severity"] for one in chapter.findings]
    found = [counted(severities.count(name), name) for name in SEVERITIES if name in severities]
    missing = [f"{section.name} is {section.outcome}" for section in chapter.sections if section.outcome != "collected"]
    more = [f"and {len(missing) - _NAMED} more"] if len(missing) > _NAMED else []
    return "; ".join([counted(items, "item"), ", ".join(found) or "nothing stands out", *missing[:_NAMED], *more])


def _write_local(report_dir: str, run_id: str, write: t.Callable[[t.BinaryIO], None]) -> str:
    directory = os.path.join(os.path.abspath(os.path.expanduser(report_dir)), run_id)
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, _NAME)
    with whole_file(path, 0o600) as file:
        write(file)
    return path


def _store(params: t.Mapping[str, t.Any], run_id: str, made: Made, write: t.Callable[[t.BinaryIO], None]) -> str:
    repository = open_repository(params["repository"], params["environment_name"], params["s3"])
    # In a directory of its own: what lies beside the report is read once more when the record is closed.
    key = f"runs/{run_id}/diagnostics/{_NAME}"
    with tempfile.TemporaryFile() as file:
        write(file)
        made.bytes = file.tell()
        file.seek(0)
        with repository.store.writer(key) as stored:
            while piece := file.read(_PIECE):
                stored.write(piece)
    return key
