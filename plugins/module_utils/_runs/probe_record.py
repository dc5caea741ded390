# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The results of probes in the record of a run, so that a health check that is cut off still tells what it found."""

from __future__ import annotations

import json
import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Recorder

#: Bytes of results in one event, well below what an event may have.
_PART_LIMIT = 120 * 1024
_TEXT_LIMIT = 400
_STEP = "ask the probes"


def record_probes(
    recorder: Recorder, results: t.Sequence[t.Mapping[str, t.Any]], duration_s: float, interrupted: bool
) -> None:
    """Write the results, those that are not ok in full, in as many events as they need. Never raises."""
    part: list[dict[str, t.Any]] = []
    size = 0
    for result in results:
        kept = {name: result[name] for name in ("name", "kind", "critical", "outcome", "duration_s")}
        if result["outcome"] != "ok":
            texts = ("measured", "expected", "message", "hint")
            kept.update((name, str(result[name] or "")[:_TEXT_LIMIT]) for name in texts)
        length = len(json.dumps(kept))
        if part and size + length > _PART_LIMIT:
            _write(recorder, part, duration_s, interrupted)
            part, size = [], 0
        part.append(kept)
        size += length
    if part:
        _write(recorder, part, duration_s, interrupted)


def take_probes(timeline: t.Sequence[dict[str, t.Any]]) -> dict[str, list[dict[str, t.Any]]]:
    """Component → its results, taken out of the timeline's facts, where they would be said twice."""
    found: dict[str, list[dict[str, t.Any]]] = {}
    for entry in timeline:
        results = entry["facts"].pop("probes", None) if entry["step"] == _STEP else None
        if isinstance(results, list) and entry["component"] is not None:
            kept = found.setdefault(entry["component"], [])
            kept += [result for result in results if isinstance(result, dict)]
    return found


def _write(recorder: Recorder, part: list[dict[str, t.Any]], duration_s: float, interrupted: bool) -> None:
    outcome = "failed" if interrupted else "ok"
    recorder.event(_STEP, outcome=outcome, duration_s=duration_s, count=len(part), probes=part)
