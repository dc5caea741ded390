#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: objective_info
short_description: Say whether service level objectives are met
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Computes the SLI of each objective over its window from what Prometheus has, and from it the error budget, the burn
    rates, when the budget will be used up, and how it was in the window before.
  - Objectives are SLO documents in a subset of OpenSLO v1, described in C(docs/objectives.md).
  - What cannot be known is V(unknown) and never V(met). That is so for a Prometheus that does not answer, a query that
    fails, series that are absent, stale or too many, values that are no numbers, a window of which less than
    O(minimum_coverage) has data, and clocks that are apart.
  - Does not fail for objectives that are missed or unknown; see RV(verdict). One that is badly defined is V(unknown), too, and
    keeps no other one from being judged.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.attributes.info_module
  - sre.runbooks.prometheus
options:
  objectives:
    description: The objectives, each an SLO document.
    type: list
    elements: raw
    required: true
  only:
    description: Names of the only objectives to judge. One that there is not is V(unknown).
    type: list
    elements: str
    default: []
  components:
    description: Every component that there is. An objective about another one is V(unknown). Not looked at when empty.
    type: list
    elements: str
    default: []
  limit:
    description:
      - Judge objectives about these of the O(components) only, and those that are about no component.
      - The others are in RV(left_out). All are judged when empty.
    type: list
    elements: str
    default: []
  window:
    description:
      - Look at this window instead of each objective's own, such as V(1h). The answer is then about that time only.
    type: str
  minimum_coverage:
    description:
      - The share of a window that must have data, from 0 to 1, for objectives that name none themselves.
      - At V(0.99), seven hours of thirty days may be missing.
    type: raw
    default: 0.99
  clock_tolerance:
    description: The clocks of Prometheus and of the host where the task runs may be so far apart.
    type: str
    default: 30s
"""

EXAMPLES = r"""
- name: Look whether enough requests succeed
  sre.runbooks.objective_info:
    url: "{{ prometheus_url }}"
    objectives:
      - metadata:
          name: flights_api_availability
          labels: {component: flights_api, kind: availability}
        spec:
          description: Requests are answered without an error of ours
          service: flights
          indicator:
            spec:
              ratioMetric:
                good: http_requests_total{job="flights_api", code!~"5.."}
                total: http_requests_total{job="flights_api"}
          timeWindow:
            - duration: 30d
          objectives:
            - target: 0.9995
  register: judged

- name: Show what is not met, and why
  ansible.builtin.debug:
    msg: "{{ judged.objectives | rejectattr('outcome', 'eq', 'met') | map(attribute='message') }}"
"""

RETURN = r"""
verdict:
  description:
    - V(met) when all objectives are; V(missed) when one is missed; else V(unknown), also when there is no objective.
  returned: success
  type: str
  sample: met
summary:
  description: The verdict in a sentence, with every objective that is not met.
  returned: success
  type: str
  sample: all 3 objectives are met
objectives:
  description:
    - One result for each objective, in the order given. Ratios are from 0 to 1. Of one that is badly defined, what is not known of it is
      empty or null.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: Its name., type: str}
    service: {description: Its service., type: str}
    component: {description: The component that it is about., type: str}
    description: {description: What it is about., type: str}
    kind: {description: "V(availability), V(latency), V(throughput), V(ratio) or V(threshold).", type: str}
    target: {description: The share of good events that is wanted., type: float}
    window_s: {description: The window in seconds., type: float}
    sli: {description: The share of good events; null when it is unknown., type: float}
    outcome: {description: "V(met), V(missed) or V(unknown).", type: str}
    message: {description: "What follows, or why it is unknown.", type: str}
    measured: {description: What was found., type: str}
    expected: {description: What is wanted., type: str}
    hint: {description: The next command; null when it is met., type: str}
    budget:
      description: RV(objectives[].budget.total) is the share of bad events that the target allows.
      type: dict
      contains:
        total: {description: The share of bad events that is allowed., type: float}
        used: {description: The share of the budget that is used; more than 1 when it is overspent., type: float}
        left: {description: The share of the budget that is left; negative when it is overspent., type: float}
    burn_rates:
      description: How fast the budget is used, for each pair of windows of a multi-window alert.
      type: list
      elements: dict
      contains:
        long_s: {description: The long window., type: float}
        short_s: {description: The short window., type: float}
        factor: {description: The rate above which it is too fast., type: float}
        severity: {description: V(page) or V(ticket)., type: str}
        long: {description: The rate in the long window; null when it is unknown., type: float}
        short: {description: The rate in the short window; null when it is unknown., type: float}
        firing: {description: Whether both are above the factor; null when that is unknown., type: bool}
    coverage: {description: The share of the window that has data; null when that is not known., type: float}
    exhausts_at: {description: When the budget is used up as it goes; null when it will not be., type: str}
    trend:
      description: The window before.
      type: dict
      contains:
        former_sli: {description: Its SLI; null when it is unknown., type: float}
        change: {description: By how much the SLI is better now., type: float}
    values: {description: What was counted., type: dict}
