#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: notification
short_description: Tell a webhook how a run ended
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Posts the verdict of a run, what changed since the run before and what is wrong as JSON to a URL.
  - A webhook that cannot be reached or refuses is a warning and nothing else; the result of the run stands. The time that it
    takes at most is known beforehand.
  - The URL and the secret are never shown, only the URL's scheme, host and port. Redirects are not followed.
  - Runs on the controller.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.attributes.bookkeeping
options:
  announcement:
    description:
      - What to send, as RV(sre.runbooks.report#module:announcement) returns it.
    type: dict
    required: true
  url:
    description:
      - Where to send it. It may hold a secret.
      - Falls back to the environment variable E(SRE_RUNBOOKS_WEBHOOK_URL).
    type: str
  url_file:
    description:
      - A file that holds the URL, in place of O(url).
    type: path
  occasion:
    description:
      - V(failure) sends when the verdict is not V(met), V(change) when something is not as it was in the run before, such as a
        recovery, V(always) after every run.
    type: str
    choices: [failure, change, always]
    default: failure
  header:
    description:
      - Name of the header that carries the secret.
    type: str
    default: Authorization
  secret:
    description:
      - Value of that header, such as C(Bearer …). Without it the header is not sent.
      - Falls back to the environment variable E(SRE_RUNBOOKS_WEBHOOK_SECRET).
    type: str
  secret_file:
    description:
      - A file that holds the secret, in place of O(secret).
    type: path
  timeout:
    description:
      - How long one attempt may take.
    type: str
    default: 10s
  attempts:
    description:
      - How often it is tried where nobody answers, or with 429 or 5xx; after 1 s, 2 s, 4 s and so on.
    type: int
    default: 3
  ca_cert:
    description:
      - File with the certificates of authorities that the webhook's is checked against, in place of the system's.
    type: path
"""

EXAMPLES = r"""
- name: Report on this run
  sre.runbooks.report:
    repository: "{{ repository }}"
    environment_name: local
    runbook: check_health
  register: reported

- name: Tell whoever is on call
  sre.runbooks.notification:
    announcement: "{{ reported.announcement }}"
    url: "{{ url }}"
    occasion: change
    secret_file: "{{ kit_dir }}/webhook.secret"
"""

RETURN = r"""
sent:
  description: Whether it was sent and taken.
  returned: success
  type: bool
due:
  description: Whether this was an occasion to send it.
  returned: success
  type: bool
status:
  description: Status of the last answer, V(null) when there was none.
  returned: success
  type: int
attempts:
  description: How often it was tried.
  returned: success
  type: int
problem:
  description: Why it was not taken; empty when it was, or was not due.
  returned: success
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule, env_fallback

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._module import run_module
from ansible_collections.sre.runbooks.plugins.module_utils._runs.announcement import OCCASIONS, is_due
from ansible_collections.sre.runbooks.plugins.module_utils._runs.webhook import Delivery, deliver, shown
from ansible_collections.sre.runbooks.plugins.module_utils._secret_file import secret_in


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    due = is_due(params["announcement"], params["occasion"])
    done = Delivery()
    if due and not module.check_mode:
        try:
            done = _send(module)
        except RunbookError as error:
            done = Delivery(problem=f"the webhook was not told: {error}")
    if done.problem:
        module.warn(done.problem)
    return {
        "changed": False,
        "due": due,
        "sent": due and not module.check_mode and not done.problem,
        "status": done.status,
        "attempts": done.attempts,
        "problem": done.problem,
    }


def _send(module: AnsibleModule) -> Delivery:
    params = module.params
    url = _value(module, "url")
    if not url:
        raise InvalidInput("nobody says where to", expected="url or url_file", found="neither")
    secret = _value(module, "secret")
    headers = {params["header"]: secret} if secret else {}
    timeout_s = parse_duration(params["timeout"])
    if timeout_s <= 0 or not 1 <= params["attempts"] <= 10:
        raise InvalidInput(
            "it cannot be tried like that",
            expected="a timeout of more than 0 s, and 1 to 10 attempts",
            found=f"timeout {params['timeout']}, {params['attempts']} attempts",
        )
    done = deliver(url, params["announcement"], headers, timeout_s, params["attempts"], params["ca_cert"])
    if done.problem:
        tried = f"{done.attempts} attempts" if done.attempts > 1 else "1 attempt"
        done.problem = (
            f"the webhook at {shown(url)} was not told how the run ended; expected: it takes a POST; "
            f"found: {done.problem} ({tried}); next: see that it is there; nothing else is wrong because of it"
        )
    return done


def _value(module: AnsibleModule, name: str) -> str:
    """The option, or the content of its file; either is kept out of every output."""
    path = module.params[f"{name}_file"]
    value = module.params[name] or ""
    if path:
        value = secret_in(path, f"{name}_file").strip()
    if value:
        module.no_log_values.add(value)
    return value


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "announcement": {"type": "dict", "required": True},
            "url": {"type": "str", "no_log": True, "fallback": (env_fallback, ["SRE_RUNBOOKS_WEBHOOK_URL"])},
            "url_file": {"type": "path"},
            "occasion": {"type": "str", "choices": list(OCCASIONS), "default": "failure"},
            "header": {"type": "str", "default": "Authorization"},
            "secret": {"type": "str", "no_log": True, "fallback": (env_fallback, ["SRE_RUNBOOKS_WEBHOOK_SECRET"])},
            "secret_file": {"type": "path", "no_log": False},
            "timeout": {"type": "str", "default": "10s"},
            "attempts": {"type": "int", "default": 3},
            "ca_cert": {"type": "path"},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
