# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/probes.md names every kind of probe, its keys and defaults as the code has them, and its examples are valid."""

from __future__ import annotations

import re
import typing as t

import pytest
import yaml

from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import COMMON, Option
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import KINDS, Session, declare_all
from ansible_collections.sre.runbooks.plugins.module_utils._probes.presets import PRESETS
from tests.checks.conftest import ROOT
from tests.checks.test_collection import documentation

PAGE = (ROOT / "docs" / "probes.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| (.+?) \|", re.M)
NOTHING = (None, {}, [], ())


def sections() -> dict[str, str]:
    """The page's sections of the third level by their titles; a kind's title is its name."""
    parts = re.split(r"^### (.*)$", PAGE, flags=re.M)
    return {
        title.strip("`"): re.split(r"^## ", text, flags=re.M)[0]
        for title, text in zip(parts[1::2], parts[2::2], strict=True)
    }


SECTIONS = sections()
EXAMPLES = {
    name: yaml.safe_load(example)
    for name, text in SECTIONS.items()
    for example in re.findall(r"^```yaml\n(.*?)^```", text, re.M | re.S)
}


def documented(section: str) -> dict[str, str]:
    """The keys of a section's table with their defaults, and those of the sections that it refers to for more."""
    found = {}
    anchors = {title.lower().replace(" ", "-"): title for title in SECTIONS}
    for anchor in re.findall(r"\]\(#([\w-]+)\)", SECTIONS[section]):
        if anchor in anchors and anchors[anchor] not in KINDS:
            found.update(documented(anchors[anchor]))
    return {**found, **dict(ROW.findall(SECTIONS[section]))}


def agrees(words: str, option: Option) -> bool:
    if option.required:
        return words == "required"
    if option.default in NOTHING:
        return words == "–"
    return words.startswith("`") and option.convert(words.strip("`")) == option.default


def differences(section: str, options: t.Mapping[str, Option]) -> list[str]:
    keys = documented(section)
    wrong = [f"{key} is not described" for key in options if key not in keys]
    wrong += [f"{key} is described and does not exist" for key in keys if key not in options]
    return wrong + [
        f"{key}: the page says {keys[key]}, the code {option.default!r}{' and required' if option.required else ''}"
        for key, option in options.items()
        if key in keys and not agrees(keys[key], option)
    ]


def test_the_page_has_exactly_the_kinds_that_there_are():
    titles = re.findall(r"^### `(\w+)`$", PAGE, re.M)
    assert sorted(titles) == sorted(KINDS)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_keys_and_defaults_of_a_kind(kind):
    assert differences(kind, KINDS[kind].options) == []
    assert re.search(r"\b[Ee]xpects?\b", SECTIONS[kind]), "what is expected is not said"


def test_keys_and_defaults_of_every_probe():
    assert differences("Keys of every probe", COMMON) == []


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
def test_examples_are_valid(kind):
    probes = declare_all(EXAMPLES[kind], Session("file:///nowhere", "documented"))
    assert {probe.kind for probe in probes} == {kind}


def test_the_module_says_a_line_of_every_kind():
    lines = " ".join(documentation("probe")["options"]["probes"]["description"])
    assert [kind for kind in KINDS if f"B({kind})" not in lines] == []


def test_the_page_has_exactly_the_presets_that_there_are():
    section = PAGE.split("## Presets of `http`")[1].split("\n## ")[0]
    found = {
        name: (path.strip("`"), wanted)
        for name, path, wanted in re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", section, re.M)
    }
    assert {name: path for name, (path, _) in found.items()} == {name: preset.path for name, preset in PRESETS.items()}
    for name, preset in PRESETS.items():
        wanted = found[name][1].replace("\\|", "|")
        assert preset.body_matches is None or f"`{preset.body_matches}`" in wanted, name
        assert [path for path in preset.json if f"`{path}` = " not in wanted] == [], name
