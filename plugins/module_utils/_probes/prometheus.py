# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The prometheus kind: whether it is ready, ingests, reaches its targets, evaluates its rules, and has no gaps."""

from __future__ import annotations

import math
import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration, parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Kind,
    Option,
    Reading,
    integer,
    names,
    text,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.findings import Finding, sum_up, with_hints
from ansible_collections.sre.runbooks.plugins.module_utils._probes.prometheus_access import ACCESS, ServerCheck
from ansible_collections.sre.runbooks.plugins.module_utils._prometheus.client import PrometheusError, Server
from ansible_collections.sre.runbooks.plugins.module_utils._prometheus.judging import is_selector
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

_SHOWN = 5
#: A gap is looked for in so many parts of the longest one that may be, in this many at least, and in so many of the window.
_PARTS, _FEWEST_PARTS, _MOMENTS = 20, 4, 10_000
#: So long Prometheus carries the values on of which an expression is made.
_CARRIED_S = 300.0
_METRIC = re.compile(
    r"^(prometheus_tsdb_head_max_time_seconds|prometheus_config_last_reload_successful) ([-+.0-9eE]+)$", re.M
)
_APPENDED = "prometheus_tsdb_head_samples_appended_total"
_NEWEST = "prometheus_tsdb_head_max_time_seconds"
#: No target is asked less often than that.
_STALE_S = 300.0
_RELOADED = "prometheus_config_last_reload_successful"


