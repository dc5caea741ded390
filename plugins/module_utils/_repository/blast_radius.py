# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this identity could do to the repository, were it stolen: found out by asking and by trying, harmlessly.

Tries concern one small probe object of their own a day below ``control/probes/``, and objects that do not exist. The
configuration of a bucket is read and never written. What cannot be tried without risk is *unknown*, and says how to
find it out.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import asdict, dataclass

from ansible_collections.sre.runbooks.plugins.module_utils._errors import Refused
from ansible_collections.sre.runbooks.plugins.module_utils._repository.file_store import FileStore

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_store import S3Store
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import Store

PASS, FAIL, UNKNOWN = "pass", "fail", "unknown"
#: Below it lie the objects that tries are made on.
PROBES = "control/probes/"
PROBE_CONTENT = b"sre.runbooks tries here what its identity could destroy\n"


@dataclass(frozen=True)
class Finding:
    """The answer to one question.

    :arg destroys: for a failure: content could be lost for ever. Other failures hide or expose it.
    :arg remedy: what to do; also beside a pass, when it could be better.
    """

    check: str
    result: str
    expected: str
    found: str
    remedy: str | None = None
    destroys: bool = False

    def facts(self) -> dict[str, t.Any]:
        return asdict(self)

    def line(self) -> str:
        """One line for a screen."""
        text = f"{self.result:7} {self.check}: {self.found}"
        if self.result == FAIL:
            text += f"; expected: {self.expected}"
        return f"{text}; remedy: {self.remedy}" if self.remedy else text


@dataclass(frozen=True)
class Demands:
    """What is asked of the repository.

    :arg minimum_lock: for how long at least a new object has to be locked.
    :arg production_account: the account of what is backed up, which should not own the bucket.
    :arg data_paths: directories of the data on this host, for a repository in a directory.
    :arg trying: write the probe and try on it; otherwise only ask.
    """

    minimum_lock: datetime.timedelta = datetime.timedelta(days=7)
    production_account: str | None = None
    data_paths: tuple[str, ...] = ()
    trying: bool = True


@dataclass(frozen=True)
class BlastRadius:
    """All answers."""

    findings: tuple[Finding, ...]

    @property
    def overall(self) -> str:
        """The worst result."""
        results = {finding.result for finding in self.findings}
        return FAIL if FAIL in results else UNKNOWN if UNKNOWN in results else PASS

    @property
    def destroyers(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.result == FAIL and finding.destroys]

    def facts(self) -> dict[str, t.Any]:
        return {
            "overall": self.overall,
            "immutable": not self.destroyers,
            "checks": [finding.facts() for finding in self.findings],
            "lines": [finding.line() for finding in self.findings],
        }


def find_blast_radius(store: Store, demands: Demands) -> BlastRadius:
    """Ask, and try where ``demands`` says so. Raises :class:`RepositoryError` when the store does not answer."""
    # Each kind of store imports what it needs, so that a directory needs no boto3.
    if isinstance(store, FileStore):
        from ansible_collections.sre.runbooks.plugins.module_utils._repository.blast_radius_file import file_findings

        return BlastRadius(tuple(file_findings(store, demands)))
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.blast_radius_s3 import s3_findings

    return BlastRadius(tuple(s3_findings(t.cast("S3Store", store), demands)))


def refuse_destroyable(url: str, radius: BlastRadius) -> None:
    """Raises :class:`Refused` when this identity could destroy what the repository holds."""
    found = radius.destroyers
    if found:
        raise Refused(
            f"{url} is not immutable: this identity could destroy recovery points",
            expected="; ".join(f"{finding.check}: {finding.expected}" for finding in found),
            found="; ".join(f"{finding.check}: {finding.found}" for finding in found),
            next_command="; ".join(dict.fromkeys(finding.remedy for finding in found if finding.remedy)),
        )
