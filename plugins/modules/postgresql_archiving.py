#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_archiving
short_description: Make sure that a PostgreSQL server's log is archived, so that any moment can be returned to
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Sets a server up for point-in-time recovery with pgBackRest. The archive lies beside the collection's own objects, in
    C(pgbackrest/<component>/<generation>/) of the repository.
  - Looks first, and refuses a standby, somebody else's archiving, a pgBackRest that does not know the server's version,
    a repository that cannot be reached and a passphrase that does not open it. Only then is the server touched.
  - Writes pgBackRest's configuration (mode 0600, the server's account), makes or upgrades the stanza, and sets
    C(archive_mode), C(archive_command), C(archive_timeout) and C(wal_level) with C(ALTER SYSTEM).
  - Then writes a heartbeat, ends the segment and waits until that very segment is in the repository.
  - Runs on the server's own host, as the server's account or as root, with a superuser of the server.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.repository
  - sre.runbooks.run
  - sre.runbooks.postgresql
  - sre.runbooks.pitr
requirements:
  - psycopg >= 3.1
  - pgbackrest >= 2.41, of a release that knows the server's major version
options:
  component:
    description:
      - Name of the component, which is also the name of the stanza.
    type: str
    required: true
  state:
    description:
      - V(present) makes the server archive.
      - V(absent) ends that and removes the configuration. What is in the repository stays.
    type: str
    choices: [present, absent]
    default: present
  rpo:
    description:
      - The most time whose changes may be lost, such as V(5m). A segment is ended after half of it at the latest.
    type: str
    default: 10m
  archive_timeout:
    description:
      - Seconds after which a segment is ended however little is in it. By default half of O(rpo), 10 minutes at most.
    type: int
  restart:
    description:
      - Whether the server may be restarted when that is needed, which is once, when C(archive_mode) or C(wal_level) change.
      - With V(never) the settings are made, and RV(restart_required) says that somebody has to restart it.
    type: str
    choices: [never, allowed]
    default: never
  restart_command:
    description:
      - Command and arguments that restart the server, such as C(systemctl restart postgresql@15-main).
      - Not needed for servers of M(sre.runbooks.postgresql_instance).
    type: list
    elements: str
    default: []
  replace_archiving:
    description:
      - Whether an C(archive_command) of somebody else may be replaced.
    type: bool
    default: false
  replace_server:
    description:
      - Whether another server (another system identifier) may take the component's archive over, as after a major
        upgrade or a rebuild. It is refused otherwise, since two servers must never archive to one place.
    type: bool
    default: false
  verify:
    description:
      - Whether a segment is sent to show that archiving works.
    type: bool
    default: true
  timeout:
    description:
      - How long to wait for that segment, such as V(60s).
    type: str
    default: 60s
  config_dir:
    description:
      - Directory in which pgBackRest's configuration of each component lies. By default C(/etc/sre-runbooks) for root and
        C(~/.config/sre-runbooks) for others.
    type: path
seealso:
  - module: sre.runbooks.postgresql_pitr_backup
"""

EXAMPLES = r"""
- name: Have the server's log archived
  sre.runbooks.postgresql_archiving:
    repository: "{{ repository }}"
    environment_name: local
    component: ledger_db
    rpo: 1m
    restart: allowed
    cipher_pass_file: "{{ cipher_pass_file }}"
    config_dir: "{{ config_dir }}"
    login_host: "{{ login_host }}"
    login_port: "{{ login_port }}"
    login_user: "{{ login_user }}"
    login_password_file: "{{ login_password_file }}"

- name: End it
  sre.runbooks.postgresql_archiving:
    state: absent
    repository: "{{ repository }}"
    environment_name: local
    component: ledger_db
    config_dir: "{{ config_dir }}"
    login_host: "{{ login_host }}"
    login_port: "{{ login_port }}"
    login_user: "{{ login_user }}"
    login_password_file: "{{ login_password_file }}"
"""

RETURN = r"""
message:
  description: What was done, or is still to be done.
  returned: success
  type: str
restart_required:
  description: Whether the server has to be restarted before it archives (or, for O(state=absent), before it stops to).
  returned: success
  type: bool
