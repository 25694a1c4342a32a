"""docs/metrics.md: every figure that a process shows, as it shows it, and no other."""

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support import metrics
from tests.telemetry.observed import Observed
from tests.telemetry.people import People

PROCESSES = ("edge", "auth", "billing", "catalog", "usage")
# A counter's time of birth, which the client library adds.
BIRTH = "_created"


async def scraped(system: Observed, process: str) -> tuple[dict[str, metrics.Figure], set[str]]:
    """All figures of a process, and the names of those that have a series."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(system.metrics_urls[process])).text
    families = list(text_string_to_metric_families(text))
    found = {name: figure for name, figure in metrics.shown(families).items() if not name.endswith(BIRTH)}
    return found, set(metrics.shown(family for family in families if family.samples))


@pytest.mark.parametrize("process", PROCESSES)
async def test_a_process_shows_what_the_page_says(system: Observed, people: People, process: str) -> None:
    person = await people.person("counted")
    body = {"model": "privaterouter/fast", "messages": [{"role": "user", "content": "Hi."}], "max_tokens": 5}
    answer = await people.http.post("/v1/chat/completions", json=body, headers=person.key)
    assert answer.status_code == 200, answer.text
    found, sampled = await scraped(system, process)
    documented = {name: figure for name, figure in metrics.documented().items() if process in figure.processes}
    assert sorted(set(documented) - set(found)) == []
    # What a module counts that the process never uses has a name, and no series.
    assert sorted(name for name in set(found) - set(documented) if name in sampled) == []
    for name, figure in documented.items():
        assert found[name].kind == figure.kind, name
        assert found[name].labels in (set(), figure.labels), name


def test_the_page_has_the_labels_of_the_code() -> None:
    documented = metrics.documented()
    for name, figure in metrics.in_the_code().items():
        assert (documented[name].kind, documented[name].labels) == (figure.kind, figure.labels), name


async def test_no_label_grows_with_those_who_call(system: Observed, people: People) -> None:
    async def series() -> set[tuple[str, frozenset[tuple[str, str]]]]:
        async with httpx.AsyncClient() as client:
            text = (await client.get(system.metrics_urls["edge"])).text
        return {
            (sample.name, frozenset(sample.labels.items()))
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    async def come_and_call(name: str) -> None:
        person = await people.person(name)
        for model in ("privaterouter/fast", f"no/{name}"):
            body = {"model": model, "messages": [{"role": "user", "content": name}], "user": name, "max_tokens": 2}
            await people.http.post("/v1/chat/completions", json=body, headers=person.key)
        await people.http.get(f"/nowhere/{name}")

    await come_and_call("first")
    before = await series()
    await come_and_call("second")
    assert await series() == before
