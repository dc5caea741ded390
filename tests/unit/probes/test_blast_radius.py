# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The blast_radius kind: a warning for what exposes, a failure for what destroys, and no probe object."""

from __future__ import annotations

import pathlib

from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import initialise_repository
from tests.unit.probes.conftest import ask_all


def test_it_looks_and_never_tries(tmp_path: pathlib.Path) -> None:
    directory = tmp_path / "repository"
    initialise_repository(f"file://{directory}", "local", check_mode=False)

    def ask() -> tuple[str, str]:
        declaration = {"kind": "blast_radius", "repository": f"file://{directory}", "environment_name": "local"}
        reading = ask_all([declaration])[0].reading
        return reading.outcome, reading.message

    before = sorted(directory.rglob("*"))
    assert ask() == ("ok", "as expected")
    directory.chmod(0o755)
    assert ask() == ("warning", "mode: 0755")
    directory.chmod(0o775)
    assert ask() == ("failed", "mode: 0775")
    assert sorted(directory.rglob("*")) == before
    (directory / "repository.json").unlink()
    assert ask()[0] == "unknown"
