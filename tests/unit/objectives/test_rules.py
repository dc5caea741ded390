# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules and made up series, without promtool."""

from __future__ import annotations

import re
import typing as t

import hypothesis
import hypothesis.strategies as st
import pytest
import yaml

from ansible_collections.sre.runbooks.plugins.module_utils._objectives.definition import define
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.made_up import (
    besides,
    matchers_of,
    satisfying,
    series,
)
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.rule_file import as_yaml
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.rules import bad_share, generate, in_prometheus
from tests.unit.objectives.test_definition import INDICATOR, RATIO, THRESHOLD, changed


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("up", "up{}"),
        ('r{code="200"}', 'r{code="200"}'),
        ('r{code!~"5.."}', 'r{code="200"}'),
        ('r{code=~"2..|3.."}', 'r{code="200"}'),
        ('r{code=~"4\\\\d\\\\d", job=~"a.*"}', 'r{code="400", job="a0"}'),
        ("{__name__=\"r\", job='it''s', path!=\"\"}".replace("''", ""), 'r{job="its", path="200"}'),
        ('r{a="{,}", b="\\"x\\""}', 'r{a="{,}", b="\\"x\\""}'),
        ('r{a!="", a!="200", a!="other", a!="1"}', None),
        ('r{a="1", a="2"}', None),
        ("r{a~1}", None),
    ],
)
def test_series_that_a_selector_selects(selector: str, expected: str | None) -> None:
    matchers = matchers_of(selector)
    labels = None if matchers is None else satisfying(matchers)
    assert (None if labels is None else series(labels)) == expected


def test_series_that_one_selector_selects_and_the_other_does_not() -> None:
    total, good = (matchers_of(selector) for selector in ('r{job="a"}', 'r{job="a", code!~"5.."}'))
    assert total and good
    rest = besides(total, good)
    assert rest == {"__name__": "r", "job": "a", "code": "500"}
    assert besides(total, total) is None


def test_the_share_of_bad_events() -> None:
    total = "sum(rate(r_total[5m]))"
    assert bad_share(define(RATIO), 300) == f'1 - (sum(rate(r_total{{code!~"5.{{2}}"}}[5m])) or 0 * {total}) / {total}'
    bad = changed(RATIO, f"{INDICATOR}.ratioMetric", {"bad": "e_total", "total": "r_total", "counter": True})
    assert bad_share(define(bad), 86400) == "sum(rate(e_total[1d])) / sum(rate(r_total[1d]))"
    rates = changed(RATIO, f"{INDICATOR}.ratioMetric", {"good": "a", "total": "b", "counter": False})
    summed = "sum(sum_over_time((b)[1h:1m]))"
    assert bad_share(define(rates), 3600) == f"1 - (sum(sum_over_time((a)[1h:1m])) or 0 * {summed}) / {summed}"
    values = "((sum(rate(r_total[5m])) * 60) > -Inf < +Inf) >= bool 45"
    assert bad_share(define(THRESHOLD), 7200) == (
        f"1 - avg_over_time((avg_over_time(({values})[5m:1m]) >= bool 1)[2h:5m])"
    )
    # A window narrower than a slice looks at the slice that ends with it, and not at nothing.
    wide = changed(THRESHOLD, "spec.objectives.0.timeSliceWindow", "1h")
    assert bad_share(define(wide), 300).endswith("[5m:5m])")


@pytest.mark.parametrize(
    ("value", "written"), [(1048576, "1048576"), (0.1234567, "0.1234567"), ("45", "45"), (-2.50, "-2.5")]
)
def test_a_limit_keeps_all_its_digits(value: t.Any, written: str) -> None:
    objective = define(changed(THRESHOLD, "spec.objectives.0.value", value))
    assert f">= bool {written})" in bad_share(objective, 300)


def test_alerts_have_both_windows_and_no_templates() -> None:
    document = changed(RATIO, "spec.description", "{{ $labels.secret }}")
    (group,) = generate([define(document)])["groups"]
    alerts = [rule for rule in group["rules"] if "alert" in rule]
    assert [alert["labels"].get("window") for alert in alerts] == ["1h", "6h", "1d", "3d", None]
    assert alerts[0]["expr"] == (
        'slo:bad:ratio_rate1h{slo="api_availability"} > 14.4 * 0.0005'
        ' and ignoring(__name__) slo:bad:ratio_rate5m{slo="api_availability"} > 14.4 * 0.0005'
    )
    assert not re.search(r"\{\{", str(alerts))


PLAIN = st.recursive(
    st.one_of(st.text(max_size=8), st.integers(), st.booleans(), st.none()),
    lambda inner: st.one_of(
        st.lists(
            st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), inner, min_size=1, max_size=3), max_size=3
        ),
        st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), inner, min_size=1, max_size=3),
    ),
    max_leaves=8,
)


@hypothesis.given(st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), PLAIN, min_size=1, max_size=3))
@hypothesis.settings(max_examples=60)
def test_plain_data_as_yaml_is_the_same_data(document: dict[str, t.Any]) -> None:
    # Names such as on and null are texts to us and not to YAML; a file of rules has none.
    hypothesis.assume(not re.search(r"'(on|off|yes|no|y|n|null|true|false)'", str(document)))
    assert yaml.safe_load(as_yaml(document)) == document


@pytest.mark.parametrize(("seconds", "text"), [(300, "5m"), (3600.0, "1h"), (259200, "3d"), (90, "90s"), (5400, "90m")])
def test_durations(seconds: float, text: str) -> None:
    assert in_prometheus(seconds) == text
