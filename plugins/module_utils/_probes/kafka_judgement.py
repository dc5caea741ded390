# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong in what a Kafka cluster says of itself. Nothing is asked here."""

from __future__ import annotations

import dataclasses
import re
import shlex
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._probes.findings import Finding
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

_LISTED = 50
Command = t.Callable[[str, str], str]


@dataclasses.dataclass(frozen=True)
class Topic:
    """:ivar led: partitions with a leader. :ivar out_of_sync: how many have fewer replicas in sync than they should."""

    name: str
    partitions: int
    led: frozenset[int]
    out_of_sync: int

    @property
    def offline(self) -> int:
        return self.partitions - len(self.led)


@dataclasses.dataclass(frozen=True)
class Group:
    """:ivar lags: records that each topic has and the group has not committed.

    :ivar without: how many partitions of each topic have records, of which the group has committed none.
    :ivar commits: whether it has committed anything at all, be it of a topic that is not looked at.
    """

    name: str
    state: str
    members: int
    lags: dict[str, int]
    without: dict[str, int] = dataclasses.field(default_factory=dict)
    commits: bool = True

    @property
    def lag(self) -> int:
        return sum(self.lags.values())


@dataclasses.dataclass
class State:
    """What a look found; ``controller`` is negative where there is none."""

    brokers: list[str]
    controller: int
    topics: list[Topic]
    groups: list[Group] = dataclasses.field(default_factory=list)


def measured(state: State) -> str:
    partitions = sum(topic.partitions for topic in state.topics)
    found = f"{counted(len(state.brokers), 'broker')}, {counted(len(state.topics), 'topic')}"
    found += f", {counted(partitions, 'partition')}"
    if state.groups:
        worst = max(state.groups, key=lambda group: group.lag)
        found += f", {counted(len(state.groups), 'group')}, {worst.name} furthest behind ({worst.lag})"
    return found


def values_of(state: State) -> dict[str, t.Any]:
    return {
        "brokers": state.brokers,
        "controller": state.controller,
        "topics": len(state.topics),
        "partitions": sum(topic.partitions for topic in state.topics),
        "offline_partitions": sum(topic.offline for topic in state.topics),
        "under_replicated_partitions": sum(topic.out_of_sync for topic in state.topics),
        "groups": [
            {"name": one.name, "state": one.state, "members": one.members, "lag": one.lag, "topics": one.lags}
            for one in sorted(state.groups, key=lambda one: -one.lag)[:_LISTED]
        ],
    }


def judge(state: State, options: t.Mapping[str, t.Any], command: Command) -> t.Iterator[Finding]:
    """Everything that is not as the probe's options want it.

    :arg command: makes a command line of the name of one of Kafka's own programs and its options, for hints.
    """
    quorum = command("metadata-quorum", "describe --status")
    if len(state.brokers) < options["minimum"]:
        words = f"{counted(len(state.brokers), 'is', 'are')} there, not {options['minimum']}"
        yield Finding("failed", "brokers", words, quorum)
    if state.controller < 0:
        yield Finding("failed", "controller", "there is none", quorum)
    for topic in state.topics:
        of = counted(topic.partitions, "partition")
        if topic.offline:
            hint = command("topics", "--describe --unavailable-partitions")
            yield Finding("failed", f"topic {topic.name}", f"{topic.offline} of {of} without a leader", hint)
    limit = options["under_replicated_limit"]
    out_of_sync = sum(topic.out_of_sync for topic in state.topics)
    outcome = "failed" if limit is not None and out_of_sync > limit else "warning"
    for topic in state.topics:
        if topic.out_of_sync > topic.offline:
            of = counted(topic.partitions, "partition")
            hint = command("topics", "--describe --under-replicated-partitions")
            yield Finding(
                outcome, f"topic {topic.name}", f"{topic.out_of_sync} of {of} with replicas out of sync", hint
            )
    yield from _groups(state.groups, options, command)


def _groups(groups: t.Sequence[Group], options: t.Mapping[str, t.Any], command: Command) -> t.Iterator[Finding]:
    known = {group.name for group in groups}
    for wanted in options["groups"]:
        # A pattern may match nothing; a name is somebody who should be there.
        if wanted not in known and not re.search(r"[*?\[]", wanted):
            yield Finding(
                "failed", f"group {wanted}", "there is no such consumer group", command("consumer-groups", "--list")
            )
    for group in groups:
        hint = command("consumer-groups", f"--describe --group {shlex.quote(group.name)}")
        if group.members < options["members"]:
            words = f"{counted(group.members, 'member')}, not {options['members']} (state {group.state})"
            yield Finding("failed", f"group {group.name}", words, hint)
        for name, lag in sorted(group.lags.items(), key=lambda item: -item[1]):
            outcome = _late(lag, options)
            if outcome is not None:
                nobody = "" if group.members else ", and nobody consumes"
                words = f"{counted(lag, 'record')} behind on topic {name}{nobody}"
                yield Finding(outcome, f"group {group.name}", words, hint)
        if (options["lag_limit"], options["lag_warning"]) == (None, None):
            continue
        for name, count in group.without.items():
            words = f"has committed nothing on {counted(count, 'partition')} of topic {name}: its lag is not known"
            yield Finding("unknown", f"group {group.name}", words, hint)
        if not group.commits and not group.without:
            yield Finding("unknown", f"group {group.name}", "has committed nothing: its lag is not known", hint)


def _late(lag: int, options: t.Mapping[str, t.Any]) -> str | None:
    if options["lag_limit"] is not None and lag > options["lag_limit"]:
        return "failed"
    return "warning" if options["lag_warning"] is not None and lag > options["lag_warning"] else None
