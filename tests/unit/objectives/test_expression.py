# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What makes an expression look good without data is told from what only looks like it."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._objectives.expression import presence, refused


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        ('vector(50) and on() (up{job="api"} @ 1795302343)', "vector(…)"),
        ("up @ 1795302343", '"@"'),
        ('up{job="a"}@end()', '"@"'),
        ("sum(rate(r_total[5m] @ start()))", '"@"'),
        ("r_total offset 5m", '"offset"'),
        ("sum(rate(r_total[5m] OFFSET 1w))", '"OFFSET"'),
        ('r{a="b"}offset -5m', '"offset"'),
        ("offset offset 5m", '"offset"'),
        ("(rate(r_total[5m]))[1h:1m] offset 1d # yesterday", '"offset"'),
        ("sum by (job) (r_total offset 300)", '"offset"'),
        ("sum(r_total) or vector(0)", "vector(…)"),
        ("sum(r_total) or on () Vector (0)", "Vector(…)"),
        ("1 - absent(r_total)", "absent(…)"),
        ("absent_over_time(r_total[5m])", "absent_over_time(…)"),
        ('r_total{job="api"', "this { has no other one"),
        ('r_total{job="api}', "this { has no other one"),
        ("r_total[5m", "this [ has no other one"),
        ("rate(r_total[5m]", "this ( has no other one"),
        ("sum by (job) (rate(r_total[5m])))", "this ) has no other one"),
        ("1", "names series"),
        ("time() - 5", "names series"),
        ("sum by (job) (1)", "names series"),
        ("-Inf", "names series"),
    ],
)
def test_what_is_refused(expression: str, named: str) -> None:
    expected = refused(expression)
    assert expected is not None and named in expected


@pytest.mark.parametrize(
    "expression",
    [
        "offset_total",
        "kafka:offset:rate5m",
        "offset",
        "offset - 5",
        "a / on (offset) offset - 5",
        "a and offset - 5",
        "sum by (offset) (a)",
        "sum(a) by (offset) - 5",
        'mail{address="a@b.example", note="offset 5m or vector(0)"}',
        "mail{address='it\\'s a@b'}",
        "mail{address=~`a@.*\\`}",
        '{"metric@name", job="a"}',
        "r_total # as of last week: offset 1w @ 5, vector(1)",
        'label_replace(up, "a", "x @ offset 5m", "b", "(.*)")',
        "vector_total / absent",
        "sum(rate(r_total[5m])) or sum(rate(old_total[5m]))",
        "sum(rate(e[5m])) or 0 * sum(rate(r_total[5m]))",
        "histogram_quantile(0.95, sum by (le) (rate(b[5m]))) * 1e3",
    ],
)
def test_what_only_looks_like_it(expression: str) -> None:
    assert refused(expression) is None


@hypothesis.given(st.text(alphabet="a@\"'`\\{}[]()offset 5#\n", max_size=30))
def test_any_text_can_be_asked_about(text: str) -> None:
    refused(text, compared=True)
    presence(text)


@hypothesis.given(st.text(alphabet=st.characters(exclude_characters='"\\', codec="utf-8"), max_size=20))
def test_what_stands_in_a_text_is_no_modifier(text: str) -> None:
    assert refused(f'r{{a="{text} @ offset 5m"}}') is None
    assert '"offset"' in str(refused(f'r{{a="{text}"}} offset 5m'))


@pytest.mark.parametrize(
    ("expression", "operator"),
    [
        ("p95 < 2", "<"),
        ("sum(r) by (job) >= on (job) b", ">="),
        ("p95 <= bool 2", None),
        ("sum(p95 < 2)", None),
        ("a / (b > 0)", None),
        ("p95 unless on() maintenance == 1", None),
        ('p95{a="x < 2"}', None),
    ],
)
def test_a_comparison_that_leaves_out_what_is_bad(expression: str, operator: str | None) -> None:
    expected = refused(expression, compared=True)
    assert refused(expression) is None
    assert f'without "{operator}"' in expected if operator and expected else expected is operator


@pytest.mark.parametrize(
    ("expression", "question"),
    [
        ("p95", None),
        ("sum(rate(r_total[5m]))", None),
        ("sum(rate(r_total[300]))", None),
        ("rate(a[5m1s])", "count(a)"),
        ('max_over_time(a{b="[1d]"}[1d])', 'count(a{b="[1d]"})'),
        ('max_over_time({b="c"}[1w])', 'count({b="c"})'),
        ("rate(a[1h]) / rate(b[2h]) + c", "count(a) and count(b)"),
        ("rate(a[1h]) or rate(b[2h])", "count(a) or count(b)"),
        ("max_over_time((sum by (job) (rate(a[5m])) / b)[1d:5m])", "count(a) and count(b)"),
        ("avg_over_time(sum(a)[1d:])", "count(a)"),
        ("rate(a[$__range])", "count(a)"),
        ("avg_over_time(a[5m]) + max_over_time(a[1d]) + max_over_time(a[2d])", "count(a)"),
    ],
)
def test_what_outlives_its_data_is_asked_about(expression: str, question: str | None) -> None:
    assert presence(expression) == question
