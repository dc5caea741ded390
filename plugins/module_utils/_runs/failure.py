# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a playbook has to fail at its end, and with which words."""

from __future__ import annotations

import typing as t


def failure_message(report: t.Mapping[str, t.Any], where: str, unwritten: str) -> str:
    """Why the run has failed: what it found, and that somebody who reads the report will not find it where it was to be."""
    said = []
    if _is_failure(report) and report["verdict_reason"]:
        said.append(f"{report['verdict']}: {report['verdict_reason']}")
    if unwritten:
        said.append(unwritten)
    if said and where:
        said.append(f"report: {where}")
    return "; ".join(said)


def _is_failure(report: t.Mapping[str, t.Any]) -> bool:
    """Whether the runbook that it is about did not reach what it is there for."""
    # Asking is all that a health check does: what could not be asked is no success.
    proves_by_asking = report["kind"] == "health" or bool(report["service_objectives"])
    return report["verdict"] in ("failed", "missed") or (report["verdict"] == "unknown" and proves_by_asking)
