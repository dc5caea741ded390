#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: diagnostics_archive
short_description: Make one archive of what was collected about components
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Brings what M(sre.runbooks.diagnostics) collected about components together in one C(tar.gz) with an index page, for browsers and as
    Markdown, which tells what stands out, what there is, and what is missing and why.
  - Writes it into a directory of the controller, whole or not at all, and into the repository where that is wanted. When one of the two
    cannot be written, the other is, and RV(problems) says so. When neither can, the module fails, and returns all the same what was found.
  - Runs on the controller.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.attributes.bookkeeping
  - sre.runbooks.repository.s3
options:
  components:
    description:
      - What is known of each component. Entries without a name are passed over.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the component.
        type: str
      part_path:
        description: The file that M(sre.runbooks.diagnostics) returned.
        type: path
      probes:
        description: Results of M(sre.runbooks.probe), which the archive keeps too.
        type: list
        elements: dict
        default: []
      probes_problem:
        description: Why its probes could not run, where they could not.
        type: str
        default: ""
      item_limit:
        description: The most bytes of one item of its probes.
        type: bytes
        default: 256K
      total_limit:
        description: The most bytes of all its items together, those of its probes first.
        type: bytes
        default: 16M
      problem:
        description: Why nothing was collected, where there is no O(components[].part_path).
        type: str
        default: ""
  alert:
    description:
      - What was wrong, for the title.
    type: str
    default: all
  report_dir:
    description:
      - Directory of the controller that receives a directory for the run. Without it the archive is only in the repository.
    type: path
  run_id:
    description:
      - The run that it belongs to, as returned by M(sre.runbooks.run). A name of its own where there is none.
    type: str
  repository:
    description:
      - The repository, with O(keep_in_repository).
      - Falls back to the environment variable E(SRE_RUNBOOKS_REPOSITORY).
    type: str
  environment_name:
    description:
      - The environment, for the title and the repository.
      - Falls back to the environment variable E(SRE_RUNBOOKS_ENVIRONMENT).
    type: str
    required: true
  keep_in_repository:
    description:
      - Whether the archive is also kept below C(runs/) in the repository. Secrets are masked, but texts of statements and logs may speak
        of people, and what a locked bucket holds cannot be taken back.
    type: bool
    default: false
seealso:
  - module: sre.runbooks.diagnostics
"""

EXAMPLES = r"""
- name: Look at the host
  sre.runbooks.diagnostics:
    component: flights_db
    alert: high_cpu
  register: looked

- name: Make an archive of it
  sre.runbooks.diagnostics_archive:
    environment_name: local
    alert: high_cpu
    report_dir: "{{ report_dir }}"
    components:
      - name: flights_db
        part_path: "{{ looked.part_path | default(omit) }}"
  delegate_to: localhost
  register: archived

- name: Show where it is
  ansible.builtin.debug:
    msg: "{{ archived.summary_lines }}"
"""

RETURN = r"""
archive_path:
  description: The archive on the controller, empty when it is not there.
  returned: success
  type: str
repository_key:
  description: Where the archive lies in the repository, empty when it is not there.
  returned: success
  type: str
bytes:
  description: Size of the archive.
  returned: success
  type: int
components:
  description: How much there is of each component, how much of it stands out, and what is missing, in a sentence.
  returned: success
  type: dict
  sample: {flights_db: "34 items; 1 failure, 2 notes; host_logs is late"}
findings:
  description: What stands out, and what could not be looked at, the worst first.
  returned: success
  type: list
  elements: dict
  contains:
    severity: {description: "V(failure), V(warning) or V(note).", type: str}
    component: {description: The component., type: str}
    text: {description: What it is., type: str}
summary_lines:
  description: Findings, what is missing, and where the archive is, for the screen.
  returned: success
  type: list
  elements: str
problems:
  description: What could not be read or written.
  returned: success
  type: list
  elements: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule, env_fallback

from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.bundle import WrittenNowhere, bundle
from ansible_collections.sre.runbooks.plugins.module_utils._module import S3_OPTION, run_module


def work(module: AnsibleModule) -> dict[str, t.Any]:
    try:
        made = bundle(module.params, module.check_mode)
    except WrittenNowhere as lost:
        # With what would have been in it: what was found is not lost with the archive.
        module.fail_json(msg=str(lost), error=lost.facts(), changed=False, **lost.made.facts())
    for problem in made.problems:
        module.warn(problem)
    return {"changed": False, **made.facts()}


def main() -> None:
    component: dict[str, t.Any] = {
        "name": {"type": "str"},
        "part_path": {"type": "path"},
        "probes": {"type": "list", "elements": "dict", "default": []},
        "probes_problem": {"type": "str", "default": ""},
        "item_limit": {"type": "bytes", "default": "256K"},
        "total_limit": {"type": "bytes", "default": "16M"},
        "problem": {"type": "str", "default": ""},
    }
    module = AnsibleModule(
        argument_spec={
            "components": {"type": "list", "elements": "dict", "required": True, "options": component},
            "alert": {"type": "str", "default": "all"},
            "report_dir": {"type": "path"},
            "run_id": {"type": "str"},
            "repository": {"type": "str", "fallback": (env_fallback, ["SRE_RUNBOOKS_REPOSITORY"])},
            "environment_name": {
                "type": "str",
                "required": True,
                "fallback": (env_fallback, ["SRE_RUNBOOKS_ENVIRONMENT"]),
            },
            "keep_in_repository": {"type": "bool", "default": False},
            "s3": S3_OPTION,
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
