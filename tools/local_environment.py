# SPDX-License-Identifier: GPL-3.0-or-later
"""The local environment from outside: its ports, its variables, its processes. For the demo and for the tests."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import time
import typing as t

ROOT = pathlib.Path(__file__).resolve().parent.parent
#: What the environment keeps below its root; everything else there (collections, other people's files) is left alone.
PARTS = (
    "servers",
    "repository",
    "object-store",
    "kit",
    "witness",
    "monitoring",
    "reports",
    "ports.json",
    "servers-dir",
)


#: Ports below those that the kernel gives away itself (by default from 32768 on), so many of them at a time.
_PORTS = range(10_000, 32_700)
_BLOCK = 100
_claimed: t.Iterator[int] = iter(())


def free_port() -> int:
    """A port of loopback that nothing listens on, and that nobody else here is given as long as this process lives.

    It is none of those that the kernel gives to whoever asks for any one: such a port may be another server's before the
    one that it was found for listens on it, or while that one is down for a moment.
    """
    global _claimed
    while True:
        for port in _claimed:
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
        _claimed = iter(_claim())


def _claim() -> list[int]:
    """Ports that no other process takes: the name of an abstract socket is there once, and goes with its process."""
    blocks = list(range(_PORTS.start, _PORTS.stop, _BLOCK))
    chance = random.SystemRandom()
    for first in chance.sample(blocks, len(blocks)):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0sre-runbooks-ports-{first}")
        except OSError:
            claim.close()
            continue
        claim.detach()
        return chance.sample(range(first, first + _BLOCK), _BLOCK)
    raise RuntimeError("other processes have taken all ports for servers")


class LocalEnvironment:
    """The environment of ``inventories/local`` below one directory.

    :arg root: its directory; several environments may run side by side in different ones.
    :arg bin_dir: where ansible-playbook is, as printed by ``tools/environment``.
    :arg repository: ``file``, or ``s3`` for a bucket of an S3 gateway that belongs to the environment.
    :arg inventory: what describes it, from the checkout.
    :arg prometheus: the program of a Prometheus that watches it, or an empty string.
    """

    def __init__(
        self,
        root: pathlib.Path,
        bin_dir: str,
        repository: t.Literal["file", "s3"] = "file",
        inventory: str = "inventories/local",
        prometheus: str = "",
    ) -> None:
        self.root = root.resolve()
        self.bin_dir = bin_dir
        self.repository = repository
        self.inventory = inventory
        self.prometheus = prometheus

    def variables(self) -> dict[str, str]:
        """The environment variables of every ansible-playbook; the ports are chosen once and remembered."""
        remembered = self.root / "ports.json"
        ports = json.loads(remembered.read_text(encoding="utf-8")) if remembered.exists() else {}
        names = ("postgresql", "api", "s3", "prometheus")
        if not ports.keys() >= set(names):
            self.root.mkdir(parents=True, exist_ok=True)
            ports = {name: ports.get(name) or free_port() for name in names}
            remembered.write_text(json.dumps(ports) + "\n", encoding="utf-8")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "AWS_"))}
        return {
            **inherited,
            **(self._bucket(ports["s3"]) if self.repository == "s3" else {}),
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".local" / "collections"),
            "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false",
            "PATH": f"{self.bin_dir}{os.pathsep}{os.environ['PATH']}",
            "SRE_RUNBOOKS_LOCAL": str(self.root),
            "SRE_RUNBOOKS_LOCAL_POSTGRESQL_PORT": str(ports["postgresql"]),
            "SRE_RUNBOOKS_LOCAL_API_PORT": str(ports["api"]),
            "SRE_RUNBOOKS_LOCAL_PROMETHEUS_PORT": str(ports["prometheus"]),
            "SRE_RUNBOOKS_LOCAL_PROMETHEUS_PROGRAM": self.prometheus,
        }

    def _bucket(self, port: int) -> dict[str, str]:
        """The gateway's program, built by the first use, its port, and the repository in it."""
        program = subprocess.run(
            [str(ROOT / "tools" / "servers"), "versitygw"], stdout=subprocess.PIPE, check=True, text=True
        )
        return {
            "SRE_RUNBOOKS_REPOSITORY": "s3://local/repository",
            "SRE_RUNBOOKS_LOCAL_S3_PROGRAM": program.stdout.strip(),
            "SRE_RUNBOOKS_LOCAL_S3_PORT": str(port),
        }

    def command(self, playbook: str, *arguments: str) -> list[str]:
        return [f"{self.bin_dir}/ansible-playbook", "-i", self.inventory, f"sre.runbooks.{playbook}", *arguments]

    def play(self, playbook: str, *arguments: str, **extra: t.Any) -> subprocess.CompletedProcess[str]:
        """Run one playbook of the collection; ``extra`` goes to :func:`subprocess.run` (``env`` is added to ours)."""
        env = {**self.variables(), **extra.pop("env", {})}
        return subprocess.run(self.command(playbook, *arguments), cwd=ROOT, env=env, text=True, check=False, **extra)

    @property
    def witness(self) -> pathlib.Path:
        return self.root / "witness" / "acknowledged.jsonl"

    def write_rows(self, count: int) -> None:
        """Acknowledged bookings through the API, each noted by the outside record."""
        api = self.variables()["SRE_RUNBOOKS_LOCAL_API_PORT"]
        script = str(ROOT / "roles/local_environment/files/traffic.py")
        arguments = [f"--url=http://127.0.0.1:{api}", f"--witness={self.witness}", f"--burst={count}"]
        subprocess.run([f"{self.bin_dir}/python", script, *arguments], check=True)

    def latest_report(self) -> dict[str, t.Any]:
        report = self.root / "reports" / "latest" / "report.json"
        return t.cast("dict[str, t.Any]", json.loads(report.read_text(encoding="utf-8")))

    def processes(self) -> list[int]:
        """What still runs of this environment: processes whose command line names one of its directories."""
        places = [f"{self.root}/{name}" for name in ("servers", "object-store", "witness", "kit", "monitoring")]
        places += [place for place in [self.outside()] if place]
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    arguments = (entry / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
                except OSError:
                    continue
                if any(place in argument for argument in arguments for place in places):
                    found.append(int(entry.name))
        return found

    def outside(self) -> str:
        """The servers' directory where it had to lie elsewhere, else an empty string."""
        marker = self.root / "servers-dir"
        place = marker.read_text(encoding="utf-8").strip() if marker.exists() else ""
        return place if pathlib.Path(place).name.startswith("sre-runbooks-") else ""

    def remove(self) -> None:
        """Stop what runs and remove what was made, in whatever state it is."""
        outside = self.outside()
        for sign in (signal.SIGTERM, signal.SIGKILL):
            for pid in self.processes():
                try:
                    os.kill(pid, sign)
                except ProcessLookupError:
                    pass
            deadline = time.monotonic() + 10
            while self.processes() and time.monotonic() < deadline:
                time.sleep(0.1)
        # The server's socket lies in a short directory of its own, since a socket's path ends at 107 bytes.
        for place in [self.root / "servers", *([pathlib.Path(outside)] if outside else [])]:
            for marker in place.glob("*/.sre_runbooks_instance.json"):
                sockets = pathlib.Path(json.loads(marker.read_text(encoding="utf-8"))["socket_dir"])
                if sockets.name.startswith("srb-") and sockets.is_dir():
                    shutil.rmtree(sockets)
        for path in [self.root / name for name in PARTS] + ([pathlib.Path(outside)] if outside else []):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
