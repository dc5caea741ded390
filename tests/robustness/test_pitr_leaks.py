# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Point-in-time recovery and signatures at -vvvv, with known passphrases and keys: none appears where it should not."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

from tests.integration.test_postgresql_pitr_playbooks import write_inventory
from tests.robustness.test_leaks import ArgvWatch
from tests.servers.archived import NAME
from tests.servers.bank import Bank, bank
from tests.servers.module_call import call_module
from tools.local_environment import ROOT

CONFIRMED = ("-e", f"restore_confirm={NAME}", "-e", "restore_target_immediate=true")
#: A playbook, its arguments, and whether the new passphrase is used by then.
LIFE: list[tuple[str, tuple[str, ...], bool]] = [
    ("prepare_archiving", (), False),
    ("back_up_components", ("-e", "backup_force=true"), False),
    ("verify_backups", (), False),
    ("check_health", (), False),
    ("drill_restores", ("-e", "drill_force=true"), False),
    ("prepare_archiving", (), True),
    ("back_up_components", (), True),
    ("restore_components", (*CONFIRMED, "-e", "restore_force=true"), True),
    ("expire_backups", (), True),
]


class Site:
    """The bank, with a passphrase before and one after a change, and a key that signs."""

    def __init__(self, opened: Bank, directory: pathlib.Path) -> None:
        self.opened, self.directory = opened, directory
        component = opened.component
        self.key = directory / "signing.key"
        self.public_key = call_module("signing_key", {"path": str(self.key)})["public_key"]
        self.next_passphrase = component.write_passphrase(component.path / "next-passphrase")
        self.hidden = {self.key, directory / "password", component.passphrase, self.next_passphrase}

    def secrets(self) -> list[bytes]:
        """What stands in the files of secrets, and the key's own bytes as the file writes them."""
        component = self.opened.component
        found = [path.read_bytes().strip() for path in (component.passphrase, self.next_passphrase)]
        found += [self.key.read_bytes().strip().splitlines()[-1], self.opened.server.password.encode()]
        assert all(len(secret) >= 20 for secret in found)
        return found

    def inventory(self, changed: bool) -> pathlib.Path:
        path = write_inventory(self.opened, self.directory)
        content = json.loads(path.read_text(encoding="utf-8"))
        more = {
            "repository_signing_key_file": str(self.key),
            "repository_signing_public_keys": [self.public_key],
        }
        if changed:
            more["component_pitr_cipher_pass_file"] = str(self.next_passphrase)
            more["component_pitr_previous_cipher_pass_files"] = [str(self.opened.component.passphrase)]
        content["all"]["vars"].update(more)
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    def play(self, playbook: str, arguments: t.Sequence[str], changed: bool) -> bytes:
        temporary = self.directory / "tmp"
        temporary.mkdir(exist_ok=True)
        done = subprocess.run(
            [
                os.path.join(os.path.dirname(sys.executable), "ansible-playbook"), "-vvvv", "--diff",
                "-i", str(self.inventory(changed)), f"sre.runbooks.{playbook}", *arguments,
            ],
            cwd=self.directory,
            env={
                **os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".local" / "collections"),
                "ANSIBLE_LOCAL_TEMP": str(temporary), "ANSIBLE_REMOTE_TEMP": str(temporary),
            },
            capture_output=True,
            timeout=400,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{playbook}: {(done.stdout + done.stderr)[-4000:].decode()}"
        return done.stdout + done.stderr

    def files(self) -> t.Iterator[pathlib.Path]:
        """All that was written, but pgBackRest's own configurations: nobody else may read them, and they need it."""
        component = self.opened.component
        for place in (self.directory, component.path):
            for path in place.rglob("*"):
                if path.is_file() and not path.is_symlink() and path not in self.hidden:
                    if path.name == "pgbackrest.conf":
                        assert path.stat().st_mode & 0o077 == 0, path
                    else:
                        yield path


def test_no_passphrase_and_no_signing_key_anywhere(
    results: t.Callable[[str, int, int], None], tmp_path: pathlib.Path
) -> None:
    with bank() as opened:
        site = Site(opened, tmp_path)
        opened.pay(3)
        secrets = site.secrets()
        watch = ArgvWatch(secrets)
        watch.start()
        hits: list[str] = []
        for playbook, arguments, changed in LIFE:
            output = site.play(playbook, arguments, changed)
            hits += [f"output of {playbook}: {secret!r}" for secret in secrets if secret in output]
        watch.ended.set()
        watch.join()
        assert watch.seen > 1000
        hits += [f"argv {argv!r}" for argv in watch.hits]
        for path in site.files():
            content = path.read_bytes()
            hits += [f"file {path}" for secret in secrets if secret in content]
        # They did the work: two generations, points that are signed, the ledger as it was.
        generations = opened.component.generation_dir().parent
        assert {path.name for path in generations.iterdir()} >= {"0001", "0002"}
        assert list((opened.component.path / "repository").rglob("manifest.json.minisig"))
        assert opened.rows() == [0, 1, 2]
        results("leak (point-in-time recovery, signatures)", len(LIFE), len(hits))
        assert not hits, "\n".join(sorted(set(hits)))
        assert opened.component.archive(state="absent").get("failed") is None
