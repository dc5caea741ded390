# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's parts agree with each other: modules, roles, playbooks, their documentation and their tests."""

from __future__ import annotations

import pathlib
import re

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("[!_]*.py"))
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))


def load(path: pathlib.Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def documentation(module: str) -> dict:
    text = (ROOT / "plugins" / "modules" / f"{module}.py").read_text(encoding="utf-8")
    found = re.search(r'^DOCUMENTATION = r?"""(.*?)"""', text, re.M | re.S)
    assert found, f"{module} has no DOCUMENTATION"
    return yaml.safe_load(found.group(1))


@pytest.mark.parametrize("module", MODULES)
def test_every_module_is_tested(module):
    # test_examples.py runs the examples of all of them and names none.
    tests = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    assert any(re.search(rf"\b{module}\b", text) for text in tests), f"no test names {module}"


@pytest.mark.parametrize("module", MODULES)
def test_every_module_is_fully_documented(module):
    text = (ROOT / "plugins" / "modules" / f"{module}.py").read_text(encoding="utf-8")
    document = documentation(module)
    assert document["module"] == module
    assert document["version_added"]
    assert document["author"]
    assert any(name.startswith("sre.runbooks.attributes") for name in document["extends_documentation_fragment"])
    for part in ("EXAMPLES", "RETURN"):
        found = re.search(rf'^{part} = r?"""(.*?)"""', text, re.M | re.S)
        assert found and yaml.safe_load(found.group(1)), f"{module} has no {part}"


def test_action_groups_list_exactly_our_modules():
    groups = load(ROOT / "meta" / "runtime.yml")["action_groups"]
    assert groups["all"] == MODULES
    for name, fragment in {"repository": "repository", "postgresql": "postgresql"}.items():
        expected = [
            module
            for module in MODULES
            if f"sre.runbooks.{fragment}" in documentation(module)["extends_documentation_fragment"]
        ]
        assert groups[name] == expected, name


@pytest.mark.parametrize("role", ROLES)
def test_arguments_and_defaults_of_a_role_agree(role):
    specs = load(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]
    defaults_file = ROOT / "roles" / role / "defaults" / "main.yml"
    defaults = load(defaults_file) if defaults_file.exists() else {}
    options: dict = {}
    for entry in specs.values():
        options.update(entry.get("options") or {})
    assert sorted(set(defaults) - set(options)) == [], "defaults that no argument spec describes"
    for name, option in options.items():
        assert option.get("description"), f"{name} is not described"
        if name in defaults and "{{" not in str(defaults[name]):
            assert option.get("default") == defaults[name], f"{name}: the default of the argument spec differs"
        if name not in defaults:
            assert "default" not in option, f"{name} has a default in its argument spec only"


@pytest.mark.parametrize("role", ROLES)
def test_every_entry_point_of_a_role_exists(role):
    specs = load(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]
    for entry in specs:
        assert (ROOT / "roles" / role / "tasks" / f"{entry}.yml").exists(), entry


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_every_playbook_is_explained(playbook):
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    assert any(playbook in page.read_text(encoding="utf-8") for page in pages), f"no page explains {playbook}"
    assert re.fullmatch(r"[a-z]+(_[a-z]+)+", playbook), "playbooks are named verb_noun"


def test_the_version_is_the_same_everywhere():
    version = load(ROOT / "galaxy.yml")["version"]
    released = load(ROOT / "changelogs" / "changelog.yaml")["releases"]
    fragments = [path.stem for path in (ROOT / "changelogs" / "fragments").glob("*.yml")]
    assert version in released or version in fragments
    assert {str(documentation(module)["version_added"]) for module in MODULES} <= {version, *released}


def test_a_record_is_opened_after_the_variables_of_every_role_were_checked():
    """Whatever fails in the roles' own check fails behind the record's back, and leaves it open.

    Those without a record may do the same, for what is said of a mistake.
    """
    checked = load(ROOT / "roles" / "run" / "vars" / "main.yml")["__run_roles_of"]
    texts = {name: (ROOT / "playbooks" / f"{name}.yml").read_text(encoding="utf-8") for name in PLAYBOOKS}
    recorded = {name: text for name, text in texts.items() if re.search(r"tasks_from: (start|specified)\.yml", text)}
    assert checked.keys() == recorded.keys()
    for name, text in recorded.items():
        used = set(re.findall(r"sre\.runbooks\.([a-z_]+)$", text, re.M)) - {"run", "objectives"}
        assert used <= set(checked[name]) <= set(ROLES), name


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_every_playbook_for_nobody_says_so(playbook):
    """Ansible skips a play without hosts, and ends as if everything were well."""
    plays = load(ROOT / "playbooks" / f"{playbook}.yml")
    if not any("component_hosts" in play["hosts"] for play in plays):
        assert playbook.endswith("_local_environment"), "who chooses the components?"
        return  # the inventory of that environment is fixed
    # Asked of the pattern that the plays after it are for.
    hosts = re.sub(r"\s+", " ", plays[0]["hosts"])
    pattern = re.fullmatch(r"{{ lookup\('sre\.runbooks\.hosts_of_run', (.*component_hosts.*)\) }}", hosts)
    assert pattern
    assert all(pattern[1] in play["hosts"] or "hostvars" in play["hosts"] for play in plays[1:])
    asked = [
        task["ansible.builtin.import_role"]
        for task in [*plays[0].get("pre_tasks", []), *plays[0].get("tasks", [])]
        if "ansible.builtin.import_role" in task
    ]
    assert {role["tasks_from"] for role in asked} & {"start.yml", "require.yml", "components.yml"}
