#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: schedule_files
short_description: Files that start runbooks when they are due
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Writes what cron, systemd, Kubernetes or AWX need to start the runbooks of an environment, from one table. All four mean
    the same moments.
  - The directory then has these files and no others of ours; what is not ours is left alone. Nothing is installed or applied.
  - Environment variables are not passed on. It warns, with their names alone, of those that begin with C(SRE_RUNBOOKS_) or
    C(ANSIBLE_) and are set where it runs.
  - Runs on the controller.
extends_documentation_fragment:
  - sre.runbooks.attributes
requirements:
  - PyYAML, for O(formats) V(kubernetes) and V(awx)
options:
  path:
    description:
      - The directory. Each format has a folder of its own there.
    type: path
    required: true
  environment_name:
    description:
      - The environment, as in the inventory.
      - Falls back to the environment variable E(SRE_RUNBOOKS_ENVIRONMENT).
    type: str
    required: true
  schedules:
    description:
      - The table. Each line has C(name) (a-z, 0-9, -), C(runbook) (a playbook of the collection) and C(every), one of V(day),
        V(week), V(month) and V(quarter), or a duration from V(1m) to V(1d), which is shortened to one that divides an hour or a
        day evenly.
      - It may have C(at) (V(HH:MM), default V(00:00)), C(weekdays) (of a week, default V(monday)), C(day) (1 to 28, of a month
        or a quarter, default 1), C(variables) (for C(-e)), C(limit), C(description), and C(enabled) (default V(true)).
      - Variables that look like secrets are refused, as commands are for everybody on the machine to read.
    type: list
    elements: dict
    required: true
  formats:
    description:
      - What to write. V(cron) is one file for C(/etc/cron.d); V(systemd) a service and a timer for each line; V(kubernetes) a
        CronJob for each line; V(awx) a playbook with C(awx.awx.job_template) and C(awx.awx.schedule), and the playbooks for the project that
        they start.
    type: list
    elements: str
    choices: [cron, systemd, kubernetes, awx]
    default: [cron, systemd]
  timezone:
    description:
      - What the times of the table mean, by its name in the database of time zones. One that this host's database does not
        have is refused, with the nearest; a host without any warns.
    type: str
    default: UTC
  project_dir:
    description:
      - The directory in which the commands run, where they run.
    type: str
    required: true
  inventories:
    description:
      - The inventories, as seen from O(project_dir).
    type: list
    elements: str
    required: true
  executable:
    description:
      - The program that plays, where the commands run.
    type: str
    default: /usr/bin/ansible-playbook
  user:
    description:
      - The user for whom cron and systemd run them.
    type: str
    default: root
  runbooks:
    description:
      - The runbooks that there are; another one is refused, with the nearest. Empty when nobody knows.
    type: list
    elements: str
    default: []
  checklists:
    description:
      - The checklists that there are for C(check_health); another one is refused, with the nearest. Empty when nobody knows.
    type: list
    elements: str
    default: []
  hosts:
    description:
      - The hosts and groups that there are; a C(limit) with a part that none of them matches is refused, with the nearest. Empty
        when nobody knows.
    type: list
    elements: str
    default: []
  kubernetes:
    description:
      - What CronJobs need. Required for O(formats=kubernetes). O(project_dir), O(executable) and O(inventories) are those of
        hosts, and none of theirs.
    type: dict
    suboptions:
      namespace:
        description: Their namespace.
        type: str
        required: true
      image:
        description: An execution environment that has this collection.
        type: str
        required: true
      project_dir:
        description: The directory in the container in which the commands run.
        type: str
        default: /runner/project
      executable:
        description: The program that plays, in the container; without a slash it is found in the C(PATH) of the image.
        type: str
        default: ansible-playbook
      inventories:
        description:
          - The inventories, as seen from O(kubernetes.project_dir).
          - By default O(inventories), which have to be within the project then.
        type: list
        elements: str
        default: []
      service_account:
        description: The service account that they run as.
        type: str
        default: ""
      config_map:
        description: A ConfigMap with the project's files, mounted at O(kubernetes.project_dir). Without it the image has the project.
        type: str
        default: ""
      secret:
        description: A Secret whose keys become environment variables.
        type: str
        default: ""
  awx:
    description:
      - What AWX calls the things that a job template needs. Required for O(formats=awx).
    type: dict
    suboptions:
      organization:
        description: The organization.
        type: str
        required: true
      project:
        description: The project. It has to hold the folder C(playbooks) that is written.
        type: str
        required: true
      inventory:
        description: The inventory.
        type: str
        required: true
      execution_environment:
        description: The execution environment.
        type: str
        default: ""
      credentials:
        description: The credentials.
        type: list
        elements: str
        default: []
"""

EXAMPLES = r"""
- name: Write what systemd needs to back up and to go through the morning checklist
  sre.runbooks.schedule_files:
    path: "{{ directory }}/schedules"
    environment_name: local
    project_dir: /srv/runbooks
    inventories: [inventories/local]
    formats: [systemd]
    user: runbooks
    timezone: Europe/Berlin
    schedules:
      - name: backups
        runbook: back_up_components
        every: 30m
      - name: morning
        runbook: check_health
        every: week
        weekdays: [monday, tuesday, wednesday, thursday, friday]
        at: "07:30"
        variables:
          checklist: morning
