"""Alert rules: each can fire and can be silent, looks at figures that exist, and has its page in the runbooks."""

import re

import pytest

from tests.support import alerts, metrics, pages, promql

RULES = alerts.alerts()
CASES = list(alerts.cases())
OF_PROMETHEUS = {"up", "ALERTS"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_fires_is_what_should(case: alerts.Case) -> None:
    firing = {
        rule.name: len(found)
        for rule in RULES
        if (found := rule.firing(case.world, until_s=case.at_s, every_s=case.every_s))
    }
    assert firing == case.firing


def test_each_alert_is_shown_to_fire_and_to_be_silent() -> None:
    assert {f"{rule.name} fires" for rule in RULES} <= {case.name for case in CASES}
    assert {f"{rule.name} does not fire" for rule in RULES} <= {case.name for case in CASES}
    assert all((case.name.endswith(" fires")) == (case.name.split()[0] in case.firing) for case in CASES)


def test_names_are_unique_and_severities_are_two() -> None:
    names = [rule.name for rule in RULES]
    assert sorted(names) == sorted(set(names))
    assert {rule.labels["severity"] for rule in RULES} == {"critical", "warning"}
    assert all(set(rule.labels) == {"severity"} for rule in RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_it_looks_at_figures_that_exist_with_those_labels(rule: alerts.Alert) -> None:
    assert metrics.strangers(rule.expression, besides=OF_PROMETHEUS) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_its_words_name_labels_that_it_has(rule: alerts.Alert) -> None:
    assert set(rule.annotations) == {"summary", "runbook_url"}
    told = set(re.findall(r"\$labels\.(\w+)", rule.annotations["summary"]))
    kept = {label for labels, _ in promql.grouping(rule.expression) for label in labels}
    aggregated = bool(re.search(r"\b(sum|max|min|count)\b", rule.expression))
    assert told <= (kept if aggregated else metrics.labels_of(rule.expression) | {"instance", "job"})


def test_every_alert_has_a_page_in_the_runbooks_and_every_page_an_alert() -> None:
    text = pages.read("docs/runbooks.md")
    written = re.findall(r"^### (\w+)$", text, re.MULTILINE)
    assert sorted(written) == sorted(rule.name for rule in RULES)
    for rule in RULES:
        assert rule.annotations["runbook_url"] == f"docs/runbooks.md#{rule.name.lower()}"


def test_every_page_says_what_it_means_how_to_look_and_what_to_do() -> None:
    text = pages.read("docs/runbooks.md")
    for name, page in re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL):
        assert "**Means" in page, name
        assert "do:**" in page.lower(), name
        assert "look" in page.lower() or "the same" in page, name
