#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: objective_rules
short_description: Prometheus records and alerts on service level objectives
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Writes a file of recording rules and of multi-window burn-rate alerts, generated from the same definitions that
    M(sre.runbooks.objective_info) judges.
  - C(promtool) checks the rules and runs a generated unit test of them before anything is written, so that a file which
    Prometheus would refuse never replaces one that works. Nothing is asked of a server.
  - Prometheus reads the file at its next reload.
extends_documentation_fragment:
  - sre.runbooks.attributes
options:
  path:
    description: The file of rules, which Prometheus reads. It is written whole or not at all.
    type: path
    required: true
  test_path:
    description: A file for the unit test, in the directory of O(path), to be run by C(promtool test rules).
    type: path
  objectives:
    description: The objectives, each an SLO document in the subset of OpenSLO that C(docs/objectives.md) describes.
    type: list
    elements: raw
    required: true
  components:
    description: Every component that there is. An objective about another one is refused. Not looked at when empty.
    type: list
    elements: str
    default: []
  promtool:
    description: The program, as a path or a name on E(PATH).
    type: str
    default: promtool
  validate:
    description: Whether C(promtool) judges the files first. Without it nothing does, and the program is not needed.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Write rules and alerts for the objectives, such as in the example of sre.runbooks.objective_info
  sre.runbooks.objective_rules:
    path: "{{ directory }}/objectives.yml"
    test_path: "{{ directory }}/objectives_test.yml"
    objectives: "{{ objectives }}"
"""

RETURN = r"""
path:
  description: The file of rules.
  returned: success
  type: str
  sample: /etc/prometheus/rules/objectives.yml
message:
  description: What was written, or would be in check mode, and which objectives came, went, or are other ones.
  returned: success
  type: str
  sample: >-
    written: 16 recording rules and 10 alerts of 2 objectives in /etc/prometheus/rules/objectives.yml
    (new: api_latency), which Prometheus reads at its next reload
rules:
  description: Number of recording rules.
  returned: success
  type: int
  sample: 24
alerts:
  description: Number of alerts.
  returned: success
  type: int
  sample: 15
tests:
  description: Number of cases in the unit test, most of which ask of every objective.
  returned: success
  type: int
  sample: 7
"""

import os
import shlex
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._module import run_module
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.definition import Objective
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.rule_file import (
    as_yaml,
    find_promtool,
    groups_of,
    judge,
)
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.rules import generate
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.rules_test import generate_test
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.selection import define_all
from ansible_collections.sre.runbooks.plugins.module_utils._whole_file import write_whole
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted


def _read(path: str) -> str | None:
    """What is there now, or None. Raises InvalidInput for what is there and cannot be read."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        directory = os.path.dirname(os.path.abspath(path))
        if os.path.isdir(directory):
            return None
        reason = f"no directory {directory}"
    except UnicodeDecodeError:
        reason = "a file that is no text"
    except OSError as error:
        reason = error.strerror or "an error"
    raise InvalidInput(
        f"the file {path} cannot be written",
        expected="a file of rules, or none, in a directory that is there",
        found=reason,
        next_command=f"ls -ld {os.path.dirname(os.path.abspath(path))}",
    )


def _work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    path, test_path = params["path"], params["test_path"]
    if test_path and os.path.dirname(os.path.abspath(test_path)) != os.path.dirname(os.path.abspath(path)):
        raise InvalidInput("test_path lies elsewhere than path", expected="the same directory", found=test_path)
    if test_path and os.path.abspath(test_path) == os.path.abspath(path):
        raise InvalidInput("test_path and path are one file", expected="two files", found=test_path)
    objectives = define_all(params["objectives"], params["components"])
    if not objectives:
        # A misspelt variable is none, and would take every alert away.
        raise InvalidInput(
            "no objective was given",
            expected="at least one in the variable objectives of the inventory (docs/objectives.md)",
            found="none",
            next_command=(f"to have none of these alerts: rm {shlex.quote(path)}; or " if os.path.exists(path) else "")
            + "define one, then: the same command without -e objectives",
        )
    name = os.path.basename(path)
    rules, test = generate(objectives), generate_test(objectives, name)
    wanted = {path: as_yaml(rules), **({test_path: as_yaml(test)} if test_path else {})}
    if params["validate"]:
        judge(find_promtool(params["promtool"]), as_yaml(rules), as_yaml(test), name, len(objectives))
    found = {place: _read(place) for place in wanted}
    stale = [place for place in wanted if found[place] != wanted[place]]
    for place in [] if module.check_mode else stale:
        try:
            write_whole(place, wanted[place].encode("utf-8"), mode=0o644)
        except OSError as error:
            raise InvalidInput(
                f"the file {place} cannot be written",
                expected="a directory in which we may write",
                found=error.strerror,
                next_command=f"ls -ld {os.path.dirname(os.path.abspath(place))}",
            ) from None
    every = [rule for group in rules["groups"] for rule in group["rules"]]
    counts = {"rules": sum("record" in rule for rule in every), "alerts": sum("alert" in rule for rule in every)}
    return {
        "changed": bool(stale),
        "diff": [
            {"before_header": place, "after_header": place, "before": found[place] or "", "after": wanted[place]}
            for place in stale
        ],
        "path": path,
        "message": _message(module.check_mode, path, stale, counts, objectives, (found[path] or "", wanted[path])),
        **counts,
        "tests": len(test["tests"]),
    }


def _message(
    check_mode: bool,
    path: str,
    stale: list[str],
    counts: dict[str, int],
    objectives: list[Objective],
    texts: tuple[str, str],
) -> str:
    done = "unchanged" if not stale else "would be written" if check_mode else "written"
    what = f"{counted(counts['rules'], 'recording rule')} and {counted(counts['alerts'], 'alert')}"
    former, wanted = (groups_of(text) for text in texts)
    changes = [
        f"{word}: {', '.join(names)}"
        for word, names in (
            ("new", [name for name in wanted if name not in former]),
            ("changed", [name for name in wanted if name in former and former[name] != wanted[name]]),
            ("gone", [name for name in former if name not in wanted]),
        )
        if names
    ]
    return (
        f"{done}: {what} of {counted(len(objectives), 'objective')} in {path}"
        + (f" ({'; '.join(changes)})" if changes else "")
        + (", which Prometheus reads at its next reload" if stale else "")
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "test_path": {"type": "path"},
            "objectives": {"type": "list", "elements": "raw", "required": True},
            "components": {"type": "list", "elements": "str", "default": []},
            "promtool": {"type": "str", "default": "promtool"},
            "validate": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    run_module(module, _work)


if __name__ == "__main__":
    main()