"""

RETURN = r"""
files:
  description: The files, as seen from O(path).
  returned: success
  type: list
  elements: str
  sample: [systemd/sre-runbooks-local-backups.service, systemd/sre-runbooks-local-backups.timer]
changed_files:
  description: Those of them that were written or removed.
  returned: success
  type: list
  elements: str
moments:
  description: Name of each line that is enabled to when it is due, in cron's words.
  returned: success
  type: dict
  sample: {backups: "*/30 * * * *"}
disabled:
  description: Names of the lines that are not enabled, which are never due.
  returned: success
  type: list
  elements: str
  sample: [rehearsal]
counts:
  description:
    - How many lines the table has (C(entries)), how many of them are not enabled (C(disabled)), and how many files there are
      (C(files)), of which were written (C(written)); how many others were removed (C(removed)). In check mode, would be.
  returned: success
  type: dict
  sample: {entries: 9, disabled: 1, files: 18, written: 2, removed: 0}
directory_made:
  description: Whether O(path) was not there before, and was made. In check mode, would be.
  returned: success
  type: bool
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule, env_fallback

from ansible_collections.sre.runbooks.plugins.module_utils._module import run_module
from ansible_collections.sre.runbooks.plugins.module_utils._schedules.asked import FOLDERS, asked_files, asked_place
from ansible_collections.sre.runbooks.plugins.module_utils._schedules.files import bring_about, find_ours
from ansible_collections.sre.runbooks.plugins.module_utils._schedules.table import Known, parse_table
from ansible_collections.sre.runbooks.plugins.module_utils._schedules.zones import check_zone


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    known = Known(runbooks=params["runbooks"], checklists=params["checklists"], hosts=params["hosts"])
    entries = parse_table(params["schedules"], known)
    place = asked_place(params)
    if not check_zone(place.timezone):
        module.warn(
            f"nobody has looked whether there is a timezone {place.timezone}: this host has no database of them (tzdata)"
        )
    after = asked_files(params, entries, place)
    not_passed_on = sorted(
        name for name, value in os.environ.items() if value and name.startswith(("SRE_RUNBOOKS_", "ANSIBLE_"))
    )
    if not_passed_on:
        # Their names alone: a value may be a secret.
        module.warn(
            "scheduled runs will not have these environment variables, which are set here: "
            + ", ".join(not_passed_on)
            + "; next: put what the inventory reads of them where the runs get it (docs/schedules.md, section Environment variables)"
        )
    folders = [folder for folders in FOLDERS.values() for folder in folders]
    before = find_ours(params["path"], after, folders, place.mark)
    different = sorted(name for name in {**before, **after} if before.get(name) != after.get(name))
    fresh = not os.path.isdir(params["path"])
    if different and not module.check_mode:
        bring_about(params["path"], before, after)
    return {
        "changed": bool(different),
        "files": sorted(after),
        "changed_files": different,
        "moments": {entry.name: entry.calendar.cron() for entry in entries if entry.enabled},
        "disabled": [entry.name for entry in entries if not entry.enabled],
        "counts": {
            "entries": len(entries),
            "disabled": sum(not entry.enabled for entry in entries),
            "files": len(after),
            "written": sum(name in after for name in different),
            "removed": sum(name not in after for name in different),
        },
        "directory_made": fresh and bool(different),
        "diff": [
            {
                "before_header": name,
                "after_header": name,
                "before": before.get(name, ""),
                "after": after.get(name, ""),
            }
            for name in different
        ],
    }


def main() -> None:
    text: dict[str, t.Any] = {"type": "str", "default": ""}
    needed: dict[str, t.Any] = {"type": "str", "required": True}
    cluster = {
        "namespace": needed,
        "image": needed,
        "project_dir": {"type": "str", "default": "/runner/project"},
        "executable": {"type": "str", "default": "ansible-playbook"},
        "inventories": {"type": "list", "elements": "str", "default": []},
        "service_account": text,
        "config_map": text,
        "secret": {**text, "no_log": False},
    }
    controller = {
        "organization": needed,
        "project": needed,
        "inventory": needed,
        "execution_environment": text,
        "credentials": {"type": "list", "elements": "str", "default": [], "no_log": False},
    }
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "environment_name": {**needed, "fallback": (env_fallback, ["SRE_RUNBOOKS_ENVIRONMENT"])},
            "schedules": {"type": "list", "elements": "dict", "required": True},
            "formats": {
                "type": "list",
                "elements": "str",
                "choices": list(FOLDERS),
                "default": ["cron", "systemd"],
            },
            "timezone": {"type": "str", "default": "UTC"},
            "project_dir": needed,
            "inventories": {"type": "list", "elements": "str", "required": True},
            "executable": {"type": "str", "default": "/usr/bin/ansible-playbook"},
            "user": {"type": "str", "default": "root"},
            "runbooks": {"type": "list", "elements": "str", "default": []},
            "checklists": {"type": "list", "elements": "str", "default": []},
            "hosts": {"type": "list", "elements": "str", "default": []},
            "kubernetes": {"type": "dict", "options": cluster},
            "awx": {"type": "dict", "options": controller},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
