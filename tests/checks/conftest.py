# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the checks of the tree share: its files as git lists them, and the collection as users get it."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def files() -> list[pathlib.Path]:
    """Every file that is, or would be, committed; relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return [pathlib.Path(name) for name in sorted(listed.stdout.split("\0")) if name and (ROOT / name).is_file()]


@pytest.fixture(scope="session")
def program() -> dict[str, str]:
    """The environment of ansible's programs: those beside this interpreter, nothing of the user's."""
    return {
        "PATH": f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": os.environ.get("HOME", "/"),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_NOCOLOR": "1",
    }


@pytest.fixture(scope="session")
def tarball(tmp_path_factory: pytest.TempPathFactory, program: dict[str, str]) -> pathlib.Path:
    """The collection as ``ansible-galaxy collection build`` packs it."""
    place = tmp_path_factory.mktemp("tarball")
    subprocess.run(
        ["ansible-galaxy", "collection", "build", "--output-path", str(place), str(ROOT)],
        env=program,
        check=True,
        stdout=subprocess.PIPE,
    )
    (built,) = place.glob("sre-runbooks-*.tar.gz")
    return built