class PrometheusCheck(ServerCheck):
    silent = "failed"

    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(options, session)
        self._down: int = options["targets_down"]
        self._jobs: tuple[str, ...] = options["jobs"]
        self._rules: int = options["rule_failures"]
        self._gaps: str | None = options["gaps_of"]
        self._window: float = options["gap_window"]
        self._longest: float = options["longest_gap"]
        self._tolerance: float = options["clock_tolerance"]
        self._now = 0.0
        self._step = float(max(1, math.floor(self._longest / _PARTS), math.ceil(self._window / _MOMENTS)))
        self._carried = 0.0 if self._gaps is None or is_selector(self._gaps) else _CARRIED_S
        least = max(_FEWEST_PARTS * self._step, self._carried + 2 * self._step if self._carried else 0.0)
        if self._gaps is not None and self._longest < least:
            why = ", or name a series and no expression" if self._carried else ""
            raise ValueError(f"longest_gap must be at least {format_duration(least)} with this gap_window{why}")
        self.expected = f"ready, ingesting, at most {counted(self._down, 'target')} down"
        self.expected += f", {counted(self._rules, 'failing rule')}" if self._rules else ", no failing rule"
        if self._jobs:
            self.expected += f", targets of {', '.join(self._jobs)}"
        if self._gaps is not None:
            self.expected += f", no gap over {format_duration(self._longest)} in {self._gaps}"
        self.hint = self.server.command("/-/ready")

    def judge(self, server: Server) -> Reading:
        status, body = server.fetch("/-/ready")
        if status != 200:
            said = body[:200].decode("utf-8", "replace").strip()
            return self.reading("failed", f"status {status}", f"not ready: {said}")
        findings: list[Finding] = []
        values: dict[str, t.Any] = {}
        for look in (self._clock, self._ingestion, self._targets, self._failing_rules, self._gap):
            findings += look(server, values)
        up = values["targets"] - values["targets_down"] - values["targets_unknown"]
        measured = f"ready, {up} of {counted(values['targets'], 'target')} up"
        return with_hints(sum_up(self, measured, findings, **values), findings, self.own_hint)

    def _clock(self, server: Server, values: dict[str, t.Any]) -> list[Finding]:
        self._now, ahead = server.time()
        values["clock_ahead_s"] = round(ahead, 3)
        if abs(ahead) <= self._tolerance:
            return []
        words = f"{format_duration(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} ours"
        return [Finding("warning", "its clock", words, "chronyc tracking; date -u")]

    def _ingestion(self, server: Server, values: dict[str, t.Any]) -> list[Finding]:
        """By what its own metrics say now: one that ingests nothing would not have recorded that."""
        command = server.command("/metrics")
        try:
            status, body = server.fetch("/metrics")
        except PrometheusError as error:
            if error.reason != "denied":
                raise
            return [Finding("warning", "its own metrics", "may not be read", error.next_command)]
        if status != 200:
            return [Finding("unknown", "its own metrics", f"status {status}", command)]
        found = {name: float(value) for name, value in _METRIC.findall(body.decode("utf-8", "replace"))}
        findings = []
        if found.get(_RELOADED, 1.0) != 1.0:
            words = "the last one was refused: it runs with the one before"
            findings.append(Finding("failed", "its configuration", words, command))
        rate = server.query(f"sum(rate({_APPENDED}[5m]))")
        values["samples_per_s"] = round(rate[0].points[0][1], 3) if rate else None
        age = self._now - found[_NEWEST] if _NEWEST in found else None
        values["newest_sample_age_s"] = None if age is None else round(age, 3)
        if age is None:
            findings.append(Finding("warning", "ingestion", f"its metrics have no {_NEWEST}", command))
        elif age > _STALE_S or (rate and rate[0].points[0][1] <= 0):
            since = "since it started" if found[_NEWEST] <= 0 else f"for {format_duration(age)}"
            findings.append(Finding("failed", "ingestion", f"no sample {since}", command))
        return findings

    def _targets(self, server: Server, values: dict[str, t.Any]) -> list[Finding]:
        data = server.api("/api/v1/targets?state=active")
        command = server.command("/api/v1/targets?state=active")
        targets = data.get("activeTargets") if isinstance(data, dict) else None
        if not isinstance(targets, list):
            raise PrometheusError("answer", f"{server.url} lists no targets", next_command=command)
        down: dict[str, list[str]] = {}
        jobs = set()
        # One that was not asked yet, since the server or the target is new, has the health "unknown".
        unknown = [target for target in targets if target.get("health") not in ("up", "down")]
        for target in targets:
            labels = target.get("labels", {})
            jobs.add(str(labels.get("job", "")))
            if target.get("health") == "down":
                down.setdefault(str(labels.get("job", "")), []).append(str(labels.get("instance", "?")))
        count = sum(map(len, down.values()))
        values.update(targets=len(targets), targets_down=count, targets_unknown=len(unknown))
        values["down"] = {job: own[:20] for job, own in down.items()}
        findings = [Finding("failed", f"job {job}", "no target", command) for job in self._jobs if job not in jobs]
        if unknown:
            findings.append(
                Finding("unknown", "targets", f"of {len(unknown)} it is not known whether they are up", command)
            )
        if not targets:
            findings.append(Finding("failed", "targets", "none at all", command))
        if count > self._down:
            for job, own in sorted(down.items()):
                more = f" and {len(own) - _SHOWN} more" if len(own) > _SHOWN else ""
                words = f"{counted(len(own), 'target')} down, {', '.join(own[:_SHOWN])}{more}"
                findings.append(Finding("failed", f"job {job}", words, command))
        return findings

    def _failing_rules(self, server: Server, values: dict[str, t.Any]) -> list[Finding]:
        data = server.api("/api/v1/rules")
        groups = data.get("groups", []) if isinstance(data, dict) else []
        failing = [rule for group in groups for rule in group.get("rules", []) if rule.get("health") == "err"]
        values["rule_failures"] = len(failing)
        if len(failing) <= self._rules:
            return []
        command = server.command("/api/v1/rules")
        return [
            Finding("failed", f"rule {rule.get('name', '?')}", str(rule.get("lastError") or "fails")[:200], command)
            for rule in failing
        ]

    def _gap(self, server: Server, values: dict[str, t.Any]) -> list[Finding]:
        """The longest stretch of the window without a sample; of an expression, without a value and what was carried on."""
        if self._gaps is None:
            return []
        step = self._step
        count = int(self._window / step)
        start = self._now - count * step
        looked_at = f"({self._gaps})" if self._carried else f"max_over_time({self._gaps.strip()}[{step:.0f}s])"
        # Whatever the number of its series; the comparison leaves out NaN.
        found = server.query_range(f"count({looked_at} > -Inf)", start, self._now, step)
        there = {round((moment - start) / step) for series in found for moment, _ in series.points}
        longest = run = 0
        for place in range(count + 1):
            run = 0 if place in there else run + 1
            longest = max(longest, run)
        # Between the last moment with a value and the next one.
        gap = (longest + 1) * step + self._carried if longest else 0.0
        values.update(longest_gap_s=gap, coverage=round(len(there) / (count + 1), 6))
        if gap <= self._longest:
            return []
        words = f"a gap of {format_duration(gap)} in the last {format_duration(self._window)}"
        return [Finding("failed", self._gaps, words, server.command("/api/v1/query", {"query": self._gaps}))]


PROMETHEUS = Kind(
    name="prometheus",
    options={
        **ACCESS,
        "targets_down": Option(integer(0, 1_000_000), default=0),
        "jobs": Option(names, default=(), filled=True),
        "rule_failures": Option(integer(0, 1_000_000), default=0),
        "gaps_of": Option(text),
        "gap_window": Option(parse_duration, default=86400.0),
        "longest_gap": Option(parse_duration, default=600.0),
        "clock_tolerance": Option(parse_duration, default=30.0),
    },
    prepare=PrometheusCheck,
    target=lambda options: t.cast(str, options["url"]),
)
