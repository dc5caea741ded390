#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_pitr_expire
short_description: Remove from pgBackRest's repository what retention has let go
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Decides nothing by itself. Removes the backups whose recovery points M(sre.runbooks.recovery_point_expire) has expired,
    then the log before the oldest full backup that stays, and an earlier generation of which nothing is needed any more.
  - A backup without a recovery point and without a tombstone stays; the next backup run adopts it.
  - Runs on any host that sees the repository and has pgBackRest, as the retention identity.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.repository
  - sre.runbooks.run
  - sre.runbooks.lease
  - sre.runbooks.pitr
requirements:
  - pgbackrest >= 2.41
options:
  component:
    description:
      - Name of the component.
    type: str
    required: true
seealso:
  - module: sre.runbooks.recovery_point_expire
  - module: sre.runbooks.postgresql_pitr_backup
"""

EXAMPLES = r"""
- name: Remove what no retained recovery point needs
  sre.runbooks.postgresql_pitr_expire:
    repository: "{{ repository }}"
    environment_name: local
    component: ledger_db
    cipher_pass_file: "{{ cipher_pass_file }}"
"""

RETURN = r"""
message:
  description: What was removed (or would be).
  returned: success
  type: str
generations:
  description: What went (or would go) from each generation.
  returned: success
  type: list
  elements: dict
  contains:
    generation:
      description: Its number.
      type: str
    backups:
      description: Labels of the backups.
      type: list
      elements: str
    kept_back:
      description: Expired backups that a backup that stays still needs, with its label.
      type: dict
    archive:
      description: Ranges of the log.
      type: list
      elements: str
    removed:
      description: Whether the generation went as a whole.
      type: bool
diff:
  description: Backups before and after.
  returned: success
  type: dict
error:
  description: What went wrong, in parts.
  returned: failure
  type: dict
"""

import contextlib
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._module import (
    LEASE_OPTIONS,
    PITR_OPTIONS,
    REPOSITORY_OPTIONS,
    RUN_OPTIONS,
    run_module,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest import catalogue
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.access import opened
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.configuration import passphrases
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.expire import (
    GenerationExpiry,
    expire_generation,
    plan_expiry,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.place import generations
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.proving import exclusive
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import check_component
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository, open_repository
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Recorder
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted


def _expire(
    module: AnsibleModule, repository: Repository, component: str, check: t.Callable[[], None]
) -> tuple[list[GenerationExpiry], list[str]]:
    """What went from each generation, and the labels that were there before."""
    params, done, before = module.params, [], []
    known = generations(repository, component)
    for generation in known:
        with opened(repository.url, component, generation, passphrases(params), params["s3"]) as (tool, info):
            compared = catalogue.compare(repository, list_points(repository, component), info, generation)
            plan = plan_expiry(generation, info, compared, newest=generation == known[-1])
            done.append(expire_generation(tool, info, plan, check, module.check_mode))
            before += [f"{generation}/{backup.label}" for backup in info.backups]
        for label, user in plan.kept_back.items():
            module.warn(f"{component}: backup {label} stays, because {user} needs it and stays")
    return done, before


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    component = check_component(params["component"])
    repository = open_repository(params["repository"], params["environment_name"], params["s3"])
    with contextlib.ExitStack() as stack:
        check: t.Callable[[], None] = lambda: None  # noqa: E731
        if not module.check_mode:
            ttl, wait = _clock.parse_duration(params["lease_ttl"]), _clock.parse_duration(params["lease_wait"])
            progress = stack.enter_context(Progress(params["progress_path"]))
            check = stack.enter_context(exclusive(repository, component, params["run_id"], ttl, wait, progress)).check
        recorder = Recorder(repository, None if module.check_mode else params["run_id"], component)
        with recorder.step("expire in pgBackRest's repository") as step:
            done, before = _expire(module, repository, component, check)
            changed = any(expiry.changed for expiry in done)
            step.outcome = "changed" if changed else "ok"
            gone = {f"{expiry.generation}/{label}" for expiry in done for label in expiry.labels}
            step.facts.update(backups=len(gone), archive=[words for expiry in done for words in expiry.archive])
    verb = "would be removed" if module.check_mode else "removed"
    ranges = sum(len(expiry.archive) for expiry in done)
    return {
        "changed": changed,
        "message": f"{counted(len(gone), 'backup')} and {counted(ranges, 'range')} of the log {verb}",
        "generations": [expiry.facts() for expiry in done],
        "diff": {
            "before": "".join(f"{label}\n" for label in before),
            "after": "".join(f"{label}\n" for label in before if label not in gone),
        },
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **REPOSITORY_OPTIONS,
            **RUN_OPTIONS,
            **LEASE_OPTIONS,
            **PITR_OPTIONS,
            "component": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
