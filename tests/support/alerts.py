"""Alert rules as Prometheus would judge them, and the cases of `promtool test rules` that they are judged by."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import promql_parser as promql
import yaml

from tests.support.promql import Labels, Samples, World, selectors

PROMETHEUS = Path(__file__).parents[2] / "deploy/monitoring/prometheus"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Alert:
    """One rule."""

    name: str
    file: str
    expression: str
    for_s: int
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    def firing(self, world: World, *, until_s: int, every_s: int) -> list[Labels]:
        """What fires at the end, after an evaluation at every step up to there."""
        since: dict[Labels, int] = {}
        if not world.has_any(name for name, _ in selectors(self.expression)):
            return []
        for now_s in range(0, until_s + 1, every_s):
            found = world.at(self.expression, now_s)
            since = {labels: since.get(labels, now_s) for labels in found}
        return [labels for labels, begun_s in since.items() if until_s - begun_s >= self.for_s]


@dataclass(frozen=True)
class Case:
    """Series, and what fires at a time because of them: alerts with the number of their instances."""

    name: str
    world: World
    at_s: int
    every_s: int
    firing: Mapping[str, int] = field(default_factory=dict)


def seconds(text: str) -> int:
    """A duration such as `15m`."""
    return int(text[:-1]) * _UNITS[text[-1]]


def alerts() -> list[Alert]:
    """All rules, in the order of their files."""
    return [
        Alert(
            rule["alert"], path.name, rule["expr"], seconds(rule.get("for", "0s")), rule["labels"], rule["annotations"]
        )
        for path in sorted((PROMETHEUS / "rules").glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


def cases() -> Iterator[Case]:
    """All cases of all files."""
    for path in sorted((PROMETHEUS / "tests").glob("*.yml")):
        content = yaml.safe_load(path.read_text())
        for test in content["tests"]:
            (asked,) = test["promql_expr_test"]
            assert asked["expr"] == 'count by (alertname) (ALERTS{alertstate="firing"})', test["name"]
            yield Case(
                test["name"],
                World(dict(_series(one, seconds(test["interval"])) for one in test["input_series"])),
                seconds(asked["eval_time"]),
                seconds(content["evaluation_interval"]),
                {_labels(each["labels"])["alertname"]: each["value"] for each in asked["exp_samples"]},
            )


def _series(given: Mapping[str, Any], interval_s: int) -> tuple[Labels, Samples]:
    values = list(_values(given["values"]))
    labels = _labels(given["series"])
    return frozenset(labels.items()), [(at * interval_s, value) for at, value in enumerate(values)]


def _labels(series: str) -> dict[str, str]:
    selector: Any = promql.parse(series)
    named = {"__name__": str(selector.name)} if selector.name else {}
    return named | {one.name: one.value for one in selector.matchers.matchers}


def _values(notation: str) -> Iterator[float]:
    """`3x4` is five times 3, `0+2x4` is 0, 2, 4, 6, 8."""
    for word in notation.split():
        found = re.fullmatch(r"(\d+)(?:\+(\d+))?(?:x(\d+))?", word)
        assert found, word
        start, step, times = int(found[1]), int(found[2] or 0), int(found[3] or 0)
        yield from (float(start + step * index) for index in range(times + 1))
