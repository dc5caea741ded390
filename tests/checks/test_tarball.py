# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as users get it: packed, installed elsewhere, without a network, read by ansible-doc."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import tarfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_it_packs_what_git_lists_and_nothing_else(tarball, files):
    with tarfile.open(tarball) as packed:
        names = {member.name for member in packed.getmembers() if member.isfile()}
    listed = {str(path) for path in files}
    assert sorted(names - listed - {"MANIFEST.json", "FILES.json"}) == []
    assert tarball.stat().st_size < 4 << 20


def test_it_leaves_no_plugin_role_or_playbook_out(tarball, files):
    with tarfile.open(tarball) as packed:
        names = set(packed.getnames())
    wanted = {str(path) for path in files if path.parts[0] in ("plugins", "roles", "playbooks", "meta", "inventories")}
    assert sorted(wanted - names) == []


def test_it_installs_without_a_network_and_documents_itself(tarball, program, tmp_path):
    environment = {**program, "HOME": str(tmp_path / "home"), "ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "collections")}
    (tmp_path / "home").mkdir()
    subprocess.run(
        [
            "ansible-galaxy",
            "collection",
            "install",
            "--offline",
            "--no-deps",
            "-p",
            environment["ANSIBLE_COLLECTIONS_PATH"],
        ]
        + [str(tarball)],
        cwd=tmp_path,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
    )
    modules = sorted(f"sre.runbooks.{path.stem}" for path in (ROOT / "plugins" / "modules").glob("[!_]*.py"))
    shown = subprocess.run(
        ["ansible-doc", "--type", "module", "--json", *modules],
        cwd=tmp_path,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
    )
    documents = json.loads(shown.stdout)
    assert sorted(documents) == modules
    assert all(str(tmp_path) in documents[name]["doc"]["filename"] for name in modules)


def test_its_playbooks_are_found_where_it_is_installed(tarball, program, tmp_path):
    environment = {**program, "HOME": str(tmp_path / "home"), "ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "collections")}
    (tmp_path / "home").mkdir()
    subprocess.run(
        [
            "ansible-galaxy",
            "collection",
            "install",
            "--offline",
            "--no-deps",
            "-p",
            environment["ANSIBLE_COLLECTIONS_PATH"],
        ]
        + [str(tarball)],
        cwd=tmp_path,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
    )
    inventory = tmp_path / "collections/ansible_collections/sre/runbooks/inventories/local/hosts.yml"
    done = subprocess.run(
        ["ansible-playbook", "-i", str(inventory), "--list-tasks", "sre.runbooks.check_health"],
        cwd=tmp_path,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Report" in done.stdout


def test_the_commands_of_the_readme_install_it_whatever_the_checkout_was_used_for(program, files, tmp_path):
    """In a checkout that has played the demo, Ansible finds the collection there, and sees nothing left to install."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^ *\$ (ansible-galaxy collection .*)$", readme, re.MULTILINE)
    assert len(commands) == 2
    checkout, user, home = (tmp_path / name for name in ("checkout", "user", "home"))
    for directory in (user, home):
        directory.mkdir()
    for path in files:
        (checkout / path).parent.mkdir(parents=True, exist_ok=True)
        (checkout / path).write_bytes((ROOT / path).read_bytes())
    environment = {**program, "HOME": str(home)}
    for _time in range(2):
        for command in commands:
            subprocess.run(
                ["/bin/sh", "-c", command], cwd=checkout, env=environment, check=True, stdout=subprocess.PIPE
            )
        installed = home / ".ansible/collections/ansible_collections/sre/runbooks"
        assert (installed / "README.md").read_bytes() == (ROOT / "README.md").read_bytes()
        done = subprocess.run(
            ["ansible-playbook", "-i", "localhost,", "--list-tasks", "sre.runbooks.check_health"],
            cwd=user,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        # What tools/environment leaves in the checkout, and a second time what an older version left in the user's directory.
        link = checkout / ".local/collections/ansible_collections/sre/runbooks"
        if not link.is_symlink():
            link.parent.mkdir(parents=True)
            link.symlink_to("../../../..")
        (installed / "README.md").write_text("older", encoding="utf-8")
