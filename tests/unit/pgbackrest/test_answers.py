# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What pgBackRest prints, and what is made of it."""

from __future__ import annotations

import dataclasses
import json
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest import archive, command, info, verify

FULL = "20261121-082458F"
INCREMENT = "20261121-082458F_20261121-082504I"
PRINTED = f"""P00   INFO: verify command begin 2.45: --output=text
P00   INFO: stanza: flights_db
stanza: flights_db
status: ok
  archiveId: 15-1, total WAL checked: 7, total valid WAL: 7
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
  backup: {FULL}, status: valid, total files checked: 966, total valid files: 966
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
  backup: {INCREMENT}, status: valid, total files checked: 966, total valid files: 966
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
"""


def segments(first: int, last: int) -> list[str]:
    return [archive.segment_name(1, number) for number in range(first, last + 1)]


def backup(label: str, references: list[str], start: int, stop: int) -> dict[str, t.Any]:
    names = segments(start, stop)
    return {
        "annotation": {"sre-runbooks-point": "20261121T082458Z-a1b2"},
        "archive": {"start": names[0], "stop": names[-1]},
        "backrest": {"format": 5, "version": "2.45"},
        "database": {"id": 1, "repo-key": 1},
        "error": False,
        "info": {"delta": 100, "repository": {"delta": 10, "size": 20}, "size": 200},
        "label": label,
        "lsn": {"start": "0/3000028", "stop": "0/3000138"},
        "prior": references[-1] if references else None,
        "reference": references or None,
        "timestamp": {"start": 1795249498, "stop": 1795249501},
        "type": "incr" if references else "full",
    }


def stanza(**changes: t.Any) -> bytes:
    found = {
        "archive": [{"database": {"id": 1, "repo-key": 1}, "id": "15-1", "max": None, "min": None}],
        "backup": [backup(FULL, [], 3, 3), backup(INCREMENT, [FULL], 6, 7)],
        "cipher": "aes-256-cbc",
        "db": [{"id": 1, "repo-key": 1, "system-id": 7710537753712758691, "version": "15"}],
        "name": "flights_db",
        "repo": [{"cipher": "aes-256-cbc", "key": 1, "status": {"code": 0, "message": "ok"}}],
        "status": {"code": 0, "lock": {"backup": {"held": False}}, "message": "ok"},
        **changes,
    }
    return json.dumps([found]).encode()


def parsed(**changes: t.Any) -> info.StanzaInfo:
    return info.parse_info(stanza(**changes), "flights_db", "flights_db")


def test_info_is_typed() -> None:
    found = parsed()
    assert found.exists and found.current and found.current.system_id == 7710537753712758691
    increment = found.backup(INCREMENT)
    assert increment and increment.references == (FULL,) and increment.timeline == 1
    assert found.archive_id(1) == "15-1"
    with pytest.raises(IntegrityError):
        found.archive_id(2)


def test_nothing_there_is_no_error() -> None:
    found = info.parse_info(b"[]", "flights_db", "flights_db")
    assert not found.exists and found.current is None


@pytest.mark.parametrize("answer", [b"nonsense", b"[{}]", b'{"a": 1}', b"[1]", b"\xff"])
def test_another_answer_is_refused(answer: bytes) -> None:
    with pytest.raises(IntegrityError):
        info.parse_info(answer, "flights_db", "flights_db")


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("[FormatError] key/value found outside of section at line 1: \x01\x02?\ufffd|secret\nHINT: is it so?", 95),
        ("[CryptoError] unable to flush", 95),
        ("[CryptoError] unable to find hostname 'x' in certificate common name", 99),
        ("[HostConnectError] unable to connect to 'x:1': [111] Connection refused", 99),
    ],
)
def test_a_wrong_passphrase_is_told_from_everything_else(message: str, code: int) -> None:
    status = {"code": 99, "message": "other", "lock": {"backup": {"held": False}}}
    repository = [{"cipher": "none", "key": 1, "status": {"code": 99, "message": message}}]
    with pytest.raises(command.PgbackrestError) as raised:
        parsed(status=status, repo=repository)
    assert raised.value.code == code and raised.value.next_command
    assert "\x01" not in str(raised.value) and "secret" not in str(raised.value)


