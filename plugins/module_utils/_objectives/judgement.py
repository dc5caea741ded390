# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether objectives are met. What cannot be known is "unknown", with the reason; it is never taken for met."""

from __future__ import annotations

import dataclasses
import datetime
import math
import shlex
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration, format_time
from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.calculation import (
    BURN_WINDOWS,
    Share,
    Steps,
    burn_rates,
    covered_in,
    error_budget,
    exhausted_in,
    share,
    sliced,
)
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.definition import MEND, OPERATORS, Objective
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.reading import read
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.selection import Refusal
from ansible_collections.sre.runbooks.plugins.module_utils._prometheus.client import PrometheusError, Server
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

#: The window is looked at in so many steps: 5 minutes each of 30 days.
_STEPS = 8640
#: Data that ends longer ago than this says nothing of now; Prometheus itself carries a value on for as long.
_STALE_S = 300.0
_TOO_LITTLE = "only"
#: Who waits longer than this looks first.
_SOON_S = 3600.0


@dataclasses.dataclass(frozen=True)
class Rules:
    """:ivar minimum_coverage: share of a window that must have data, for objectives that name none.
    :ivar clock_tolerance_s: Prometheus's clock and ours may be so far apart.
    """

    minimum_coverage: float = 0.99
    clock_tolerance_s: float = 30.0


def judge_all(server: Server, entries: t.Sequence[Objective | Refusal], rules: Rules) -> list[dict[str, t.Any]]:
    """One result for each objective, in their order; see ``objective_info`` for what is in it."""
    judged = iter(_judge_defined(server, [entry for entry in entries if isinstance(entry, Objective)], rules))
    return [_refused(entry) if isinstance(entry, Refusal) else next(judged) for entry in entries]


def _judge_defined(server: Server, objectives: t.Sequence[Objective], rules: Rules) -> list[dict[str, t.Any]]:
    if not objectives:
        return []
    try:
        now, ahead = server.time()
        if abs(ahead) > rules.clock_tolerance_s:
            raise RunbookError(
                f"the clock of {server.url} is {format_duration(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} ours",
                expected=f"at most {format_duration(rules.clock_tolerance_s)} apart",
                found=f"{_clock_text(now)} there, {_clock_text(now - ahead)} here",
                next_command="set the clock that is wrong, on both hosts: chronyc tracking; date -u",
            )
    except RunbookError as error:
        return [_unknown(objective, error, server) for objective in objectives]
    results = []
    for objective in objectives:
        try:
            # Whole seconds, so that every bound is one, too.
            results.append(_judge(server, objective, math.floor(now), rules))
        except RunbookError as error:
            results.append(_unknown(objective, error, server))
    return results


def _clock_text(seconds: float) -> str:
    return f"{datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc):%Y-%m-%d %H:%M:%S} UTC"


