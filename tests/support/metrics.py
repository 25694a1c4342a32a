"""The figures that our processes show: their names, kinds and labels, as the code has them and as the page says."""

import importlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import Metric

from tests.support import pages, promql

PAGE = "docs/metrics.md"
_OF_HISTOGRAMS = ("_bucket", "_sum", "_count")
_OF_LIBRARY = ("python_", "process_")


@dataclass(frozen=True)
class Figure:
    """One metric. `labels` are its own, without those that Prometheus adds."""

    name: str
    kind: str
    labels: frozenset[str]
    processes: frozenset[str] = frozenset()


@cache
def documented() -> dict[str, Figure]:
    """All figures of the page, by name."""
    rows = [row for table in pages.tables(pages.read(PAGE)) for row in table]
    figures = [Figure(row["Metric"], row["Kind"], _words(row["Labels"]), _words(row["Processes"])) for row in rows]
    assert len({figure.name for figure in figures}) == len(figures), "one row for each"
    return {figure.name: figure for figure in figures}


@cache
def in_the_code() -> dict[str, Figure]:
    """All figures that the modules of our processes make, but those of collectors that read somebody's state."""
    for module in _MODULES:
        importlib.import_module(module)
    registry: Any = REGISTRY
    found: dict[str, Figure] = {}
    for collector in registry._collector_to_names:
        if hasattr(collector, "_labelnames") and type(collector).__module__.startswith("prometheus_client."):
            for metric in collector.describe():
                figure = Figure(_exposed(metric), metric.type, frozenset(collector._labelnames))
                found[figure.name] = figure
    return found


_MODULES = (
    "edge.__main__",
    "services.auth.__main__",
    "services.billing.__main__",
    "services.catalog.__main__",
    "services.usage.__main__",
)


def shown(metrics: Iterable[Metric]) -> dict[str, Figure]:
    """Figures of a scrape; the labels are those that some sample has."""
    figures = {}
    for metric in metrics:
        labels = {label for sample in metric.samples for label in sample.labels} - {"le"}
        figures[_exposed(metric)] = Figure(_exposed(metric), metric.type, frozenset(labels))
    return figures


def of_a_registry(registry: CollectorRegistry) -> dict[str, Figure]:
    """Figures of a registry as it is now."""
    return shown(registry.collect())


def is_of_the_library(name: str) -> bool:
    """Whether the client library makes it by itself."""
    return name.startswith(_OF_LIBRARY)


def strangers(expression: str, *, besides: Collection[str]) -> list[str]:
    """What an expression asks for that the page does not know: series, or labels of series."""
    unknown = []
    for name, labels in promql.selectors(expression):
        figure = _of_series(name)
        if name in besides:
            continue
        if figure is None:
            unknown.append(name)
            continue
        known = figure.labels | ({"le"} if name.endswith("_bucket") else set())
        unknown += [f"{name}{{{label}}}" for label in labels if label not in known]
    for kept, names in promql.grouping(expression):
        carried = labels_of_series(names) | {"instance", "job", "le"}
        unknown += [f"by ({label}) of {names}" for label in kept if label not in carried and set(names) - set(besides)]
    return unknown


def labels_of(expression: str) -> set[str]:
    """The labels that the series of an expression have."""
    return labels_of_series([name for name, _ in promql.selectors(expression)])


def labels_of_series(names: Iterable[str]) -> set[str]:
    """The labels that these series have of their own."""
    figures = [figure for name in names if (figure := _of_series(name))]
    return {label for figure in figures for label in figure.labels}


def _of_series(name: str) -> Figure | None:
    known = documented()
    for suffix in _OF_HISTOGRAMS:
        base = known.get(name.removesuffix(suffix))
        if name.endswith(suffix) and base is not None and base.kind == "histogram":
            return base
    figure = known.get(name)
    return figure if figure is not None and figure.kind != "histogram" else None


def _exposed(metric: Metric) -> str:
    """The name that its series have."""
    name = metric.name.removesuffix("_total")
    return f"{name}_total" if metric.type == "counter" else metric.name


def _words(cell: str) -> frozenset[str]:
    return frozenset(word.strip(" `") for word in cell.split(",") if word.strip(" `-"))
