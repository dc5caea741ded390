#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: diagnostics
short_description: Gather what is looked at when something is wrong
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Asks the sources that it is given (the host, log files, a PostgreSQL server, a part of a Kubernetes cluster, Prometheus, the
    repository) for what helps with an alert, all at once and within O(time_limit).
  - A collector that fails or hangs takes no other with it. It is named, and what it had until then is kept.
  - Secrets are masked before anything leaves the host. Objects of kind Secret, values of environments and C(/proc/*/environ) are never
    read.
  - Only looks. What was collected goes to the controller, where M(sre.runbooks.diagnostics_archive) makes one archive of it. In check
    mode nothing is asked, and RV(plan) tells what would be.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.attributes.info_module
  - sre.runbooks.postgresql
  - sre.runbooks.repository.s3
requirements:
  - psycopg >= 3.1, with O(postgresql)
  - kubernetes >= 31, with O(kubernetes)
options:
  component:
    description:
      - The component that is looked at.
    type: str
    required: true
  alert:
    description:
      - What is wrong. It decides what is looked at, and what comes first where O(total_limit) leaves no room for all of it.
    type: str
    default: all
    choices:
      - all
      - backup_failed
      - certificate_expiring
      - crash_loop
      - database_down
      - database_slow
      - disk_full
      - high_cpu
      - high_latency
      - high_memory
      - service_down
      - slo_burn
  time_limit:
    description:
      - How long it may take, such as V(60s). What is not ready by then is named.
    type: str
    default: 60s
  item_limit:
    description:
      - The most bytes of one item, such as V(256K). Of a log the beginning is left out, of anything else the end.
    type: str
    default: 256K
  total_limit:
    description:
      - The most bytes of all items together, such as V(16M).
    type: str
    default: 16M
  since:
    description:
      - How far back events, rollouts and runs are worth a finding.
    type: str
    default: 24h
  host_state:
    description:
      - Whether the host that the module runs on is looked at.
    type: bool
    default: true
  directories:
    description:
      - Where large files are looked for. Other file systems below them are not entered.
    type: list
    elements: path
    default: [/var/log, /var/lib, /tmp]
  log_files:
    description:
      - Log files whose ends are collected, as patterns such as V(/var/log/nginx/*.log).
    type: list
    elements: str
    default: []
  postgresql:
    description:
      - Whether the PostgreSQL server that O(login_host) and its kin tell of is asked. At most two sessions are open at once.
    type: bool
    default: false
  data_directory:
    description:
      - The server's data directory, with O(postgresql) and O(host_state). It tells where the server's log is, and whether the server
        was stopped or crashed. Without it, the log is looked for where distributions put it.
    type: path
  kubernetes:
    description:
      - The part of a Kubernetes cluster that is asked about.
    type: dict
    suboptions:
      namespace:
        description:
          - Only this namespace; every one without it.
        type: str
      selector:
        description:
          - Only what has these labels, such as V(app=api).
        type: str
      kubeconfig:
        description:
          - Kubeconfig on the host where the module runs; several files as in E(KUBECONFIG).
          - Falls back to the environment variable E(K8S_AUTH_KUBECONFIG).
        type: str
      context:
        description:
          - Context of the kubeconfig. Its current one by default.
          - Falls back to the environment variable E(K8S_AUTH_CONTEXT).
        type: str
      host:
        description:
          - URL of the API server. Overrides the kubeconfig's.
          - Falls back to the environment variable E(K8S_AUTH_HOST).
        type: str
      api_key:
        description:
          - Bearer token.
          - Falls back to the environment variable E(K8S_AUTH_API_KEY).
        type: str
      api_key_file:
        description:
          - File with a bearer token.
          - Falls back to the environment variable E(SRE_RUNBOOKS_K8S_API_KEY_FILE).
        type: path
      ca_cert:
        description:
          - File of certificates that may have signed the API server's.
          - Falls back to the environment variable E(K8S_AUTH_SSL_CA_CERT).
        type: path
      client_cert:
        description:
          - File of the client's certificate.
          - Falls back to the environment variable E(K8S_AUTH_CERT_FILE).
        type: path
      client_key:
        description:
          - File of the key of O(kubernetes.client_cert).
          - Falls back to the environment variable E(K8S_AUTH_KEY_FILE).
        type: path
      validate_certs:
        description:
          - Whether the API server's certificate must be trusted.
          - Falls back to the environment variable E(K8S_AUTH_VERIFY_SSL).
        type: bool
      proxy:
        description:
          - URL of a proxy on the way to the API server.
          - Falls back to the environment variable E(K8S_AUTH_PROXY).
        type: str
  prometheus:
    description:
      - The Prometheus server that is asked for alerts and targets.
    type: dict
    suboptions:
      url:
        description:
          - Where it is, such as V(http://prometheus.example.org:9090).
          - Falls back to the environment variable E(SRE_RUNBOOKS_PROMETHEUS_URL).
        type: str
        required: true
      user:
        description:
          - The name to log in with, where it wants one.
          - Falls back to the environment variable E(SRE_RUNBOOKS_PROMETHEUS_USER).
        type: str
      password:
        description:
          - The password that belongs to it.
          - Falls back to the environment variable E(SRE_RUNBOOKS_PROMETHEUS_PASSWORD).
        type: str
      password_file:
        description:
          - File with the password, on the host where the module runs.
        type: path
      bearer_token:
        description:
          - A token, instead of a user.
          - Falls back to the environment variable E(SRE_RUNBOOKS_PROMETHEUS_TOKEN).
        type: str
      bearer_token_file:
        description:
          - File with a bearer token, on the host where the module runs.
        type: path
      ca_cert:
        description:
          - File of certificates that may have signed its own.
        type: path
      client_cert:
        description:
          - File with the certificate that we show.
        type: path
      client_key:
        description:
          - File with its key, when it is not in O(prometheus.client_cert).
        type: path
      validate_certs:
        description:
          - Whether its certificate must be trusted.
        type: bool
        default: true
      timeout:
        description:
          - The most time that one question may take, such as V(30s), within O(time_limit).
        type: str
        default: 30s
  repository:
    description:
      - The repository that is asked for recent runs and recovery points.
      - Falls back to the environment variable E(SRE_RUNBOOKS_REPOSITORY).
    type: str
  environment_name:
    description:
      - The environment that the repository belongs to.
      - Falls back to the environment variable E(SRE_RUNBOOKS_ENVIRONMENT).
    type: str
  progress_path:
    description:
      - A file in which the task keeps its progress for the screen.
    type: path
seealso:
  - module: sre.runbooks.diagnostics_archive
  - module: sre.runbooks.probe
"""

EXAMPLES = r"""
- name: Look at a database that is slow
  sre.runbooks.diagnostics:
    component: flights_db
    alert: database_slow
    postgresql: true
    login_host: "{{ login_host }}"
    login_port: "{{ login_port }}"
    login_user: "{{ login_user }}"
    login_password_file: "{{ login_password_file }}"
    repository: "{{ repository }}"
    environment_name: local
  register: looked

- name: Show what stands out
  ansible.builtin.debug:
    msg: "{{ looked.findings }}"
"""

RETURN = r"""
plan:
  description: Names of the collectors for this alert, the most telling first.
  returned: success
  type: list
  elements: str
  sample: [postgresql_activity, postgresql_locks]
collectors:
  description: What became of each of them.
  returned: success, not in check mode
  type: list
  elements: dict
  contains:
    name: {description: The collector., type: str}
    title: {description: What it looks at., type: str}
    outcome: {description: "V(collected), V(partly), V(failed), or V(late) when it was not ready in time.", type: str}
    why: {description: What is missing and why., type: str}
    items: {description: How many items it brought., type: int}
    bytes: {description: Their size., type: int}
    duration_s: {description: Seconds that it took., type: float}
findings:
  description: What stands out, the worst first.
  returned: success, not in check mode
  type: list
  elements: dict
  contains:
    severity: {description: "V(failure), V(warning) or V(note).", type: str}
    text: {description: What it is., type: str}
summary:
  description: How much was collected, and what is missing, in a sentence.
  returned: success
  type: str
part_path:
  description: The file on the controller that holds what was collected, until the playbook ends.
  returned: success, not in check mode
  type: str
duration_s:
  description: Seconds that it took.
  returned: success, not in check mode
  type: float
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule, env_fallback

from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.alerts import ALERTS, ALL
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.part import pack
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.plan import plan
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.told import told
from ansible_collections.sre.runbooks.plugins.module_utils._module import (
    KUBERNETES_OPTIONS,
    POSTGRESQL_OPTIONS,
    S3_OPTION,
    run_module,
)
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._prometheus.access import PROMETHEUS_OPTIONS


def work(module: AnsibleModule) -> dict[str, t.Any]:
    wanted = plan(module.params)
    names = [collector.name for collector in wanted.collectors]
    if module.check_mode:
        return {"changed": False, "plan": names, "summary": f"would ask {', '.join(names)}"}
    with Progress(module.params["progress_path"]) as progress:
        part = wanted.carry_out(progress.step)
    return {
        "changed": False,
        **told(part),
        # Taken out of the result by the action plugin, which leaves its path in place of it.
        "part": pack(part, module.no_log_values),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "component": {"type": "str", "required": True},
            "alert": {"type": "str", "default": ALL, "choices": [ALL, *sorted(ALERTS)]},
            "time_limit": {"type": "str", "default": "60s"},
            # Sizes that the plan reads, as it knows of which variables they are.
            "item_limit": {"type": "str", "default": "256K"},
            "total_limit": {"type": "str", "default": "16M"},
            "since": {"type": "str", "default": "24h"},
            "host_state": {"type": "bool", "default": True},
            "directories": {"type": "list", "elements": "path", "default": ["/var/log", "/var/lib", "/tmp"]},
            "log_files": {"type": "list", "elements": "str", "default": []},
            "postgresql": {"type": "bool", "default": False},
            "data_directory": {"type": "path"},
            "kubernetes": {
                "type": "dict",
                "options": {"namespace": {"type": "str"}, "selector": {"type": "str"}, **KUBERNETES_OPTIONS},
            },
            "prometheus": {"type": "dict", "options": PROMETHEUS_OPTIONS},
            "repository": {"type": "str", "fallback": (env_fallback, ["SRE_RUNBOOKS_REPOSITORY"])},
            "environment_name": {"type": "str", "fallback": (env_fallback, ["SRE_RUNBOOKS_ENVIRONMENT"])},
            "progress_path": {"type": "path"},
            "s3": S3_OPTION,
            **POSTGRESQL_OPTIONS,
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
