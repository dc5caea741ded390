# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page of a report and its Markdown: complete, aligned, and harmless whatever a component is called."""

from __future__ import annotations

import pathlib
import re
import sys
import typing as t

import hypothesis
import hypothesis.strategies as st
import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._runs.markup import Html, tag
from ansible_collections.sre.runbooks.plugins.module_utils._runs.render_html import render_html
from ansible_collections.sre.runbooks.plugins.module_utils._runs.render_markdown import render_markdown

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from page import Page
from sample_report import HOSTILE, health_report, rebuild_report, troubled_report

ELEMENTS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "main",
    "div",
    "span",
    "b",
    "code",
    "section",
    "svg",
    "path",
    "h1",
    "h2",
    "h3",
    "p",
    "dl",
    "dt",
    "dd",
    "article",
    "header",
    "ol",
    "ul",
    "li",
    "i",
    "table",
    "tr",
    "th",
    "td",
    "footer",
}


def with_text(report: t.Any, text: str) -> t.Any:
    """The report with ``text`` for every name and message from outside."""
    if isinstance(report, dict):
        return {key: with_text(value, text) for key, value in report.items()}
    if isinstance(report, list):
        return [with_text(value, text) for value in report]
    return text if report == HOSTILE else report


@pytest.mark.parametrize(
    "report", [rebuild_report(), troubled_report(), health_report()], ids=["rebuild", "troubled", "health"]
)
def test_page_is_self_contained(report: dict[str, t.Any]) -> None:
    source = render_html(report)
    page = Page(source)
    assert page.elements <= ELEMENTS
    assert not [name for name, value in page.attributes if name in ("src", "href", "srcset") or name.startswith("on")]
    assert "url(" not in source and "@import" not in source
    assert "default-src 'none'" in dict(page.attributes)["content"] or any(
        "default-src 'none'" in value for name, value in page.attributes if name == "content"
    )


def test_page_shows_what_was_measured_and_lost() -> None:
    text = Page(render_html(rebuild_report())).text
    for shown in (
        "Objectives met",
        "41 s",
        "target 5 m",
        "1 m 08 s",
        "118, 119, 120",
        "asserted",
        "load flights",
        "2027-02-19",
    ):
        assert shown in text, shown


def test_page_shows_trouble() -> None:
    text = Page(render_html(troubled_report())).text
    for shown in ("Run failed", "21 m 51 s", "≤ 31 m 40 s", "not measured", "cut off", "sha256 differs", "Grace H."):
        assert shown in text, shown


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(
    st.text(min_size=1, max_size=40)
    | st.sampled_from(["<img src=x onerror=1>", "</style>", "' onclick='x", "]]>", "<!--"])
)
def test_no_text_becomes_markup(text: str) -> None:
    page = Page(render_html(with_text(troubled_report(), text)))
    assert page.elements <= ELEMENTS
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "href")]


@hypothesis.given(st.text())
def test_tag_escapes_text_and_attributes(text: str) -> None:
    page = Page(tag("p", text, title=f'{text}" onclick="x'))
    assert page.elements == {"p"}
    assert [name for name, _ in page.attributes] == ["title"]
    assert isinstance(tag("p", text), Html)


def test_markdown_is_complete_and_escaped() -> None:
    text = render_markdown(troubled_report())
    assert text.startswith("# Run failed: drill\\_restores of production\n")
    assert "<script" not in text.replace("\\<script", "")
    outside = re.sub(r"`[^`]*`", "", text)
    assert "](http" not in text and "@all" not in outside and "://" not in outside and "\x1b" not in text
    for line in text.splitlines():
        if line.startswith("| "):
            assert re.search(r"[^\\]\|$", line)
    assert "118, 119, 120" in render_markdown(rebuild_report())


def test_what_is_copied_out_of_markdown_is_what_was_said() -> None:
    said = {
        "no answer from https://a_b.example/x_y?z=1, tell user@example.com": [
            "https://a_b.example/x_y?z=1",
            "user@example.com",
        ],
        "(postgresql://u_1@h:5432/db) is down": ["postgresql://u_1@h:5432/db"],
        'x; next: mend it: ansible-playbook -i /srv/a_b -e \'{"a": "b c"}\' sre.runbooks.x --limit a_b; report: file:///r_1': [
            'ansible-playbook -i /srv/a_b -e \'{"a": "b c"}\' sre.runbooks.x --limit a_b',
            "file:///r_1",
        ],
        "see www.example.com.": ["www.example.com"],
        "curl 'http://h/?a=1'": ["http://h/?a=1"],
        "@all": ["@all"],
        "a `b|@c` https://x|y": ["@c", "https://x"],
        "a_b at 5": [],
    }
    for text, copied in said.items():
        report = troubled_report()
        report["findings"] = [{"severity": "failure", "component": None, "text": text}]
        rendered = render_markdown(report)
        (line,) = [line for line in rendered.splitlines() if line.startswith("- **failure**")]
        assert re.findall(r"(?<!\\)`([^`]*)`", line) == copied, line
        assert rendered.isascii() or "\u200b" not in rendered


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ("curl -sv -m 5 http://127.0.0.1:58819/a_b", "`curl -sv -m 5 http://127.0.0.1:58819/a_b`"),
        (
            'printf \'x = "%s"\\n\' "$(cat /a_b)" | curl -K - http://h',
            '`printf \'x = "%s"\\n\' "$(cat /a_b)" | curl -K - http://h`',
        ),
        ("ls `pwd`", "`` ls `pwd` ``"),
        ("kill -9 $(cat a_b); probe 2 is wrong_", "`kill -9 $(cat a_b)`; probe 2 is wrong\\_"),
        ("dig a_b; report: file:///r_1", "`dig a_b`; report: `file:///r_1`"),
        ("dig a_b; archive: it is_", "`dig a_b`; archive: it is\\_"),
        ("dig a_b; and 2 more", "`dig a_b`; and 2 more"),
    ],
    ids=["address", "pipe", "quotes", "then-another", "then-the-report", "then-the-archive", "then-others"],
)
def test_what_is_next_is_code_as_a_whole_and_nothing_in_it_is_escaped(step: str, code: str) -> None:
    report = troubled_report()
    report["findings"] = [{"severity": "failure", "component": "a_b", "text": f"no a_b; found: x; next: {step}"}]
    (line,) = [line for line in render_markdown(report).splitlines() if line.startswith("- **failure**")]
    assert line == f"- **failure** a\\_b: no a\\_b; found: x; next: {code}"


def test_markdown_says_what_probes_measured() -> None:
    (line,) = [line for line in render_markdown(health_report()).splitlines() if "has space" in line]
    assert "| 61 % | " in line


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(st.text(min_size=1, max_size=40))
def test_markdown_tables_keep_their_columns(text: str) -> None:
    rendered = render_markdown(with_text(troubled_report(), text))
    tables = re.findall(r"(?:^\|.*\|$\n?)+", rendered, re.MULTILINE)
    for table in tables:
        columns = {len(re.findall(r"(?<!\\)\|", re.sub(r"\\\\", "", line))) for line in table.strip().splitlines()}
        assert len(columns) == 1, table
