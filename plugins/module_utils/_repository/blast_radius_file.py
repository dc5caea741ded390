# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The blast radius of a repository in a directory: whoever may write to it may also destroy it, unless the system says no."""

from __future__ import annotations

import os
import secrets
import stat
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import RepositoryError
from ansible_collections.sre.runbooks.plugins.module_utils._repository.blast_radius import (
    FAIL,
    PASS,
    PROBE_CONTENT,
    PROBES,
    UNKNOWN,
    Demands,
    Finding,
)

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.file_store import FileStore

_ELSEWHERE = "a repository in a bucket with object lock (docs/bucket.md), or an append-only or snapshotted file system"


def file_findings(store: FileStore, demands: Demands) -> list[Finding]:
    """Every question about a directory."""
    return [
        _delete(store, demands),
        _same_filesystem(store, demands),
        _owner(store, demands),
        _mode(store),
        Finding(
            "snapshots",
            UNKNOWN,
            "copies that this host cannot change",
            "a snapshot or a copy elsewhere cannot be seen from here",
            "snapshot the file system, or copy the repository, with an identity that this host does not hold",
        ),
    ]


def _delete(store: FileStore, demands: Demands) -> Finding:
    expected = f"uid {os.geteuid()} may add objects and delete none"
    if not demands.trying:
        return Finding("delete", UNKNOWN, expected, "not tried", "repository_info with blast_radius=try")
    key = f"{PROBES}{secrets.token_hex(4)}"
    try:
        store.create(key, PROBE_CONTENT)
    except RepositoryError as error:
        return Finding("delete", UNKNOWN, expected, f"no probe could be written: {error.found or error.message}")
    try:
        store.delete(key)
    except RepositoryError as error:
        return Finding("delete", PASS, expected, f"deleting a probe was refused: {error.found or error.message}")
    return Finding("delete", FAIL, expected, "a probe could be deleted, so can everything else", _ELSEWHERE, True)


def _same_filesystem(store: FileStore, demands: Demands) -> Finding:
    expected = "another file system than the data's"
    if not demands.data_paths:
        return Finding("same_filesystem", UNKNOWN, expected, "where the data is was not said", "give data_paths")
    device = os.stat(store.path).st_dev
    shared = [path for path in demands.data_paths if os.path.exists(path) and os.stat(path).st_dev == device]
    if shared:
        return Finding(
            "same_filesystem",
            FAIL,
            expected,
            f"the same file system as {', '.join(shared)}: one disk loses both",
            "move the repository to another file system",
            True,
        )
    return Finding("same_filesystem", PASS, expected, "another one")


def _owner(store: FileStore, demands: Demands) -> Finding:
    expected = "another owner than the backed-up server's account"
    there = [path for path in demands.data_paths if os.path.exists(path)]
    if not there:
        return Finding("owner", UNKNOWN, expected, "whose the data is was not said", "give data_paths")
    uid = os.stat(store.path).st_uid
    same = [path for path in there if os.stat(path).st_uid == uid]
    if same:
        return Finding(
            "owner",
            FAIL,
            expected,
            f"uid {uid} owns the repository and {', '.join(same)}: who takes over the server takes its backups too",
            "let another account than the server's own the repository",
            True,
        )
    return Finding("owner", PASS, expected, f"uid {uid}, which owns none of the data")


def _mode(store: FileStore) -> Finding:
    mode = stat.S_IMODE(os.stat(store.path).st_mode)
    expected = "no access for others, no writing for the group"
    if mode & 0o027:
        return Finding("mode", FAIL, expected, f"{mode:04o}", f"chmod g-w,o= {store.path}", destroys=bool(mode & 0o022))
    return Finding("mode", PASS, expected, f"{mode:04o}")
