# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Misspelt variables are named with what was meant."""

from __future__ import annotations

import pathlib
import re

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.sre.runbooks.plugins.filter.unknown_names import unknown_names
from ansible_collections.sre.runbooks.plugins.module_utils._module import S3_OPTION

ROOT = pathlib.Path(__file__).resolve().parents[3]


def test_the_nearest_name_is_told() -> None:
    known = ["component_rpo", "component_rto", "component_data_path"]
    given = ["component_rpo", "component_data_pth", "component_quite_another"]
    given_near = ["component_data_pth (did you mean component_data_path?)"]
    assert unknown_names(given, known) == [
        "component_data_pth (did you mean component_data_path?)",
        "component_quite_another",
    ]
    assert unknown_names([], known) == []
    assert unknown_names(given, known, only_near=True) == given_near


def test_texts_are_no_lists() -> None:
    with pytest.raises(AnsibleFilterError):
        unknown_names("component_rpo", ["component_rpo"])


def test_the_role_knows_every_key_of_the_modules_option() -> None:
    known = yaml.safe_load((ROOT / "roles/run/vars/main.yml").read_text(encoding="utf-8"))["__run_s3_keys"]
    assert known == sorted(S3_OPTION["options"])


def test_every_variable_of_a_playbook_is_known() -> None:
    variables = yaml.safe_load((ROOT / "roles/run/vars/main.yml").read_text(encoding="utf-8"))
    known = set(variables["__run_variables"])
    for role in variables["__run_roles"]:
        specification = (ROOT / "roles" / role / "meta/argument_specs.yml").read_text(encoding="utf-8")
        for entry in yaml.safe_load(specification)["argument_specs"].values():
            known |= set(entry.get("options") or {})
    name = re.compile(r"(?<![\w./])(?:" + "|".join(variables["__run_prefixes"]) + r")_[a-z0-9_]+(?=[\s)}|'])")
    files = [*ROOT.glob("playbooks/*.yml"), *ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("roles/*/vars/*.yml")]
    read = {
        found
        for file in files
        for expression in re.findall(r"{{.*?}}", file.read_text(encoding="utf-8"), re.DOTALL)
        for found in name.findall(re.sub(r"'[^']*'", "''", expression))
    }
    assert len(read) > 40
    assert read <= known, f"add to __run_variables of roles/run/vars/main.yml: {sorted(read - known)}"
