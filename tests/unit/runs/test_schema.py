# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/schemas/report.schema.json and the samples that the renderers are tested with agree."""

from __future__ import annotations

import json
import pathlib
import sys
import typing as t

import jsonschema
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from sample_report import health_report, rebuild_report, troubled_report

SCHEMA = json.loads((pathlib.Path(__file__).parents[3] / "docs/schemas/report.schema.json").read_text())


def test_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("report", [rebuild_report(), troubled_report(), health_report()])
def test_samples_are_valid(report: dict[str, t.Any]) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(report)


@pytest.mark.parametrize("damage", [{"verdict": "fine"}, {"started": "yesterday"}, {"unknown_key": 1}])
def test_schema_refuses(damage: dict[str, t.Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**rebuild_report(), **damage}, SCHEMA)
