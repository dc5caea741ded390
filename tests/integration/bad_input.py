# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tests of bad input look at: the screen as an operator reads it, and the world that must be as before."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import re
import subprocess
import typing as t
import urllib.request

import psycopg
import pytest
import yaml

from ansible_collections.sre.runbooks.plugins.module_utils._clock import now
from ansible_collections.sre.runbooks.plugins.module_utils._repository.lease_state import current_lease
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import PointListing, list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository, open_repository
from tools.local_environment import LocalEnvironment

_ERROR = re.compile(r"^\[ERROR\]: Task failed: (?:Action|Module) failed: (.*)$", re.MULTILINE)
_CLOSING = re.compile(r"failed: .*report: ")


@dataclasses.dataclass
class Failure:
    """One message: what is wrong, and the three parts that every one must have."""

    message: str
    parts: dict[str, str]

    def says(self, **parts: str) -> None:
        """Each part contains that text; all three are there and none is cut off."""
        assert set(self.parts) == {"expected", "found", "next"}, self
        assert "…" not in str(self), self
        for name, text in parts.items():
            assert text in (self.message if name == "message" else self.parts[name]), (name, text, self)


@dataclasses.dataclass
class Screen:
    """All that one ansible-playbook printed."""

    code: int
    text: str

    def failures(self) -> dict[str, Failure]:
        """By component, from the last lines of the run; a component that is reported twice is an error."""
        found: dict[str, Failure] = {}
        lines = self.text.splitlines()
        for number, line in enumerate(lines):
            start = re.fullmatch(r" *failure: ([a-z0-9_-]+): (.*)", line)
            if start:
                parts: dict[str, str] = {}
                for following in lines[number + 1 :]:
                    part = re.fullmatch(r" *(expected|found|next): (.*)", following)
                    if not part:
                        break
                    assert part[1] not in parts, following
                    parts[part[1]] = part[2]
                assert start[1] not in found, f"{start[1]} is reported twice\n{self.text}"
                assert f"{start[1]}: {start[1]}" not in line, line
                found[start[1]] = Failure(start[2], parts)
        return found

    def only_failure(self, component: str) -> Failure:
        failures = self.failures()
        assert self.code != 0 and set(failures) == {component}, self.text
        return failures[component]

    def refusal(self) -> Failure:
        """Of a run that ended before there was anything to report: its one message."""
        messages = {message for message in _ERROR.findall(self.text) if not _CLOSING.match(message)}
        assert self.code != 0 and len(messages) == 1, self.text
        first, *parts = re.split(r"; (?=(?:expected|found|next): )", messages.pop())
        return Failure(first, {part.split(": ", 1)[0]: part.split(": ", 1)[1] for part in parts})

    def changed(self) -> int:
        return sum(int(number) for number in re.findall(r"\bchanged=(\d+)", self.text))


class Site:
    """The environment under test, with components of its own beside the flights."""

    def __init__(self, local: LocalEnvironment, directory: pathlib.Path) -> None:
        self.local = local
        self.directory = directory
        self.variables = local.variables()

    def run(self, playbook: str, *arguments: str, **env: str) -> Screen:
        done = self.local.play(
            playbook, *arguments, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600
        )
        # Kept by pytest, for whoever wants to read what an operator would have.
        number = len(list(self.directory.glob("*.screen")))
        (self.directory / f"{number:02d}-{playbook}.screen").write_text(done.stdout, encoding="utf-8")
        return Screen(done.returncode, done.stdout)

    def inventory(self, name: str, hosts: dict[str, dict[str, t.Any]], group: str = "postgresql") -> list[str]:
        path = self.directory / f"{name}.yml"
        path.write_text(yaml.safe_dump({group: {"hosts": hosts}}), encoding="utf-8")
        return ["-i", str(path)]

    @property
    def repository(self) -> Repository:
        return open_repository(f"file://{self.local.root}/repository", "local")

    def points(self, component: str) -> PointListing:
        return list_points(self.repository, component)

    def lease_is_free(self, component: str) -> bool:
        lease = current_lease(self.repository, component)
        return lease is None or not lease.held(now())

    def connect(self, database: str) -> psycopg.Connection[tuple[t.Any, ...]]:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.variables["SRE_RUNBOOKS_LOCAL_POSTGRESQL_PORT"],
            user="postgres",
            password=(self.local.root / "kit" / "postgres.password").read_text(encoding="utf-8").strip(),
            dbname=database,
            autocommit=True,
        )

    def create_database(self, name: str, rows: int) -> None:
        with self.connect("postgres") as session:
            session.execute(f'CREATE DATABASE "{name}"')
        with self.connect(name) as session:
            session.execute("CREATE TABLE entries (id int PRIMARY KEY, text text)")
            session.execute("INSERT INTO entries SELECT n, md5(n::text) FROM generate_series(1, %s) AS n", [rows])

    def data(self) -> dict[str, t.Any]:
        """Every database with its identity and the rows of its tables: what no failed run may touch."""
        with self.connect("postgres") as session:
            databases = session.execute("SELECT datname, oid FROM pg_database WHERE datallowconn").fetchall()
            marker = session.execute("SELECT name, stamped FROM sre_runbooks.environment").fetchall()
        found: dict[str, t.Any] = {"databases": sorted(databases), "marker": marker}
        for name, _oid in databases:
            with self.connect(name) as session:
                tables = session.execute(
                    "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname NOT IN"
                    " ('pg_catalog', 'information_schema', 'sre_runbooks')"
                ).fetchall()
                for (table,) in tables:
                    found[f"{name}.{table}"] = session.execute(f"SELECT count(*) FROM {table}").fetchall()
        return found

    def api_answers(self) -> bool:
        port = self.variables["SRE_RUNBOOKS_LOCAL_API_PORT"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=60) as answer:
            return bool(answer.status == 200)

    def digest(self) -> str:
        """Of every name and every byte of the repository."""
        return tree_digest(self.local.root / "repository")

    def damage_object(self, component: str, point_id: str) -> None:
        """Flip one byte of the largest object of a point."""
        objects = self.local.root / "repository" / "components" / component / "points" / point_id / "objects"
        path = max((path for path in objects.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.chmod(0o600)
        path.write_bytes(content)

    @contextlib.contextmanager
    def nothing_touched(self, *components: str) -> t.Iterator[None]:
        """Data, points, leases and consumers are afterwards what they were before."""
        data = self.data()
        points = {name: [point.point_id for point in self.points(name).points] for name in components}
        yield
        assert self.data() == data
        assert {name: [point.point_id for point in self.points(name).points] for name in components} == points
        assert all(self.lease_is_free(name) for name in components)
        assert self.api_answers()


def tree_digest(top: pathlib.Path) -> str:
    total = hashlib.sha256()
    for path in sorted(top.rglob("*")):
        total.update(str(path.relative_to(top)).encode() + b"\0" + (path.read_bytes() if path.is_file() else b""))
    return total.hexdigest()


def program(path: pathlib.Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


@contextlib.contextmanager
def small_file_system(place: pathlib.Path, size: str, read_only: bool = False) -> t.Iterator[pathlib.Path]:
    """A tmpfs of its own; skips the test, loudly, where this account may not mount one."""
    place.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0777" + (",ro" if read_only else ""), "none", str(place)],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"A FULL DISK IS NOT TESTED HERE: uid {os.getuid()} cannot mount a tmpfs: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
