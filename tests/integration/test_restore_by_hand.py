# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""RESTORE.md followed to the letter by somebody who has the files, a shell, the vendor's tools, and nothing of ours."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import catalog
from tests.servers.component import Component
from tests.servers.postgresql import Server, postgresql_system, running_server  # noqa: F401

HERE = pathlib.Path(__file__).parent
DIFFICULT = 'Dïfficult "db" x'
#: What the text says will happen: roles that are there already give an error each.
EXPECTED = re.compile(r'ERROR:  role ".*" already exists')


def commands(guide: str) -> list[str]:
    """The shell blocks, in their order."""
    return re.findall(r"^```sh\n(.*?)^```", guide, re.M | re.S)


def measured(server: Server, database: str) -> dict[str, object]:
    with server.connect(database) as session:
        found = catalog.measure_database(session, "all")
    for table in found["tables"].values():
        del table["size"]
    return found


@pytest.mark.parametrize("encrypted", [False, True])
def test_the_guide_works_as_written(
    postgresql_system: Server,  # noqa: F811
    tmp_path: pathlib.Path,
    encrypted: bool,
) -> None:
    needed = ["zstd", "sha256sum"] + ["age"] * encrypted
    if not all(shutil.which(program) for program in needed):
        pytest.skip(f"needs {', '.join(needed)}")
    component = Component(postgresql_system, tmp_path)
    environment = {}
    params = {}
    if encrypted:
        import pyrage

        identity = pyrage.x25519.Identity.generate()
        (tmp_path / "identity").write_text(f"{identity}\n")
        environment["IDENTITY"] = str(tmp_path / "identity")
        params["encryption_recipients"] = [str(identity.to_public())]
    try:
        for name in (DIFFICULT, "flights"):
            component.create(name)
        component.server.execute("CREATE TABLE f AS SELECT i AS id FROM generate_series(1, 1000) i", "flights")
        # Its own settings come back before its content, and hold for whoever restores it.
        component.server.execute("ALTER DATABASE flights SET default_transaction_read_only = on")
        subprocess.run(
            [component.server.tools.psql, "-qX", "-v", "ON_ERROR_STOP=1", "-f", str(HERE / "difficult_database.sql")],
            env={**os.environ, **component.server.address.environment(DIFFICULT)},
            check=True,
            capture_output=True,
        )
        assert "error" not in component.back_up(**params)
        before = {name: measured(component.server, name) for name in (DIFFICULT, "flights")}
        # Somebody who only has the files.
        shutil.copytree(tmp_path / "repository" / component.newest().prefix, tmp_path / "copy")
    finally:
        component.clear()
    guide = (tmp_path / "copy" / "RESTORE.md").read_text()
    assert len(commands(guide)) >= 4
    with running_server("system") as server:
        address = server.address
        environment.update(
            PATH=f"{server.bin_dir}{os.pathsep}{os.environ['PATH']}",
            PGHOST=address.host,
            PGPORT=str(address.port),
            PGUSER=address.user,
            PGPASSWORD=server.password,
            LC_ALL="C.UTF-8",
        )
        for block in commands(guide):
            done = subprocess.run(
                ["sh", "-eu", "-c", block], cwd=tmp_path / "copy", env=environment, capture_output=True, text=True
            )
            assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
            for line in done.stderr.splitlines():
                assert EXPECTED.search(line), f"{block}\n{line}"
        assert {name: measured(server, name) for name in before} == before
        settings = server.execute("SELECT setconfig::text FROM pg_db_role_setting WHERE setrole = 0")
        assert any("app.jwt_secret" in row[0] for row in settings)
        if encrypted:
            rows = server.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'Ünïcode rôle'")
            assert rows[0][0].startswith("SCRAM-SHA-256")


def test_damage_is_found_by_the_guides_own_check(
    postgresql_system: Server,  # noqa: F811
    tmp_path: pathlib.Path,
) -> None:
    component = Component(postgresql_system, tmp_path)
    try:
        component.create("flights", "CREATE TABLE f AS SELECT i AS id FROM generate_series(1, 1000) i")
        assert "error" not in component.back_up()
        path = component.object_file()
        directory = tmp_path / "repository" / component.newest().prefix
        check = commands((directory / "RESTORE.md").read_text())[0]
        assert subprocess.run(["sh", "-eu", "-c", check], cwd=directory, capture_output=True).returncode == 0
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-1])
        assert subprocess.run(["sh", "-eu", "-c", check], cwd=directory, capture_output=True).returncode != 0
    finally:
        component.clear()
