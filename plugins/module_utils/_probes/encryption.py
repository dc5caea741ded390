# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The encryption kind: whether the identities of this host open a component's recovery points."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput, RepositoryError
from ansible_collections.sre.runbooks.plugins.module_utils._probes.blocking import BlockingCheck
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Kind, Option, Reading, text
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.openings import PointOpenings


class EncryptionCheck(BlockingCheck):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(session)
        self._component: str | None = options["component"]
        self._repository: str | None = options["repository"] or session.repository
        self._environment: str | None = options["environment_name"] or session.environment_name
        if self._component is None:
            raise ValueError("a component is needed")
        if not self._repository or not self._environment:
            raise ValueError("repository and environment_name are needed, in the probe or in the module")
        self._s3 = session.s3
        self._identity_file: str = options["identity_file"]
        self.expected = f"recovery points that open with {self._identity_file}"
        self.hint = (
            "find who keeps the identity, before it is needed; with its file in rewrap_identity_files (a list): "
            f"ansible-playbook sre.runbooks.rotate_encryption_key --limit {self._component}"
        )

    def look(self) -> Reading:
        # Only now: most calls have no such probe.
        from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.age import Identities
        from ansible_collections.sre.runbooks.plugins.module_utils._recovery.kept import replaced_points
        from ansible_collections.sre.runbooks.plugins.module_utils._repository.openings import KeyRing, look_into
        from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points
        from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import open_repository

        try:
            ring = KeyRing(Identities(file=self._identity_file))
        except InvalidInput as error:
            return self.reading("failed", error.found or "nothing", error.message)
        try:
            repository = open_repository(t.cast(str, self._repository), t.cast(str, self._environment), self._s3)
            points = list_points(repository, t.cast(str, self._component)).points
            found = [look_into(repository, point, ring) for point in points]
            kept = [
                look_into(repository, point, ring)
                for point in replaced_points(repository, t.cast(str, self._component))
            ]
            return self._judge(found, kept, ring.recipients)
        except RepositoryError as error:
            return self.unasked(error)

    def _judge(self, own: list[PointOpenings], kept: list[PointOpenings], here: list[str]) -> Reading:
        """``kept`` are the points that restores replaced."""
        found = [*own, *kept]
        states = [openings.state for openings in found]
        closed = [openings for openings in found if openings.state in ("orphaned", "damaged")]
        opened = states.count("opens")
        measured = (
            f"{opened} of {counted(len(found), 'recovery point')} open" if opened or closed else "nothing is encrypted"
        )
        values: dict[str, t.Any] = {
            "points": len(found),
            "opened": opened,
            "closed": [openings.point.point_id for openings in closed[:20]],
            "identities": here,
        }
        if not closed:
            return self.reading("ok", measured, "as expected", **values)
        first = closed[0]
        if first.state == "damaged":
            why = f"its headers are damaged: {first.problems[0]}"
        else:
            why = f"it is encrypted for {', '.join(first.recipients) or 'recipients that nobody noted'}"
        message = f"{first.point.point_id} does not open here: {why}"
        # The newest is the one that would be restored; what only older ones need may be kept elsewhere on purpose.
        return self.reading("failed" if closed[0] in own[:1] else "warning", measured, message, **values)


ENCRYPTION = Kind(
    name="encryption",
    options={
        "repository": Option(text),
        "environment_name": Option(text),
        "identity_file": Option(text, required=True),
    },
    prepare=EncryptionCheck,
    target=lambda options: t.cast(str, options["component"]),
)
