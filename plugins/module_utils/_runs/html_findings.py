# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On the page: what somebody should look at, each with the command to copy."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._runs.markup import Html, tag
from ansible_collections.sre.runbooks.plugins.module_utils._runs.words import said_once

_TONES = {"failure": "failed", "warning": "missed", "note": "unknown"}
#: As errors put themselves: any of the last three may be missing.
_PARTS = re.compile(r"(.*?)(?:; expected: (.*?))?(?:; found: (.*?))?(?:; next: (.*))?", re.DOTALL)


def findings_card(findings: t.Sequence[t.Mapping[str, t.Any]]) -> Html:
    if not findings:
        return tag("p", "Nothing that anybody has to look at.", class_="card allclear")
    return tag("ul", [_finding(finding) for finding in said_once(findings)], class_="card findings")


def _finding(finding: t.Mapping[str, t.Any]) -> Html:
    match = _PARTS.fullmatch(finding["text"])
    said, expected, found, command = match.groups() if match else (finding["text"], None, None, None)
    seen = [text for text in (expected and f"expected {expected}", found and f"found {found}") if text]
    return tag(
        "li",
        tag("span", finding["severity"]),
        tag(
            "div",
            tag("p", [tag("b", finding["component"]), " · "] if finding["component"] else None, said),
            tag("p", " · ".join(seen), class_="seen") if seen else None,
            tag("code", command) if command else None,
        ),
        class_=_TONES[finding["severity"]],
    )
