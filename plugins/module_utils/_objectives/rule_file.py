# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of rules as text, judged by promtool before they are put in place."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _process
from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    EngineError,
    InvalidInput,
    MissingRequirement,
)

HEAD = (
    "# Generated from the objectives of the inventory by sre.runbooks.generate_objective_rules, which writes it anew.\n"
)
#: What promtool may take for few objectives, and for each of many, on a host that has much else to do.
_TIMEOUT_S, _TIMEOUT_EACH_S = 120, 3
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def as_yaml(document: t.Mapping[str, t.Any]) -> str:
    """Plain data as YAML that people can read; a host of servers need not have a library for that."""
    return HEAD + "---\n" + "\n".join(_lines(document, "")) + "\n"


def groups_of(text: str) -> dict[str, str]:
    """The text of each objective's group in a file that :func:`as_yaml` wrote, by its name; nothing of any other file."""
    parts = re.split(r'^  - name: "objective ([^"]+)"$', text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def find_promtool(path: str | None) -> str:
    """Raises MissingRequirement."""
    wanted = path or "promtool"
    found = shutil.which(wanted)
    if found is None:
        raise MissingRequirement(
            f"promtool, which judges the rules, is not on this host as {wanted}",
            expected="objectives_rules_promtool as a program there, by its path or its name",
            found=f"no program {wanted}",
            next_command=(
                "" if shutil.which("promtool") else "install Prometheus there (apt-get install prometheus), then: "
            )
            + "the same command"
            + ("" if wanted == "promtool" else " with -e objectives_rules_promtool=promtool"),
        )
    return found


def judge(promtool: str, rules: str, test: str, name: str, objectives: int) -> None:
    """Let promtool check rules and run their test, in a directory of their own. Raises InvalidInput with what it says.

    :arg name: what the file of rules is called in the test.
    :arg objectives: how many there are, for the time that promtool may take.
    """
    with tempfile.TemporaryDirectory(prefix="sre-runbooks-rules-") as directory:
        # Whatever the rules are called, this is another name.
        test_name = f"test.{name}"
        for file, content in ((name, rules), (test_name, test)):
            with open(os.path.join(directory, file), "w", encoding="utf-8") as target:
                target.write(content)
        for arguments in (["check", "rules", name], ["test", "rules", test_name]):
            _run(promtool, arguments, directory, _TIMEOUT_S + _TIMEOUT_EACH_S * objectives)


def _run(promtool: str, arguments: list[str], directory: str, timeout: float) -> None:
    try:
        _process.run([promtool, *arguments], "promtool", timeout=timeout, cwd=directory, told_lines=12)
    except EngineError as error:
        raise InvalidInput(
            f"promtool {arguments[0]} rules refuses the rules of the objectives",
            expected="objectives whose expressions Prometheus understands",
            found=error.found,
            next_command="mend the objectives that are named there (docs/objectives.md), then: the same command without -e objectives",
        ) from None


def _lines(value: t.Any, indent: str) -> t.Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _entry(f"{indent}{key}:", inner, indent + "  ")
        return
    for inner in value:
        if isinstance(inner, dict):
            first, *others = _lines(inner, indent + "  ")
            yield f"{indent}- {first[len(indent) + 2 :]}"
            yield from others
        else:
            yield f"{indent}- {_scalar(inner)}"


def _entry(head: str, inner: t.Any, indent: str) -> t.Iterator[str]:
    if isinstance(inner, (dict, list)) and inner:
        yield head
        yield from _lines(inner, indent)
    else:
        yield f"{head} {_scalar(inner)}"


def _scalar(value: t.Any) -> str:
    # JSON's texts are YAML's, too, but for characters that cannot be printed.
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
