# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every playbook at -vvvv with known secrets: none appears in output, argv, files or reports."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import tarfile
import threading
import time
import typing as t

from tests.servers.deadline import wait_for
from tools.local_environment import ROOT, LocalEnvironment

#: Of a Prometheus that this environment does not have.
OBJECTIVES = json.dumps(
    {
        "objectives": [
            {
                "metadata": {"name": "availability"},
                "spec": {
                    "service": "flights",
                    "indicator": {"spec": {"ratioMetric": {"good": 'r_total{code="200"}', "total": "r_total"}}},
                    "timeWindow": [{"duration": "1h"}],
                    "objectives": [{"target": 0.99}],
                },
            }
        ]
    }
)
#: What ends badly here, and with a report.
UNKNOWN = ("verify_objectives",)
#: In the order of a life: each playbook has real work to do.
LIFE: list[tuple[str, list[str]]] = [
    ("start_local_environment", []),
    (
        "prepare_hosts",
        [
            "-e",
            '{"prepare_hosts_packages": [], "prepare_hosts_requirements": ["zstandard>=0.22"], "prepare_hosts_become": false}',
            "-e",
            "prepare_hosts_virtualenv={root}/servers/venv prepare_hosts_python={bin_dir}/python",
            "--limit",
            "flights_db",
        ],
    ),
    ("prepare_repository", []),
    ("adopt_environment", ["-e", "adopt_confirm=local"]),
    ("back_up_components", ["-e", "backup_force=true"]),
    # For a recipient that nobody here is, so that there is something to do; the environment's key still opens everything.
    (
        "rotate_encryption_key",
        [
            "-e",
            '{"repository_encryption_recipients": ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"]}',
            "-e",
            "rewrap_allow_unproven=true",
        ],
    ),
    ("verify_backups", []),
    ("pin_recovery_point", ["-e", "pin_reason=leak-test", "--limit", "flights_db"]),
    ("expire_backups", []),
    ("prepare_archiving", []),
    ("diagnose_postgresql", []),
    ("check_health", []),
    ("verify_objectives", ["-e", OBJECTIVES]),
    ("generate_objective_rules", ["-e", OBJECTIVES, "-e", "objectives_rules_file={root}/servers/rules.yml"]),
    ("generate_schedules", ["-e", "schedules_dir={root}/servers/schedules"]),
    ("collect_diagnostics", []),
    ("drill_restores", ["-e", "drill_force=true"]),
    ("restore_components", ["-e", "restore_confirm=flights_db", "-e", "restore_force=true"]),
    ("restore_components", ["-e", "restore_release=true", "-e", "restore_confirm=flights_db"]),
    ("destroy_local_environment", ["-e", "local_environment_confirm=local"]),
    ("rebuild_environment", ["-e", "rebuild_confirm=local"]),
    ("remove_local_environment", ["-e", "local_environment_confirm=local"]),
]

#: What has nothing to do here, and is watched by test_kubernetes_leaks.py.
KUBERNETES_PLAYBOOKS = ("expand_volume", "release_lease", "roll_back_configuration")


class ArgvWatch(threading.Thread):
    """Samples the command line of every process as fast as it can, and keeps those that hold a secret."""

    def __init__(self, secrets: list[bytes]) -> None:
        super().__init__(daemon=True)
        self.secrets = secrets
        self.hits: set[bytes] = set()
        self.seen = 0
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.is_set():
            for entry in os.listdir("/proc"):
                if entry.isdigit():
                    try:
                        argv = pathlib.Path("/proc", entry, "cmdline").read_bytes()
                    except OSError:
                        continue
                    self.seen += 1
                    if any(secret in argv for secret in self.secrets):
                        self.hits.add(argv)
            time.sleep(0.01)


def known_secrets(local: LocalEnvironment) -> list[bytes]:
    kit = local.root / "kit"
    secrets = [path.read_bytes().strip() for path in kit.glob("*.password")]
    identity = (kit / "age-identity.txt").read_bytes()
    secrets += [line for line in identity.splitlines() if line.startswith(b"AGE-SECRET-KEY")]
    assert len(secrets) >= 6
    assert all(len(secret) >= 20 for secret in secrets)
    return secrets


def contents(path: pathlib.Path) -> t.Iterator[bytes]:
    """The file, and what is in it where it is an archive."""
    yield path.read_bytes()
    if path.name.endswith(".tar.gz"):
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile():
                    yield t.cast("t.IO[bytes]", archive.extractfile(member)).read()


def test_no_secret_anywhere(
    local_in_bucket: LocalEnvironment, results: t.Callable[[str, int, int], None], tmp_path: pathlib.Path
) -> None:
    """In a bucket, whose key is one more secret; a life from backup over disaster to rebuild, there too."""
    local = local_in_bucket
    secrets = known_secrets(local)
    watch = ArgvWatch(secrets)
    watch.start()
    hits: list[str] = []
    temporary = tmp_path / "tmp"
    temporary.mkdir(mode=0o777)
    everywhere = {*KUBERNETES_PLAYBOOKS, *(playbook for playbook, _arguments in LIFE)}
    assert everywhere == {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
    for playbook, arguments in LIFE:
        filled = [word.replace("{root}", str(local.root)).replace("{bin_dir}", local.bin_dir) for word in arguments]
        done = local.play(
            playbook, "-vvvv", "--diff", *filled, capture_output=True, env={"ANSIBLE_LOCAL_TEMP": str(temporary)}
        )
        assert (done.returncode != 0) == (playbook in UNKNOWN), done.stdout[-4000:] + done.stderr[-2000:]
        assert playbook not in UNKNOWN or "objective unknown" in done.stdout, done.stdout[-4000:]
        output = (done.stdout + done.stderr).encode()
        hits += [f"output of {playbook}" for secret in secrets if secret in output]
    watch.ended.set()
    watch.join()
    assert watch.seen > 1000
    hits += [f"argv {argv!r}" for argv in watch.hits]
    for place in (local.root, temporary):
        for path in place.rglob("*"):
            if path.is_file() and not path.is_symlink() and "kit" not in path.relative_to(place).parts[:1]:
                content = b"".join(contents(path))
                hits += [f"file {path}" for secret in secrets if secret in content]
    results("leak", len(LIFE), len(hits))
    assert not hits, "\n".join(sorted(set(hits)))


def test_the_leak_test_can_fail(tmp_path: pathlib.Path) -> None:
    watch = ArgvWatch([b"a-secret-that-is-known-0123456789"])
    watch.start()
    shown = [sys.executable, "-c", "input()", "a-secret-that-is-known-0123456789"]
    with subprocess.Popen(shown, stdin=subprocess.PIPE) as process:
        try:
            wait_for(lambda: bool(watch.hits), "the watch to see it")
        finally:
            process.communicate(b"\n")
    watch.ended.set()
    watch.join()