archived:
  description: The proof that archiving works; null when it was not sought or the server awaits a restart.
  returned: success
  type: dict
  contains:
    segment:
      description: The segment that was ended and found in the repository.
      type: str
    heartbeat:
      description: The row written before it.
      type: dict
    waited_s:
      description: Seconds until it was there.
      type: float
archiving:
  description: Where and how the server archives.
  returned: when O(state=present)
  type: dict
  contains:
    generation:
      description: The directory's number; another passphrase begins another one.
      type: str
    place:
      description: Where the archive lies.
      type: str
    stanza:
      description: pgBackRest's name of it.
      type: str
    config:
      description: Path of pgBackRest's configuration.
      type: str
    archive_timeout_s:
      description: Seconds after which a segment is ended.
      type: int
    encrypted:
      description: Whether pgBackRest encrypts.
      type: bool
    pgbackrest_version:
      description: Version of pgBackRest.
      type: str
    system_identifier:
      description: The server's own.
      type: str
diff:
  description: Settings and configuration before and after, without secrets.
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
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._module import (
    PITR_OPTIONS,
    POSTGRESQL_OPTIONS,
    REPOSITORY_OPTIONS,
    RUN_OPTIONS,
    run_module,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest import archiving, command, configuration
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.ending import end_archiving
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.restart import restart_server
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.server import alter_settings, look_at_server
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.stanza import (
    StanzaPlan,
    make_stanza,
    plan_stanza,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.switch import archive_now
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import (
    PostgresqlAddress,
    address_from,
    connect,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import check_component
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import open_repository
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Recorder


class _Present:
    """One call for ``state: present``."""

    def __init__(self, module: AnsibleModule) -> None:
        self.params = params = module.params
        self.component = check_component(params["component"])
        self.address: PostgresqlAddress = address_from(params)
        self.passphrases = configuration.passphrases(params)
        self.path = archiving.config_path(params["config_dir"], self.component)
        self.timeout_s = _clock.parse_duration(params["timeout"])
        self.repository = open_repository(params["repository"], params["environment_name"], params["s3"])
        self.program = command.find_program(self.component)
        self.version = command.version(self.component, self.program)
        self.facts = look_at_server(self.address, self.component)
        command.check_server(self.version, self.facts.major, self.component)
        if not params["replace_archiving"]:
            archiving.refuse_foreign_archiving(self.facts, self.path, self.component)
        self.target = archiving.choose_target(
            self.repository, self.component, self.passphrases, params["s3"], self.facts.os_user
        )
        self.stanza: StanzaPlan = plan_stanza(self.target.info, self.facts, self.component, params["replace_server"])
        extra = {"lock-path": archiving.lock_path(self.path)}
        cluster = self.facts.cluster(self.address)
        self.text = configuration.configuration_text(self.target.place, cluster, self.passphrases[0], extra)
        self.text_before = configuration.read_configuration(self.path)
        self.archive_timeout = params["archive_timeout"] or archiving.archive_timeout_s(
            _clock.parse_duration(params["rpo"])
        )
        if not 1 <= self.archive_timeout <= 86400:
            raise InvalidInput("not an archive_timeout", expected="1 to 86400 s", found=str(self.archive_timeout))
        line = archiving.archive_command(self.program, self.path, self.component)
        self.wanted = archiving.wanted_settings(self.facts, line, self.archive_timeout)

    @property
    def configuration_differs(self) -> bool:
        private = self.text_before is not None and configuration.private(self.path, self.facts.os_user)
        return self.text_before != self.text or not private

    def tool(self) -> command.Pgbackrest:
        password = {"PGPASSWORD": self.address.password} if self.address.password else {}
        stanza = configuration.stanza_of(self.component)
        return command.Pgbackrest(self.path, stanza, self.component, self.facts.os_user, password, self.program)

    def result(self, changed: bool, detail: str, restart: bool, archived: dict[str, t.Any] | None) -> dict[str, t.Any]:
        before = {name: self.facts.configured.get(name) for name in self.wanted}
        return {
            "changed": changed,
            "message": detail,
            "restart_required": restart,
            "archived": archived,
            "archiving": {
                "generation": self.target.place.generation,
                "place": self.target.place.url,
                "stanza": configuration.stanza_of(self.component),
                "config": self.path,
                "archive_timeout_s": self.archive_timeout,
                "encrypted": self.passphrases[0] is not None,
                "pgbackrest_version": ".".join(map(str, self.version)),
                "system_identifier": str(self.facts.system_id),
            },
            "diff": {
                "before": configuration.described(before, self.text_before),
                "after": configuration.described(self.wanted, self.text),
            },
        }


def _present(module: AnsibleModule) -> dict[str, t.Any]:
    call = _Present(module)
    params, facts = module.params, call.facts
    differing = archiving.differing(facts, call.wanted)
    reasons = [call.stanza.reason] if call.stanza.command else []
    reasons += ["the configuration is another"] if call.configuration_differs else []
    reasons += [f"{name} is {facts.configured.get(name)!r}" for name in sorted(differing)]
    restart = bool(archiving.awaiting_restart(facts))
    if restart and params["restart"] == "allowed":
        reasons.append("the server has to be restarted")
    if module.check_mode:
        detail = "; ".join(reasons) or "the server archives"
        return call.result(bool(reasons), detail, restart and params["restart"] == "never", None)
    recorder = Recorder(call.repository, params["run_id"], call.component)
    if reasons:
        with recorder.step("set up archiving", reason="; ".join(reasons)) as step:
            _set_up(call, differing, params, restart)
            step.outcome = "changed"
    if restart and params["restart"] == "never":
        detail = f"{', '.join(archiving.awaiting_restart(facts))}: the server has to be restarted before it archives"
        module.warn(f"{call.component}: {detail}")
        return call.result(bool(reasons), detail, True, None)
    archived = None
    if params["verify"]:
        with recorder.step("archive a segment") as step, contextlib.closing(connect(call.address)) as session:
            tool = call.tool()
            archive_id = make_stanza(tool, StanzaPlan(None, ""), facts)
            moment = archive_now(session, tool, call.component, archive_id, call.timeout_s)
            archived = moment.facts()
            step.facts.update(segment=moment.segment, waited_s=round(moment.waited_s, 3))
    return call.result(bool(reasons), "; ".join(reasons) or "the server archives", False, archived)


def _set_up(call: _Present, differing: dict[str, str], params: dict[str, t.Any], restart: bool) -> None:
    # The order in which a killed run is finished by the next: nothing is archived to a place that is not there yet.
    if call.configuration_differs:
        call.target.place.prepare(call.facts.os_user)
        configuration.write_configuration(call.path, call.text, call.facts.os_user)
    if call.stanza.command:
        make_stanza(call.tool(), call.stanza, call.facts)
    if differing:
        alter_settings(call.address, call.component, differing)
    if restart and params["restart"] == "allowed":
        restart_server(call.facts, params["restart_command"], params["bin_dir"], call.component)


def _absent(module: AnsibleModule) -> dict[str, t.Any]:
    component = check_component(module.params["component"])
    path = archiving.config_path(module.params["config_dir"], component)
    return end_archiving(address_from(module.params), component, path, module.check_mode)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **REPOSITORY_OPTIONS,
            **RUN_OPTIONS,
            **POSTGRESQL_OPTIONS,
            **PITR_OPTIONS,
            "component": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "rpo": {"type": "str", "default": "10m"},
            "archive_timeout": {"type": "int"},
            "restart": {"type": "str", "choices": ["never", "allowed"], "default": "never"},
            "restart_command": {"type": "list", "elements": "str", "default": []},
            "replace_archiving": {"type": "bool", "default": False},
            "replace_server": {"type": "bool", "default": False},
            "verify": {"type": "bool", "default": True},
            "timeout": {"type": "str", "default": "60s"},
            "config_dir": {"type": "path"},
        },
        supports_check_mode=True,
    )
    run_module(module, {"present": _present, "absent": _absent}[module.params["state"]])


if __name__ == "__main__":
    main()
