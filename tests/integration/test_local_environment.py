# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The local environment goes as it came: by a playbook, whole, only when it is named, and nobody else's files with it."""

from __future__ import annotations

import pathlib
import re
import subprocess
import typing as t

from tools.local_environment import PARTS, LocalEnvironment

NAMED = ("-e", "local_environment_confirm=local")


def remove(local: LocalEnvironment, *arguments: str) -> tuple[int, str]:
    done: subprocess.CompletedProcess[t.Any] = local.play(
        "remove_local_environment", *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600
    )
    return done.returncode, done.stdout


def changed(screen: str) -> int:
    return sum(int(number) for number in re.findall(r"\bchanged=(\d+)", screen))


def kept(local: LocalEnvironment) -> set[str]:
    """What the environment made and is still there."""
    outside = [local.outside()] if local.outside() else []
    return {str(path) for path in [local.root / name for name in PARTS] if path.exists()} | {
        place for place in outside if pathlib.Path(place).exists()
    }


def test_all_of_it_goes_once_it_is_named(local: LocalEnvironment) -> None:
    outside = local.outside()
    (local.root / "somebody-else").write_text("keep", encoding="utf-8")
    before, running = kept(local), local.processes()
    sockets = {path for path in pathlib.Path("/tmp").glob("srb-*/.s.PGSQL.*") if path.name.endswith(_port(local))}
    assert len(before) >= 5 and running and sockets
    code, screen = remove(local)
    assert code != 0 and "removal refused" in screen
    assert "next: to remove it" in screen and "remove_local_environment -e local_environment_confirm=local" in screen
    code, screen = remove(local, *NAMED, "--check", "--diff")
    assert code == 0, screen
    assert changed(screen) > 0
    assert kept(local) == before and set(running) <= set(local.processes())
    code, screen = remove(local, *NAMED)
    assert code == 0 and changed(screen) > 0, screen
    assert kept(local) <= {str(local.root / "ports.json")}, screen
    assert local.processes() == [] and not any(path.parent.exists() for path in sockets)
    assert not outside or not pathlib.Path(outside).exists()
    assert (local.root / "somebody-else").read_text(encoding="utf-8") == "keep"
    code, screen = remove(local, *NAMED)
    assert (code, changed(screen)) == (0, 0), screen
    assert {path.name for path in local.root.iterdir()} == {"ports.json", "somebody-else"}


def _port(local: LocalEnvironment) -> str:
    return "." + local.variables()["SRE_RUNBOOKS_LOCAL_POSTGRESQL_PORT"]
