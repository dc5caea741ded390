#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: probe
short_description: Ask many things at once whether they are as they should be
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Runs any number of probes concurrently in one call and sums them up in a verdict.
  - Fails when a critical probe failed or could not be asked, and when there was no probe at all, since nothing that was
    asked proves nothing.
  - Only looks, so it also runs in check mode.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.attributes.info_module
  - sre.runbooks.repository.s3
requirements:
  - psycopg >= 3.1, for probes of the postgresql kinds
  - PyMySQL >= 1.1, for probes of kind V(mysql)
  - boto3 >= 1.36, for probes of kind V(s3) and repositories in buckets
  - kafka-python >= 3.0, for probes of kind V(kafka)
  - redis >= 5, for probes of kind V(redis)
  - pgbackrest >= 2.41, for probes of kind V(pitr_passphrase)
  - kubernetes >= 31, for probes of the kubernetes kinds
  - dnspython >= 2.3, for probes of kind V(dns)
  - cryptography >= 38, for probes of kind V(tls), and of kind V(kubernetes_certificates) that look at Secrets
options:
  probes:
    description:
      - The probes, each a mapping. An unknown kind or key is refused before anything runs, with the nearest known one.
        Empty texts count as absent. Durations are seconds or such as V(15m).
      - Every probe has C(kind), and may have C(name), C(component), C(critical) (default true), C(timeout) for one
        attempt (default 5 s), C(attempts) (default 1), C(interval) before the second attempt, doubled for each further
        one (default 1 s), and C(hint), the next command to show when it is not ok.
      - Keys, defaults and examples of each kind are in C(docs/probes.md) of the collection.
      - "B(http): status, body, JSON values, latency, redirects and certificate of a request, with presets for known systems."
      - "B(websocket): a WebSocket can be opened, and is left open."
      - "B(tcp): a connection, and an answer."
      - "B(tls): a chain that validates, its host name, days left, age, protocol; with the reason when it does not."
      - "B(dns): answers of name servers, their authority, whether they agree."
      - "B(ping): round trips to a host, measured with TCP handshakes."
      - "B(smtp): greeting, TLS, ways to log in and a login; never sends a mail."
      - "B(postgresql): a connection, the server's role, the result of a query."
      - "B(postgresql_archive): how far a server's archived log lags behind, against an RPO."
      - "B(postgresql_connections): how many connections of a server are in use, by state and by whom."
      - "B(postgresql_transactions): transactions that are open for long, idle or prepared."
      - "B(postgresql_replication): a primary's standbys and slots, a standby's own lag."
      - "B(mysql): a query, replication, connections and open transactions of a MySQL or MariaDB server."
      - "B(redis): memory, evictions, connections, saves and replication of a server, and its answer."
      - "B(kafka): brokers, controller and partitions of a cluster, and how far consumer groups lag."
      - "B(elasticsearch): health, nodes, shards and disks of an Elasticsearch or OpenSearch cluster."
      - "B(s3): a bucket that can be listed, its versions, locks and unfinished uploads, the service's clock."
      - "B(recovery_point): a component's newest recovery point against its RPO, and its last drill."
      - "B(scheduled_run): a runbook was played not long ago and met its objectives."
      - "B(encryption): identities on this host open every recovery point of a component."
      - "B(pitr_passphrase): the passphrase opens a component's pgBackRest archive."
      - "B(blast_radius): the repository says of itself that nothing in it can be destroyed."
      - "B(prometheus): a server that is ready, ingests, reaches its targets, evaluates its rules and has no gaps."
      - "B(alertmanager): a server that is ready; alerts that fire, and those that fired in the last night."
      - "B(promql): the value of an C(expression) of Prometheus at C(url), against C(minimum), C(maximum), or the same hour of
        C(baseline_weeks) former weeks. Absent, stale and NaN are V(unknown)."
      - "B(disk): space and inodes on the file system of a path."
      - "B(process): processes of a pid file or with a given command line."
      - "B(file_age): files that something should have written not long ago."
      - "B(systemd_unit): a unit of systemd runs, is enabled, stays up."
      - "B(credential_age): how long ago a secret was changed; it is not read."
      - "B(command): the last resort, a program that only looks: its exit code and what it says."
      - "B(kubernetes_api): an API server that is ready."
      - "B(kubernetes_workloads): workloads that are available and settled."
      - "B(kubernetes_pods): no pod that waits or fails."
      - "B(kubernetes_restarts): no container that is restarted again and again."
      - "B(kubernetes_autoscalers): autoscalers that can measure and have room."
      - "B(kubernetes_services): services with ready endpoints."
      - "B(kubernetes_ingresses): ingresses with backends."
      - "B(kubernetes_certificates): certificates in Secrets and of cert-manager that stay valid."
      - "B(kubernetes_events): no recent warnings."
      - "B(kubernetes_logs): no recent lines of errors in containers' logs, which are counted and not shown."
      - "B(kubernetes_nodes): nodes that are ready and under no pressure."
      - "B(kubernetes_volumes): claims that are bound and not full."
      - "B(kubernetes_resources): containers that stay within their limits."
    type: list
    elements: dict
    required: true
  repository:
    description:
      - The repository of V(pitr_passphrase), V(recovery_point), V(scheduled_run), V(encryption) and V(blast_radius) probes that name none.
      - Falls back to the environment variable E(SRE_RUNBOOKS_REPOSITORY).
    type: str
  environment_name:
    description:
      - The environment of V(pitr_passphrase), V(recovery_point), V(scheduled_run), V(encryption) and V(blast_radius) probes that name none.
      - Falls back to the environment variable E(SRE_RUNBOOKS_ENVIRONMENT).
    type: str
  run_id:
    description:
      - The run, as returned by M(sre.runbooks.run), whose record in O(repository) gets the results, so that they are known even
        when the run is cut off.
    type: str
  component:
    description:
      - The component of that run.
    type: str
  environment_components:
    description:
      - The components of the environment. A probe of the kind C(scheduled_run) that names none looks for runs about all of them.
    type: list
    elements: str
    default: []
  concurrency:
    description:
      - How many probes run at the same time. One target gets at most 64 http requests at once, more only while it hangs.
    type: int
    default: 1000
  fail:
    description:
      - Whether a verdict of V(failed) or V(unknown) fails the task. With V(false) the caller looks at RV(verdict).
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Check a database, its backup and the service over it
  sre.runbooks.probe:
    repository: "{{ repository }}"
    environment_name: local
    probes:
      - name: flights database answers
        kind: postgresql
        component: flights_db
        host: "{{ login_host }}"
        port: "{{ login_port }}"
        user: "{{ login_user }}"
        password_file: "{{ login_password_file }}"
        query: SELECT 1
        expect: 1
      - name: flights database is backed up
        kind: recovery_point
        component: flights_db
        rpo: 24h
        minimum_level: verified
      - name: flights API is healthy
        kind: http
        component: flights_api
        url: "{{ url }}"
        status: 200
        latency_warning: 1
        attempts: 3
      - name: space for data
        kind: disk
        path: "{{ directory }}"
        free_percent: 1
        critical: false

