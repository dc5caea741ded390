#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ledger_info
short_description: Name the acknowledged rows that a restored database does not have
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Compares a table with an outside record of the rows that its users were told are safe (the witness), and names the rows that are lost.
  - So the RPO is observed, not derived. Without a readable witness nothing is claimed, and RV(rows_lost) is null.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.attributes.info_module
  - sre.runbooks.postgresql
requirements:
  - psycopg >= 3.1
options:
  witness:
    description:
      - File of JSON lines, one per acknowledged row, with O(key) and C(written_at) (ISO 8601).
    type: path
    required: true
  database:
    description:
      - Database that holds the table.
    type: str
    required: true
  table:
    description:
      - Name of the table, with its schema where that is not on the search path.
    type: str
    required: true
  key:
    description:
      - Column, and member of the witness's lines, that identifies a row.
    type: str
    default: id
  consistency_time:
    description:
      - Moment of the recovery point that was restored; gives RV(rpo_measured_s).
    type: str
"""

EXAMPLES = r"""
- name: See which acknowledged rows are lost
  sre.runbooks.ledger_info:
    witness: "{{ witness_file }}"
    database: flights
    table: ledger
    login_host: "{{ login_host }}"
    login_port: "{{ login_port }}"
    login_user: "{{ login_user }}"
    login_password_file: "{{ login_password_file }}"
"""

RETURN = r"""
rows_acknowledged:
  description: Number of rows in the witness; null when there is no readable witness.
  returned: success
  type: int
rows_lost:
  description: >-
    Number of acknowledged rows that the table does not hold, with O(consistency_time) those acknowledged since; null when it is unknown.
  returned: success
  type: int
lost_rows:
  description: The keys of the lost rows, the oldest first, at most 1000 of them.
  returned: success
  type: list
  elements: str
missing_before_point:
  description: >-
    Number of rows that were acknowledged more than a second before O(consistency_time) and are missing all the same. An earlier
    restore lost them, or they were deleted; on a table that only grows and was never restored, the point would be incomplete.
    They do not count in RV(rows_lost). Null without O(consistency_time).
  returned: success
  type: int
rpo_measured_s:
  description: >-
    Seconds of acknowledged work that are lost. From the recovery point's moment to the last acknowledged row when rows are lost,
    V(0) when none is; null when it is unknown.
  returned: success
  type: float
"""

import datetime
import json
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_time
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._module import POSTGRESQL_OPTIONS, run_module
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import address_from, connect

_NAMED = 1000
#: A row's time is that of its statement; its commit may fall just after the snapshot.
_COMMIT_GRACE = datetime.timedelta(seconds=1)


def read_witness(path: str, key: str) -> dict[str, str] | None:
    """Key → time of every acknowledged row, or None when there is no witness.

    A torn last line is what a killed witness leaves: that row was not acknowledged in writing, so it is passed over.
    """
    rows: dict[str, str] = {}
    try:
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith("\n"):
                    break
                try:
                    row = json.loads(line)
                    rows[str(row[key])] = str(row["written_at"])
                except (ValueError, KeyError, TypeError):
                    raise InvalidInput(
                        f"line {number} of the witness {path} is not a row",
                        expected=f'{{"{key}": ..., "written_at": ...}}',
                        found=line[:80].strip(),
                    ) from None
    except FileNotFoundError:
        return None
    return rows


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    rows = read_witness(params["witness"], params["key"])
    result: dict[str, t.Any] = {
        "changed": False,
        "rows_acknowledged": None,
        "rows_lost": None,
        "lost_rows": [],
        "rpo_measured_s": None,
    }
    if rows is None:
        return result
    from psycopg import sql

    parts = [sql.Identifier(part) for part in params["table"].split(".")]
    query = sql.SQL("SELECT {}::text FROM {}").format(sql.Identifier(params["key"]), sql.SQL(".").join(parts))
    with connect(address_from(params), database=params["database"]) as connection:
        present = {row[0] for row in connection.execute(query)}
    lost = sorted((parse_time(moment), key) for key, moment in rows.items() if key not in present)
    result["rows_acknowledged"] = len(rows)
    if params["consistency_time"]:
        # What was acknowledged before the point is not lost by going back to it: an earlier restore lost it.
        point = parse_time(params["consistency_time"])
        earlier = [moment for moment, _key in lost if moment < point - _COMMIT_GRACE]
        lost = lost[len(earlier) :]
        result["missing_before_point"] = len(earlier)
        result["rpo_measured_s"] = max(0.0, (lost[-1][0] - point).total_seconds()) if lost else 0.0
    elif not lost:
        result["rpo_measured_s"] = 0.0
    result.update(rows_lost=len(lost), lost_rows=[key for _moment, key in lost[:_NAMED]])
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "witness": {"type": "path", "required": True},
            "database": {"type": "str", "required": True},
            "table": {"type": "str", "required": True},
            "key": {"type": "str", "default": "id", "no_log": False},
            "consistency_time": {"type": "str"},
            **POSTGRESQL_OPTIONS,
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