left_out:
  description: Objectives about components that are not in O(limit).
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: Its name., type: str}
    component: {description: The component that it is about., type: str}
"""

import math
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._module import run_module
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.judgement import (
    Rules,
    judge_all,
    sentence,
    verdict,
)
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.selection import choose
from ansible_collections.sre.runbooks.plugins.module_utils._prometheus.access import PROMETHEUS_OPTIONS, server_of

#: Options that are durations, each with one that would do.
_DURATIONS = {"window": "1h", "clock_tolerance": "30s", "timeout": "30s"}


def _seconds(params: dict[str, t.Any], name: str) -> float:
    try:
        return parse_duration(params[name])
    except InvalidInput as error:
        expected, found = t.cast(str, error.expected), t.cast(str, error.found)
        raise _bad(name, "is not a duration", expected, found, _DURATIONS[name]) from None


def _bad(name: str, problem: str, expected: str, found: str, example: str) -> InvalidInput:
    """Who uses the roles knows the variable of the inventory, who uses the module its option."""
    variable = "objectives_prometheus.timeout" if name == "timeout" else f"objectives_{name}"
    return InvalidInput(
        f"{name} ({variable} of the inventory) {problem}",
        expected=expected,
        found=found,
        next_command=f"correct {variable}, then: the same command"
        + (f" with -e {variable}={example}" if name != "timeout" else " without -e objectives_prometheus"),
    )


def _minimum_coverage(given: t.Any) -> float:
    try:
        share = math.nan if isinstance(given, bool) else float(given)
    except (TypeError, ValueError):
        share = math.nan
    if not 0 < share <= 1:
        raise _bad(
            "minimum_coverage", "is not a share", "a number more than 0, at most 1, such as 0.99", repr(given), "0.99"
        )
    return share


def _work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    rules = Rules(_minimum_coverage(params["minimum_coverage"]), _seconds(params, "clock_tolerance"))
    _seconds(params, "timeout")
    choice = choose(
        params["objectives"],
        params["only"],
        params["components"],
        params["limit"],
        _seconds(params, "window") if params["window"] else None,
    )
    results = judge_all(server_of(params), choice.entries, rules)
    return {
        "changed": False,
        "verdict": verdict(results),
        "summary": sentence(results),
        "objectives": results,
        "left_out": choice.left_out,
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **PROMETHEUS_OPTIONS,
            "objectives": {"type": "list", "elements": "raw", "required": True},
            "only": {"type": "list", "elements": "str", "default": []},
            "components": {"type": "list", "elements": "str", "default": []},
            "limit": {"type": "list", "elements": "str", "default": []},
            "window": {"type": "str"},
            "minimum_coverage": {"type": "raw", "default": 0.99},
            "clock_tolerance": {"type": "str", "default": "30s"},
        },
        mutually_exclusive=[("user", "bearer_token"), ("user", "bearer_token_file")],
        supports_check_mode=True,
    )
    run_module(module, _work)


if __name__ == "__main__":
    main()
