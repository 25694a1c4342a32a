"""Grafana dashboards: they can be loaded together, and every picture is of figures that exist."""

import json
import re
from typing import Any

import pytest

from tests.support import metrics
from tests.support.pages import ROOT

FILES = sorted((ROOT / "deploy/monitoring/grafana/dashboards").glob("*.json"))
OF_PROMETHEUS = {"up", "ALERTS"}
# What Grafana puts there; any time will do to parse it.
INTERVAL = ("$__rate_interval", "5m")


def read(name: str) -> dict[str, Any]:
    (path,) = (file for file in FILES if file.stem == name)
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def queries(dashboard: dict[str, Any]) -> list[str]:
    return [target["expr"].replace(*INTERVAL) for panel in dashboard["panels"] for target in panel.get("targets", ())]


def test_there_are_three_with_ids_of_their_own() -> None:
    assert [file.stem for file in FILES] == ["money", "service", "upstreams"]
    assert len({read(file.stem)["uid"] for file in FILES}) == 3
    assert len({read(file.stem)["title"] for file in FILES}) == 3


@pytest.mark.parametrize("name", ["money", "service", "upstreams"])
def test_panels_have_ids_titles_and_places_of_their_own(name: str) -> None:
    panels = read(name)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    titles = [panel["title"] for panel in panels]
    assert sorted(titles) == sorted(set(titles))
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert taken.isdisjoint(cells), panel["title"]
        taken |= cells


@pytest.mark.parametrize("name", ["money", "service", "upstreams"])
def test_every_picture_is_of_figures_that_exist(name: str) -> None:
    dashboard = read(name)
    asked = queries(dashboard)
    assert len(asked) > 10
    assert {query: found for query in asked if (found := metrics.strangers(query, besides=OF_PROMETHEUS))} == {}


@pytest.mark.parametrize("name", ["money", "service", "upstreams"])
def test_legends_and_variables_name_labels_that_there_are(name: str) -> None:
    dashboard = read(name)
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            told = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            kept = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", target["expr"]))))
            assert told <= kept, panel["title"]
            assert set(re.findall(r"=~\"\$(\w+)\"", target["expr"])) <= set(variables), panel["title"]
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    for variable in variables.values():
        if variable["type"] == "query":
            series, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"]).groups()  # type: ignore[union-attr]
            assert label in metrics.labels_of_series([series]), variable["name"]


def test_every_figure_of_ours_is_looked_at_somewhere() -> None:
    text = "".join(file.read_text() for file in FILES)
    unseen = [name for name in metrics.documented() if not metrics.is_of_the_library(name) and name not in text]
    assert unseen == []
