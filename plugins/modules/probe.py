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
  - psycopg >= 3.1, for probes of kinds V(postgresql) and V(postgresql_archive)
  - pgbackrest >= 2.41, for probes of kind V(pitr_passphrase)
  - kubernetes >= 31, for probes of the kubernetes kinds
  - cryptography >= 38, for probes of kind V(kubernetes_certificates) that look at Secrets
options:
  probes:
    description:
      - The probes, each a mapping. An unknown kind or key is refused before anything runs, with the nearest known one.
        Empty values count as absent. Durations are seconds or such as V(15m).
      - Every probe has C(kind), and may have C(name), C(component), C(critical) (default true), C(timeout) for one
        attempt (default 5 s), C(attempts) (default 1), C(interval) before the second attempt, doubled for each further
        one (default 1 s), and C(hint), the next command to show when it is not ok.
      - "B(http): C(url); C(method), C(headers), C(request_body), C(user), C(password); expects C(status) (such as 200,
        2xx, or a list; default 200), C(body) (a text that it contains), C(body_matches) (a regular expression), C(json)
        (a mapping of paths such as C(checks[0].name) to values), C(latency_limit) (else failed), C(latency_warning)
        (else a warning); C(keep_alive) (default true: probes of one server share connections), C(validate_certs)
        (default true), C(ca_cert), C(client_cert), C(client_key), C(server_name). Redirects are not followed; of a body,
        1 MiB is read."
      - "B(tcp): C(host), C(port); C(send); expects a connection, C(expect) (a text in the answer), C(latency_limit)."
      - "B(postgresql): C(host) (default 127.0.0.1), C(port), C(socket) (a directory, instead of the host), C(user),
        C(password), C(password_file), C(database), C(ssl_mode), C(ca_cert); C(query), run read-only; expects C(role)
        (any, primary, standby), C(expect) (the value, or a list of rows), C(minimum), C(maximum), or at least one row."
      - "B(postgresql_archive): C(component), C(rpo), and the address as for V(postgresql); expects that a server which archives
        its log lags at most C(rpo) behind."
      - "B(pitr_passphrase): C(component), C(cipher_pass) or C(cipher_pass_file), C(previous_cipher_pass_files), C(repository)
        and C(environment_name) (default: those of the module); expects that the current passphrase opens the component's
        newest generation of pgBackRest's archive. An older generation that none of them opens is a warning."
      - "B(recovery_point): C(component), C(repository) and C(environment_name) (default: those of the module); expects a
        recovery point of at least C(minimum_level) (default taken) that is not older than C(rpo), and with
        C(drill_interval) a successful restore drill within that time. A damaged recovery point is a warning."
      - "B(encryption): C(component), C(identity_file) (age identities on this host), C(repository) and C(environment_name)
        (default: those of the module); expects that the identities open the headers of every recovery point. A point that
        they do not open is a warning, and a failure when it is the newest."
      - "B(blast_radius): C(repository) and C(environment_name) (default: those of the module), C(minimum_lock) (default
        7d), C(production_account); expects that the store says of itself that nothing in the repository can be destroyed.
        Nothing is tried; M(sre.runbooks.repository_info) does that."
      - "B(disk): C(path); expects C(free_percent) (default 10), C(free_bytes) (such as 5 GiB), C(free_inodes_percent);
        below C(warning_percent) is a warning."
      - "B(process): C(pid_file) (of M(sre.runbooks.background_process) or a common one) or C(pattern) (a regular
        expression on the command line); expects C(user), C(minimum) (default 1), C(maximum)."
      - "The kubernetes kinds all take C(kubeconfig), C(context), C(host), C(api_key), C(api_key_file), C(ca_cert),
        C(client_cert), C(client_key), C(validate_certs) and C(proxy), with the fallbacks that
        M(sre.runbooks.kubernetes_consumers) has. Those of one cluster share a session, and each list is asked for once.
        Where nothing else is said they take C(namespace) (default: all), C(selector) (a label selector) and C(ignore) (names
        or patterns of objects). What the API does not tell this identity is V(unknown)."
      - "B(kubernetes_api): expects an API server that is ready; C(latency_limit)."
      - "B(kubernetes_workloads): expects at least C(minimum) (default 1) Deployments, StatefulSets, DaemonSets and Jobs (of a
        CronJob its newest), each available, settled, and not left stopped by a restore. A rollout under way that serves is a
        warning."
      - "B(kubernetes_pods): expects no pod that is pending, not ready or terminating for more than C(grace) (default 2m), nor
        one that cannot pull its image or crashes, with the reason."
      - "B(kubernetes_restarts): expects no container with more than C(maximum) (default 3) restarts since its pod was made, the
        last within C(window) (default 1h)."
      - "B(kubernetes_autoscalers): expects HorizontalPodAutoscalers that can measure; one at its maximum is a warning."
      - "B(kubernetes_services): expects a ready endpoint for each service."
      - "B(kubernetes_ingresses): expects that each backend's service and port exist and have a ready endpoint."
      - "B(kubernetes_certificates): expects certificates in Secrets of type kubernetes.io/tls and of cert-manager (C(sources),
        any of secrets and cert_manager) that are valid for C(days) (default 7) more; below C(warning_days) (default 21) is a
        warning. Keys are never kept nor shown."
      - "B(kubernetes_events): C(namespace); expects at most C(maximum) (default 0) warnings within C(window) (default 1h),
        grouped by reason; more is a warning, and more than C(fail_above) a failure. C(ignore) holds reasons."
      - "B(kubernetes_nodes): C(selector), C(ignore); expects at least C(minimum) (default 1) nodes, each ready and under no
        pressure; one that is cordoned is a warning."
      - "B(kubernetes_volumes): expects claims that are bound and, with C(usage) (default true), have C(free_percent) (default
        10) of space and inodes free, below C(warning_percent) (default 20) a warning. Usage is read from kubelets through the
        API, with the right to C(get nodes/proxy), of claims that a pod has mounted."
      - "B(kubernetes_resources): expects containers that use less than C(memory_percent) (default 95) of their memory limit;
        C(warning_percent) (default 80) of any limit is a warning. Needs a cluster that serves metrics.k8s.io."
    type: list
    elements: dict
    required: true
  repository:
    description:
      - The repository of V(pitr_passphrase), V(recovery_point), V(encryption) and V(blast_radius) probes that name none.
      - Falls back to the environment variable E(SRE_RUNBOOKS_REPOSITORY).
    type: str
  environment_name:
    description:
      - The environment of V(pitr_passphrase), V(recovery_point), V(encryption) and V(blast_radius) probes that name none.
      - Falls back to the environment variable E(SRE_RUNBOOKS_ENVIRONMENT).
    type: str
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

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule, env_fallback

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
    module.no_log_values = {secret for raw in params["probes"] for secret in secrets_of(raw, KINDS)}
    module.no_log_values |= {params["s3"][name] for name in ("secret_key", "session_token") if params["s3"][name]}
    session = Session(params["repository"], params["environment_name"], params["s3"])
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
    if interrupted or (params["fail"] and facts["verdict"] in ("failed", "unknown")):
        error = RunbookError(
            t.cast(str, facts["message"]), expected="every critical probe ok", found=f"verdict {facts['verdict']}"
        )
        module.fail_json(msg=facts["message"], error=error.facts(), **facts)
    return facts


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            # Probes can hold passwords; this keeps them out of the host's system log.
            "probes": {"type": "list", "elements": "dict", "required": True, "no_log": True},
            "repository": {"type": "str", "fallback": (env_fallback, ["SRE_RUNBOOKS_REPOSITORY"])},
            "environment_name": {"type": "str", "fallback": (env_fallback, ["SRE_RUNBOOKS_ENVIRONMENT"])},
            "s3": S3_OPTION,
            "concurrency": {"type": "int", "default": 1000},
            "fail": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    run_module(module, _work)


if __name__ == "__main__":
    main()
