# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a manifest of pgBackRest says of the files in its repository, held against a listing."""

from __future__ import annotations

from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.stored_backup import (
    differences,
    expected_lengths,
)

FULL, NEXT = "20261121-121833F", "20261121-121833F_20261121-121843I"
MANIFEST = f"""[backup:option]
option-compress=true

[target:file]
pg_data/PG_VERSION={{"checksum":"58","reference":"{FULL}","repo-size":32,"size":3}}
pg_data/a file=with ={{"checksum":"58","repo-size":208,"size":258}}
pg_data/base/1/112={{"checksum":"cf","size":8192}}
pg_data/empty={{"size":0}}
pg_data/one={{"bni":1,"bno":0,"repo-size":40,"size":80}}
pg_data/two={{"bni":1,"bno":40,"reference":"{FULL}","repo-size":60,"size":80}}
pg_data/three={{"bni":1,"bno":40,"repo-size":2,"size":80}}

[target:file:default]
group="postgres"
"""
WHOLE = {
    f"{FULL}/pg_data/PG_VERSION.zst": 32,
    f"{NEXT}/pg_data/a file=with .zst": 208,
    f"{NEXT}/pg_data/base/1/112": 8192,
    f"{NEXT}/bundle/1": 50,
    f"{FULL}/bundle/1": 100,
}


def test_files_are_expected_where_their_backup_lies() -> None:
    assert expected_lengths(MANIFEST, NEXT) == {
        f"{FULL}/pg_data/PG_VERSION": (32, False),
        f"{NEXT}/pg_data/a file=with ": (208, False),
        f"{NEXT}/pg_data/base/1/112": (8192, False),
        f"{NEXT}/bundle/1": (42, True),
        f"{FULL}/bundle/1": (100, True),
    }
    assert differences(expected_lengths(MANIFEST, NEXT), WHOLE) == []


def test_what_is_missing_or_cut_off_is_named() -> None:
    expected = expected_lengths(MANIFEST, NEXT)
    for name, length in WHOLE.items():
        assert len(differences(expected, {other: size for other, size in WHOLE.items() if other != name})) == 1
        (wrong,) = differences(expected, {**WHOLE, name: length - 10})
        assert (
            wrong
            == f"{name.removesuffix('.zst')}: {length - 10} bytes instead of {expected[name.removesuffix('.zst')][0]}"
        )
    (longer,) = differences(expected, {**WHOLE, f"{NEXT}/pg_data/base/1/112": 8193})
    assert longer.endswith("8193 bytes instead of 8192")
