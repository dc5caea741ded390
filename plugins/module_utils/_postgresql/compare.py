# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restored content against what was measured when it was backed up: nothing lost, nothing added, nothing changed.

Works on the dictionaries of :func:`catalog.measure_database`.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import AssertionFailed

Measured = t.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Difference:
    """One thing that is not as recorded, in words fit for an error."""

    what: str
    expected: str
    found: str

    def facts(self) -> dict[str, str]:
        return dataclasses.asdict(self)


def compare(database: str, recorded: Measured, found: Measured) -> list[Difference]:
    """Every difference between two measures of a database, the gravest first: tables, rows, hashes, the rest."""
    return [
        *_tables(database, recorded["tables"], found["tables"]),
        *_sequences(database, recorded["sequences"], found["sequences"]),
        *_large_objects(database, recorded["large_objects"], found["large_objects"]),
    ]


def refuse_differences(differences: t.Sequence[Difference], component: str, point_id: str) -> None:
    """Raise :class:`AssertionFailed` naming the first difference and how many more."""
    if differences:
        first, more = differences[0], f" (and {len(differences) - 1} more)" if len(differences) > 1 else ""
        raise AssertionFailed(
            f"what recovery point {point_id} restores is not what was backed up: {first.what}{more}",
            component,
            expected=first.expected,
            found=first.found,
            next_command="restore another recovery point (restore_recovery_point)",
        )


def accounting(measured: Measured) -> dict[str, int]:
    """How much there is, for reports: tables, rows, hashed tables, sequences, large objects."""
    tables = measured["tables"].values()
    return {
        "tables": len(tables),
        "rows": sum(table["rows"] or 0 for table in tables),
        "hashed": sum(table["hash"] is not None for table in tables),
        "sequences": len(measured["sequences"]),
        "large_objects": measured["large_objects"]["count"],
    }


def _tables(database: str, recorded: Measured, found: Measured) -> list[Difference]:
    differences = []
    for label in sorted(recorded.keys() - found.keys()):
        differences.append(
            Difference(f"table {label} of {database}", f"{recorded[label]['rows']} rows", "no such table")
        )
    for label in sorted(found.keys() - recorded.keys()):
        differences.append(Difference(f"table {label} of {database}", "no such table", f"{found[label]['rows']} rows"))
    for label in sorted(recorded.keys() & found.keys()):
        expected, there = recorded[label], found[label]
        if expected["rows"] != there["rows"]:
            # What a materialised view shows may have been older than its tables; pg_restore refreshes it.
            if expected["kind"] != "matview" or there["rows"] is None:
                differences.append(
                    Difference(f"table {label} of {database}", _rows(expected["rows"]), _rows(there["rows"]))
                )
        elif expected["hash"] is not None and there["hash"] is not None and expected["hash"] != there["hash"]:
            differences.append(
                Difference(
                    f"the content of table {label} of {database}", f"hash {expected['hash']}", f"hash {there['hash']}"
                )
            )
    return differences


def _sequences(database: str, recorded: Measured, found: Measured) -> list[Difference]:
    """A sequence ignores snapshots, so that the dump may show a later value than was measured; never an earlier one."""
    differences = []
    for label, expected in sorted(recorded.items()):
        there = found.get(label)
        if there is None:
            differences.append(Difference(f"sequence {label} of {database}", "a sequence", "none of that name"))
            continue
        behind = (expected["last_value"] - there["last_value"]) * (1 if expected.get("increment", 1) > 0 else -1) > 0
        if behind and not expected.get("cycle"):
            differences.append(
                Difference(
                    f"sequence {label} of {database}",
                    f"at {expected['last_value']} or beyond",
                    f"at {there['last_value']}",
                )
            )
    return differences


def _large_objects(database: str, recorded: Measured, found: Measured) -> list[Difference]:
    for key, unit in (
        ("count", "large objects"),
        ("bytes", "bytes in large objects"),
        ("hash", "as hash of large objects"),
    ):
        expected, there = recorded.get(key), found.get(key)
        # Bytes depend on how sparse objects are stored; the hash does not.
        if key == "bytes" and recorded.get("hash") is not None and found.get("hash") is not None:
            continue
        if expected is not None and there is not None and expected != there:
            return [Difference(f"large objects of {database}", f"{expected} {unit}", f"{there} {unit}")]
    return []


def _rows(count: int | None) -> str:
    return "no count" if count is None else f"{count} rows"
