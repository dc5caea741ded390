# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.control_data import parse_control_data
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.target import Target, target_from


@pytest.mark.parametrize(
    ("params", "kind", "settings"),
    [
        ({}, "newest", {}),
        ({"target_immediate": True}, "immediate", {"recovery_target": "immediate"}),
        (
            {"target_time": "2026-11-21T06:10:00.25+01:00"},
            "time",
            {"recovery_target_time": "2026-11-21 05:10:00.250000+00", "recovery_target_inclusive": "on"},
        ),
        (
            {"target_lsn": "0/3000148", "target_inclusive": False},
            "lsn",
            {"recovery_target_lsn": "0/3000148", "recovery_target_inclusive": "off"},
        ),
        ({"target_xid": "4294968020"}, "xid", {"recovery_target_xid": "724", "recovery_target_inclusive": "on"}),
        ({"target_name": "before upgrade"}, "name", {"recovery_target_name": "before upgrade"}),
    ],
)
def test_a_target_in_the_servers_words(params: dict[str, object], kind: str, settings: dict[str, str]) -> None:
    target = target_from(params)
    assert (target.kind, target.settings()) == (kind, settings)


@pytest.mark.parametrize(
    "params",
    [
        {"target_time": "yesterday"},
        {"target_lsn": "12"},
        {"target_xid": "2"},
        {"target_xid": "a1"},
        {"target_name": "a\nb"},
        {"target_name": "x" * 64},
        {"target_time": "2026-11-21T05:10:00Z", "target_lsn": "0/1"},
        {"target_timeline": "newest"},
        {"target_timeline": "0"},
    ],
)
def test_what_is_no_target_is_refused(params: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        target_from(params)


def test_a_target_is_told_in_words() -> None:
    assert Target("lsn", "0/1", inclusive=False).words() == "just before position 0/1"
    assert Target("name", "a", inclusive=False).words() == "restore point a"


CONTROL = """\
pg_control version number:            1300
Database system identifier:           7710538175551993172
Database cluster state:               shut down in recovery
Latest checkpoint location:           0/2000060
Latest checkpoint's TimeLineID:       1
Minimum recovery ending location:     0/30180D0
max_connections setting:              100
max_worker_processes setting:         8
max_wal_senders setting:              10
max_prepared_xacts setting:           0
max_locks_per_xact setting:           64
Bytes per WAL segment:                16777216
"""


def test_control_data_are_read() -> None:
    found = parse_control_data(CONTROL)
    assert found.system_identifier == "7710538175551993172"
    assert found.clean
    assert found.floors["max_prepared_transactions"] == 0
    assert found.segment_size == 16 << 20
    with pytest.raises(EngineError, match="cannot be read"):
        parse_control_data(CONTROL.replace("Bytes per WAL segment", "other"))


def test_a_time_that_cannot_be_read_is_named_as_the_operator_wrote_it() -> None:
    with pytest.raises(InvalidInput, match="restore_target_time is not a time"):
        target_from({"target_time": "yesterday"})