- name: Look without failing
  sre.runbooks.probe:
    fail: false
    probes:
      - kind: tcp
        host: "{{ login_host }}"
        port: "{{ login_port }}"
  register: probed

- name: Look at certificates, round trips, files and the age of secrets
  sre.runbooks.probe:
    fail: false
    probes:
      - kind: tls
        host: "{{ login_host }}"
        port: "{{ login_port }}"
        starttls: postgres
        warning_days: 30
      - kind: ping
        host: "{{ login_host }}"
        port: "{{ login_port }}"
        latency_warning: 0.05
      - kind: file_age
        path: "{{ directory }}/*"
        maximum_age: 1d
      - kind: credential_age
        path: "{{ login_password_file }}"
        maximum_age: 90d
      - kind: command
        argv: [df, --output=pcent, "{{ directory }}"]
        stdout_matches: '[0-9]+%'
  register: around

- name: Show what is wrong
  ansible.builtin.debug:
    msg: "{{ probed.results | rejectattr('outcome', 'eq', 'ok') }}"
"""

RETURN = r"""
verdict:
  description:
    - V(ok), or V(warning) when only warnings and uncritical probes are not ok.
    - V(failed) when a critical probe failed or nothing was probed, V(unknown) when a critical one could not be asked.
  returned: always
  type: str
  sample: ok
message:
  description: The verdict in a sentence, with every probe that is not ok.
  returned: always
  type: str
  sample: all 12 probes are ok
counts:
  description: Number of probes by outcome.
  returned: always
  type: dict
  sample: {failed: 0, ok: 12, unknown: 0, warning: 0}
results:
  description: One result per probe, in the order given.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: Its name., type: str}
    kind: {description: Its kind., type: str}
    component: {description: Its component., type: str}
    critical: {description: Whether it decides the verdict., type: bool}
    outcome: {description: "V(ok), V(warning), V(failed) or V(unknown).", type: str}
    measured: {description: What was found., type: str}
    expected: {description: What should have been found., type: str}
    message: {description: Why it is not ok., type: str}
    hint: {description: The next command; null when it is ok., type: str}
    values: {description: What was measured as numbers and names., type: dict}
    duration_s: {description: Seconds that the last attempt took., type: float}
    attempts: {description: Number of attempts., type: int}