def verdict(results: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """ "met" when all are met; "missed" before "unknown"; without any objective nothing is known."""
    outcomes = {result["outcome"] for result in results}
    return next((outcome for outcome in ("missed", "unknown", "met") if outcome in outcomes), "unknown")


def sentence(results: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """The verdict for people, with every objective that is not met, the missed ones first."""
    if not results:
        return "no objective was given; expected: at least one; next: define objectives in the inventory (docs/objectives.md)"
    wrong = [result for result in results if result["outcome"] != "met"]
    if not wrong:
        return f"all {len(results)} objectives are met" if len(results) > 1 else "the only objective is met"
    wrong.sort(key=lambda result: t.cast(str, result["outcome"]))
    lines = [
        f"{result['name']} ({result['outcome']}): {result['message']}"
        f" [expected: {result['expected']}, found: {result['measured']}, next: {result['hint']}]"
        for result in wrong
    ]
    return (
        f"{len(wrong)} of {counted(len(results), 'objective')} {'is' if len(wrong) == 1 else 'are'} not met: "
        + "; ".join(lines)
    )


def steps_of(window: float, slice_s: float | None = None) -> tuple[int, int]:
    """Seconds of one step, and how many make a window: about 8640, and a whole number of them makes each slice."""
    width = max(1, math.ceil(window / _STEPS))
    if slice_s is None:
        return width, math.ceil(window / width)
    width = next((divisor for divisor in range(width, int(slice_s)) if slice_s % divisor == 0), int(slice_s))
    return width, math.ceil(window / slice_s) * int(slice_s // width)


def in_percent(ratio: float, target: float | None = None) -> str:
    """A ratio with as many digits as tell it from its target."""
    closeness = 1.0 if target is None else 1.0 - target
    digits = max(2, min(8, 2 - math.floor(math.log10(max(closeness, 1e-8)))))
    # Rounded down: 99.999 % are not 100 %.
    scale = 10 ** (digits - 2)
    return f"{math.floor(ratio * 100 * scale + 1e-9) / scale:.{digits - 2}f} %"


def _judge(server: Server, objective: Objective, now: int, rules: Rules) -> dict[str, t.Any]:
    least = objective.minimum_coverage if objective.minimum_coverage is not None else rules.minimum_coverage
    width, count = steps_of(objective.window_s, objective.slice_s)
    window = float(count * width)
    raw = read(server, objective, now, width, 2 * count)
    steps = _in_slices(raw, objective, least)
    part = share(steps, now - window, now)
    # Burn rates are of minutes, for which the steps of a month are too wide.
    recent = read(server, objective, now, *steps_of(BURN_WINDOWS[-1].long_s, objective.slice_s))
    rates = burn_rates(_in_slices(recent, objective, least), objective.target, least)
    result = _empty(objective)
    result.update(coverage=part.coverage, burn_rates=rates)
    result["values"] = {"good": part.good, "total": part.total, "target_value": _target_value(objective)}
    problem = _problem(objective, part, raw, now, least)
    if problem is not None:
        result["values"]["sli_of_what_is_known"] = part.sli
        covered = f"{in_percent(part.coverage)} of the window has data"
        query = (*raw.absent, *objective.queries)[0]
        message, expected = problem
        wait = covered_in(steps, window, least) if message.startswith(_TOO_LITTLE) else math.inf
        result.update(
            measured=covered,
            message=message,
            expected=expected or result["expected"],
            # What only has to go on needs no look.
            hint=f"in {format_duration(wait)}, when enough of the window has data: the same command"
            if wait <= _SOON_S
            else server.command("/api/v1/query", {"query": query}),
        )
        return result
    sli = t.cast(float, part.sli)
    # An SLI that is exactly the target has used the budget exactly, whatever the last bit of a float says.
    if math.isclose(sli, objective.target, rel_tol=0, abs_tol=1e-12):
        sli = objective.target
    met = sli >= objective.target
    budget = error_budget(sli, objective.target)
    seconds = exhausted_in(steps, window, budget["used"], objective.target, least)
    former = share(steps, now - 2 * window, now - window)
    former_sli = former.sli if former.coverage >= least else None
    result.update(
        sli=sli,
        outcome="met" if met else "missed",
        measured=_measured(objective, part),
        budget=budget,
        exhausts_at=None
        if seconds is None
        else format_time(datetime.datetime.fromtimestamp(now + seconds, datetime.timezone.utc)),
        trend={"former_sli": former_sli, "change": None if former_sli is None else sli - former_sli},
        hint=None if met else _hint(objective, server),
    )
    result["message"] = _sentence(objective, result)
    return result


def _in_slices(steps: Steps, objective: Objective, least: float) -> Steps:
    return sliced(steps, objective.slice_s, objective.slice_target, least) if objective.slice_s else steps


def _problem(objective: Objective, part: Share, raw: Steps, now: float, least: float) -> tuple[str, str] | None:
    """Why nothing can be said, and what would have to be there."""
    newest = next((raw.start + (i + 1) * raw.width for i in range(len(raw.good) - 1, -1, -1) if raw.covered[i]), None)
    wanted = f"data for at least {in_percent(least)} of the window"
    if raw.absent:
        return f"no data at all: {_nothing_of(raw)}", wanted
    if newest is None:
        return "no moment at which all of its series have data", wanted
    oldest = max(_STALE_S, 2 * raw.width)
    if now - newest > oldest:
        return (
            f"stale: the newest data is {format_duration(now - newest)} old",
            f"data of the last {format_duration(oldest)}",
        )
    if part.coverage < least:
        return f"{_TOO_LITTLE} {in_percent(part.coverage)} of the window has data", wanted
    if part.sli is None and part.total == 0:
        return "nothing happened in the window", ""
    if part.sli is None:
        return "more good events than events: see the queries", "at most as many"
    return None


def _nothing_of(raw: Steps) -> str:
    absent = [query for query in raw.absent if query not in raw.strange]
    parts = [
        (absent, "are absent"),
        (raw.strange, "have nothing but NaN or infinity"),
    ]
    return ", ".join(f"the series of {' and of '.join(queries)} {what}" for queries, what in parts if queries)


def _sentence(objective: Objective, result: dict[str, t.Any]) -> str:
    left = result["budget"]["left"]
    parts = [
        f"{in_percent(left)} of the error budget left"
        if left >= 0
        else f"the error budget is overspent by {in_percent(-left)}"
    ]
    worst = result["sli"] * result["coverage"]
    if result["outcome"] == "met" and worst < objective.target:
        parts.append(f"if all that is not known were bad, {in_percent(worst, objective.target)} would be good")
    firing = [rate for rate in result["burn_rates"] if rate["firing"]]
    if firing:
        parts.append(f"burning {firing[0]['long']:.1f} times too fast over {format_duration(firing[0]['long_s'])}")
    if result["exhausts_at"] and left > 0:
        parts.append(f"used up at {result['exhausts_at'][:16]}Z as it goes")
    return ", ".join(parts)


def _measured(objective: Objective, part: Share) -> str:
    what = "slice" if objective.slice_s else "sample" if objective.threshold else "event"
    covered = f"{in_percent(part.coverage)} of the window has data"
    return f"{in_percent(t.cast(float, part.sli), objective.target)} of {counted(round(part.total), what)}, {covered}"


def _expected(objective: Objective) -> str:
    of = "slices" if objective.slice_s else "samples" if objective.threshold is not None else "events"
    good = "good"
    if objective.threshold is not None:
        good = f"with {objective.threshold} {OPERATORS[objective.operator]} {objective.limit}"
    if objective.slice_s:
        good += f" in {in_percent(objective.slice_target)} of each {format_duration(objective.slice_s)}"
    return f"at least {_plain_percent(objective.target)} of {of} {good}, over {format_duration(objective.window_s)}"


def _plain_percent(ratio: float) -> str:
    return f"{ratio * 100:.6f}".rstrip("0").rstrip(".") + " %"


def _target_value(objective: Objective) -> float | None:
    return objective.value if objective.threshold is not None else None


def _hint(objective: Objective, server: Server) -> str:
    """What gets further where it is missed. Its component's health is what is judged already, where this is shown."""
    if objective.component:
        return f"ansible-playbook sre.runbooks.collect_diagnostics --limit {shlex.quote(objective.component)} -e alert=slo_burn"
    return server.command("/api/v1/query", {"query": objective.queries[0]})


def _empty(objective: Objective) -> dict[str, t.Any]:
    return {
        **_of_nothing(objective.name, objective.service, objective.component),
        "description": objective.description,
        "kind": objective.kind,
        "target": objective.target,
        "window_s": objective.window_s,
        "expected": _expected(objective),
        "budget": {"total": objective.allowed, "used": None, "left": None},
    }


def _of_nothing(name: str, service: str, component: str | None) -> dict[str, t.Any]:
    return {
        "name": name,
        "service": service,
        "component": component,
        "description": "",
        "kind": None,
        "target": None,
        "window_s": None,
        "sli": None,
        "outcome": "unknown",
        "message": "",
        "measured": "nothing",
        "expected": "",
        "hint": None,
        "budget": {"total": None, "used": None, "left": None},
        "burn_rates": [],
        "coverage": None,
        "exhausts_at": None,
        "trend": {"former_sli": None, "change": None},
        "values": {},
    }


def _unknown(objective: Objective, error: RunbookError, server: Server) -> dict[str, t.Any]:
    result = _empty(objective)
    asked = server.command("/api/v1/query", {"query": objective.queries[0]})
    hint = error.next_command or asked
    if error.next_command is None or (isinstance(error, PrometheusError) and error.reason == "query"):
        # What Prometheus answers is right: the question is not.
        hint = MEND.replace("it ", f"the query (what it answers: {hint}) ", 1)
    result.update(message=error.message, measured=error.found or "nothing", hint=hint)
    if error.expected:
        result["expected"] = error.expected
    return result


def _refused(refusal: Refusal) -> dict[str, t.Any]:
    error = refusal.error
    return {
        **_of_nothing(refusal.name, refusal.service, refusal.component),
        "message": error.message,
        "expected": error.expected or "",
        "measured": error.found or "nothing",
        "hint": error.next_command,
    }
