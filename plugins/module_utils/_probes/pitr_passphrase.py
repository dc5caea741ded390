# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pitr_passphrase kind: whether the passphrases at hand open every generation of a component's pgBackRest archive."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    InvalidInput,
    MissingRequirement,
    RunbookError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.blocking import BlockingCheck
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Kind, Option, Reading, text
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session


def texts(value: t.Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("a list of texts is expected")
    return value


class PitrPassphraseCheck(BlockingCheck):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(session)
        self._options = options
        self._repository: str | None = options["repository"] or session.repository
        self._environment: str | None = options["environment_name"] or session.environment_name
        if options["component"] is None:
            raise ValueError("a component is needed")
        if not self._repository or not self._environment:
            raise ValueError("repository and environment_name are needed, in the probe or in the module")
        self._component: str = options["component"]
        self._s3 = session.s3
        self.expected = "an archive that opens with the configured passphrase"
        self.hint = "correct component_pitr_cipher_pass_file; earlier passphrases go into component_pitr_previous_cipher_pass_files"

    def look(self) -> Reading:
        # Only now: most calls have no such probe.
        from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.access import (
            WRONG_PASSPHRASE,
            find_passphrase,
            owner_of,
        )
        from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.command import PgbackrestError
        from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.configuration import passphrases
        from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.place import generations, place_of
        from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import open_repository

        options, url = self._options, t.cast(str, self._repository)
        closed: list[str] = []
        try:
            known = passphrases({**options, "previous_cipher_pass_files": options["previous_cipher_pass_files"] or []})
            repository = open_repository(url, t.cast(str, self._environment), self._s3)
            found = generations(repository, self._component)
            for generation in found:
                place = place_of(url, self._component, generation, self._s3)
                try:
                    # The current one writes the newest generation, so no other one will do there.
                    find_passphrase(place, known[:1] if generation == found[-1] else known, owner_of(place))
                except PgbackrestError as error:
                    if error.code != WRONG_PASSPHRASE:
                        raise
                    closed.append(generation)
        except (InvalidInput, MissingRequirement, RunbookError) as error:
            return self.unasked(error)
        return self.judge(found, closed)

    def judge(self, found: t.Sequence[str], closed: t.Sequence[str]) -> Reading:
        """Of the generations that there are, oldest first, and those of them that stay closed."""
        values = {"generations": list(found), "closed": list(closed)}
        if not found:
            return self.reading("unknown", "no archive", "nothing was ever archived here", **values)
        measured = f"{len(found) - len(closed)} of {counted(len(found), 'generation')} open"
        if not closed:
            return self.reading("ok", measured, "as expected", **values)
        if found[-1] in closed:
            message = f"the current generation {found[-1]} does not open with the passphrase"
            return self.reading("failed", measured, message, **values)
        message = f"generation {', '.join(closed)} opens with none of the passphrases"
        return self.reading("warning", measured, message, **values)


PITR_PASSPHRASE = Kind(
    name="pitr_passphrase",
    options={
        "repository": Option(text),
        "environment_name": Option(text),
        "cipher_pass": Option(text, secret=True),
        "cipher_pass_file": Option(text),
        "previous_cipher_pass_files": Option(texts),
    },
    prepare=PitrPassphraseCheck,
    target=lambda options: t.cast(str, options["component"]),
)