duration_s:
  description: Seconds that all of them took.
  returned: always
  type: float
interrupted:
  description: Whether a signal ended it early; what had not answered by then is V(unknown).
  returned: always
  type: bool
"""

import contextlib
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule, env_fallback
from ansible.module_utils.common.parameters import remove_values

from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._module import S3_OPTION, run_module
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import secrets_of
from ansible_collections.sre.runbooks.plugins.module_utils._probes.engine import (
    Result,
    counts,
    run_probes,
    verdict,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import KINDS, Session, declare_all
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import open_repository
from ansible_collections.sre.runbooks.plugins.module_utils._runs.probe_record import record_probes
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Recorder

_SHOWN = 20


def _sentence(results: list[Result]) -> str:
    if not results:
        return "no probe ran; expected: at least one; next: see component_probes and health_probes in the inventory"
    wrong = [result for result in results if result.reading.outcome != "ok"]
    if not wrong:
        return f"all {len(results)} probes are ok" if len(results) > 1 else "the only probe is ok"
    order = {"failed": 0, "unknown": 1, "warning": 2}
    wrong.sort(key=lambda result: (not result.probe.critical, order[result.reading.outcome]))
    lines = [_line(result) for result in wrong[:_SHOWN]]
    if len(wrong) > _SHOWN:
        lines.append(f"and {len(wrong) - _SHOWN} more")
    return f"{len(wrong)} of {len(results)} probes are not ok: " + "; ".join(lines)


def _line(result: Result) -> str:
    probe, reading = result.probe, result.reading
    owner = f"{probe.component}: " if probe.component else ""
    weight = "" if probe.critical else ", not critical"
    hint = f", next: {reading.hint}" if reading.hint else ""
    return (
        f"{owner}{probe.name} ({reading.outcome}{weight}): {reading.message}"
        f" [expected: {reading.expected}, found: {reading.measured}{hint}]"
    )


def _work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    # Ansible would black out every text of every probe; what is secret in them is known better.
    module.no_log_values = set(secrets_of(params["probes"], KINDS))
    module.no_log_values |= {params["s3"][name] for name in ("secret_key", "session_token") if params["s3"][name]}
    session = Session(params["repository"], params["environment_name"], params["s3"], params["environment_components"])
    probes = declare_all(params["probes"], session)
    started = time.monotonic()
    results, interrupted = run_probes(probes, session.close, params["concurrency"])
    facts = {
        "changed": False,
        "verdict": verdict(results),
        "message": _sentence(results),
        "counts": counts(results),
        "results": [result.facts() for result in results],
        "duration_s": round(time.monotonic() - started, 6),
        "interrupted": interrupted,
    }
    if params["run_id"] and not module.check_mode:
        _record(module, facts)
    if interrupted or (params["fail"] and facts["verdict"] in ("failed", "unknown")):
        error = RunbookError(
            t.cast(str, facts["message"]), expected="every critical probe ok", found=f"verdict {facts['verdict']}"
        )
        module.fail_json(msg=facts["message"], error=error.facts(), **facts)
    return facts


def _record(module: AnsibleModule, facts: dict[str, t.Any]) -> None:
    """Without a repository that can be used there is no record; the probes are not about that."""
    params = module.params
    with contextlib.suppress(RunbookError):
        repository = open_repository(params["repository"], params["environment_name"], params["s3"])
        results = remove_values(facts["results"], module.no_log_values)
        record_probes(
            Recorder(repository, params["run_id"], params["component"]),
            results,
            facts["duration_s"],
            facts["interrupted"],
        )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            # Probes can hold passwords; this keeps them out of the host's system log.
            "probes": {"type": "list", "elements": "dict", "required": True, "no_log": True},
            "repository": {"type": "str", "fallback": (env_fallback, ["SRE_RUNBOOKS_REPOSITORY"])},
            "environment_name": {"type": "str", "fallback": (env_fallback, ["SRE_RUNBOOKS_ENVIRONMENT"])},
            "s3": S3_OPTION,
            "run_id": {"type": "str"},
            "component": {"type": "str"},
            "environment_components": {"type": "list", "elements": "str", "default": []},
            "concurrency": {"type": "int", "default": 1000},
            "fail": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    run_module(module, _work)


if __name__ == "__main__":
    main()