def judged(text: str, label: str = INCREMENT, there: list[str] | None = None) -> verify.BackupVerdict:
    found = parsed()
    chosen = found.backup(label)
    assert chosen is not None
    present = segments(1, 7) if there is None else there
    return verify.judge_backup(verify.parse_verified(text), found, chosen, present)


def test_what_is_whole_is_so_called() -> None:
    verdict = judged(PRINTED)
    assert verdict.failures == [] and verdict.elsewhere == [] and (verdict.files, verdict.segments) == (966, 2)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f"{INCREMENT}, status: valid", f"{INCREMENT}, status: invalid"),
        (f"{INCREMENT}, status: valid", f"{INCREMENT}, status: in-progress"),
        (f"  backup: {INCREMENT}, status: valid, total files checked: 966, total valid files: 966\n", ""),
        ("total files checked: 966, total valid files: 966", "total files checked: 966, total valid files: 965"),
        ("total files checked: 966, total valid files: 966", "total files checked: 0, total valid files: 0"),
        ("total WAL checked: 7, total valid WAL: 7", "total WAL checked: 7, total valid WAL: 6"),
        ("total WAL checked: 7, total valid WAL: 7", "total WAL checked: 6, total valid WAL: 6"),
        ("  archiveId: 15-1, total WAL checked: 7, total valid WAL: 7\n", ""),
        (PRINTED, ""),
    ],
)
def test_nothing_is_whole_that_was_not_called_so(old: str, new: str) -> None:
    assert old in PRINTED
    assert judged(PRINTED.replace(old, new)).failures


def test_a_bad_segment_counts_where_it_is_needed() -> None:
    def said(number: int) -> str:
        name = f"15-1/0000000100000000/{segments(number, number)[0]}-{'a' * 40}.zst"
        return f"INFO: invalid checksum '{name}'\n" + PRINTED.replace("total valid WAL: 7", "total valid WAL: 6")

    assert "its checksum is another" in judged(said(7)).failures[0]
    later = judged(said(7), FULL)
    assert later.failures == [] and len(later.elsewhere) == 1


def test_a_missing_segment_counts_where_it_is_needed() -> None:
    text = PRINTED.replace("total WAL checked: 7, total valid WAL: 7", "total WAL checked: 6, total valid WAL: 6")
    assert judged(text, there=segments(1, 6)).failures == [f"segment {segments(7, 7)[0]} of the log: missing"]
    assert judged(text, FULL, there=segments(1, 6)).failures == []


def test_progress_is_read_from_the_last_file() -> None:
    lines = b"P01 DETAIL: backup file /d/base/5/1255 (768KB, 3.42%) checksum adb7\nP01 DETAIL: x (8.5KB, 51.10%) y"
    assert command.percent_in(lines) == 51.1
    assert command.percent_in(b"P00 INFO: nothing of the kind (1, 2)") is None


def test_the_numbers_of_segments_go_both_ways() -> None:
    for size in (1 << 20, 16 << 20, 1 << 30):
        for number in (0, 1, 255, 256, 4096, 123456):
            name = archive.segment_name(3, number, size)
            assert archive.position_of(name, size) == number and name.startswith("00000003")
    assert list(archive.segments_between("0000000100000000000000FF", "000000010000000100000000")) == [
        "0000000100000000000000FF",
        "000000010000000100000000",
    ]
    with pytest.raises(IntegrityError):
        list(archive.segments_between("000000010000000000000001", "000000020000000000000002"))


@pytest.mark.parametrize(("found", "major", "fits"), [((2, 45), 15, True), ((2, 45), 16, False), ((2, 57), 18, True)])
def test_the_servers_version_must_be_known(found: tuple[int, int], major: int, fits: bool) -> None:
    if fits:
        command.check_server(found, major)
    else:
        with pytest.raises(command.MissingRequirement, match=f"does not know PostgreSQL {major}"):
            command.check_server(found, major)


def test_info_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        parsed().code = 1  # type: ignore[misc]
