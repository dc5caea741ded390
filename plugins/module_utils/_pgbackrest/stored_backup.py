# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the files of a backup lie in pgBackRest's repository at their lengths: told by its manifest and a listing."""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.command import Pgbackrest

_SECTION = re.compile(r"\[([^\]]+)\]")
#: What pgBackRest appends to the name of a compressed file.
_SUFFIXES = ("", ".zst", ".gz", ".lz4", ".bz2")


def require_stored(tool: Pgbackrest, label: str, point_id: str, timeout: float = 300.0) -> None:
    """Compare every file of the backup, and of those that it builds on, with the repository's listing. Reads no data.

    :raises IntegrityError: files are missing or of another length.
    :raises PgbackrestError: the repository or the backup's manifest cannot be read.
    """
    expected = expected_lengths(_manifest(tool, label, timeout), label)
    found: dict[str, int] = {}
    for each in sorted({name.partition("/")[0] for name in expected}):
        found.update(_listing(tool, each, timeout))
    wrong = differences(expected, found)
    if wrong:
        raise IntegrityError(
            f"recovery point {point_id} is damaged: {counted(len(wrong), 'file')} of its backup"
            f" {'is' if len(wrong) == 1 else 'are'} not as stored",
            tool.component,
            expected=f"{counted(len(expected), 'file')} of the lengths that its manifest names",
            found="; ".join(wrong[:5]),
        )


def expected_lengths(manifest: str, label: str) -> dict[str, tuple[int, bool]]:
    """``<label>/<path>`` → bytes in the repository, and whether it may have more (a bundle of several files).

    Files of former backups are named with their own label. Empty ones are left out: in bundles they are not stored.
    """
    section = ""
    expected: dict[str, tuple[int, bool]] = {}
    for line in manifest.splitlines():
        heading = _SECTION.fullmatch(line)
        if heading:
            section = heading[1]
        elif section == "target:file":
            path, separator, text = line.partition("={")
            if not separator:
                continue
            entry: dict[str, t.Any] = json.loads("{" + text)
            length = int(entry.get("repo-size", entry.get("size", 0)))
            place = str(entry.get("reference", label))
            if not length:
                continue
            if "bni" in entry:
                name = f"{place}/bundle/{entry['bni']}"
                end = int(entry.get("bno", 0)) + length
                expected[name] = (max(end, expected.get(name, (0, True))[0]), True)
            else:
                expected[f"{place}/{path}"] = (length, False)
    return expected


def differences(expected: t.Mapping[str, tuple[int, bool]], found: t.Mapping[str, int]) -> list[str]:
    """What is missing or of another length, in words that begin with its name."""
    wrong = []
    for name, (length, at_least) in sorted(expected.items()):
        there = next((found[name + suffix] for suffix in _SUFFIXES if name + suffix in found), None)
        if there is None:
            wrong.append(f"{name}: missing")
        elif there < length or (there != length and not at_least):
            wrong.append(f"{name}: {there} bytes instead of {length}")
    return wrong


def _manifest(tool: Pgbackrest, label: str, timeout: float) -> str:
    operand = f"backup/{tool.stanza}/{label}/backup.manifest"
    content = tool.run("repo-get", timeout=timeout, what=f"reading the manifest of backup {label}", operand=operand)
    return content.decode("utf-8", "replace")


def _listing(tool: Pgbackrest, label: str, timeout: float) -> dict[str, int]:
    operand = f"backup/{tool.stanza}/{label}"
    output = tool.run(
        "repo-ls", "--recurse", "--output=json", timeout=timeout, what=f"listing backup {label}", operand=operand
    )
    try:
        entries = json.loads(output.decode() or "{}")
        return {f"{label}/{name}": int(entry["size"]) for name, entry in entries.items() if entry["type"] == "file"}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(
            "pgBackRest's answer cannot be read", tool.component, expected="its JSON", found=repr(error)[:200]
        ) from None
