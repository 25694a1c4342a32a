"""What follows from probes: which route is the better one, and how long a model that loads may take."""

import asyncio

import httpx
import pytest

from edge.lookup.catalogue import Route, Upstream
from edge.upstream.getter import Getter
from edge.upstream.looks import LOADED, MISSING, NOT_LOADED, UNKNOWN, Look, Looks
from edge.upstream.probing import probe
from tests.support.processes import renewed
from tests.support.waiting import eventually

ROUTE = Route("gpu1", "gemma4", 1, 0, first_byte_timeout_s=30.0)
HAS = frozenset({"gemma4:latest", "qwen3:0.6b"})
COLD = Look(healthy=True, models=HAS)
WARM = Look(healthy=True, models=HAS, loaded=frozenset({"gemma4:latest"}))
DEAD = Look(healthy=False, why="no answer")


def seen(*looks: Look, every_s: float = 10.0) -> Looks:
    """Looks at gpu1, one after the other, from 0 s on."""
    known = Looks(load_s=900.0)
    for number, look in enumerate(looks):
        known.note("gpu1", look, now_s=number * every_s)
    return known


@pytest.mark.parametrize(
    "look, rank",
    [
        (WARM, LOADED),
        (Look(healthy=True), LOADED),
        (DEAD, UNKNOWN),
        (COLD, NOT_LOADED),
        (Look(healthy=True, models=frozenset({"qwen3:0.6b"})), MISSING),
    ],
)
def test_a_route_ranks_by_what_its_upstream_has_loaded(look: Look, rank: int) -> None:
    assert seen(look).rank(ROUTE) == rank


def test_an_upstream_that_was_never_looked_at_is_unknown() -> None:
    assert seen().rank(ROUTE) == UNKNOWN
    assert LOADED < UNKNOWN < NOT_LOADED < MISSING


def test_several_hosts_are_ordered_by_the_model_not_by_the_host() -> None:
    known = Looks()
    known.note("gpu1", Look(healthy=True, models=HAS, loaded=frozenset({"qwen3:0.6b"})), now_s=0)
    known.note("gpu2", WARM, now_s=0)
    routes = [Route(name, model, 1, 0) for name in ("gpu1", "gpu2") for model in ("gemma4:latest", "qwen3:0.6b")]
    assert [known.rank(route) for route in routes] == [NOT_LOADED, LOADED, LOADED, NOT_LOADED]


def test_a_model_that_is_loaded_gets_the_limit_of_its_route() -> None:
    known = seen(WARM)
    assert (known.is_loading(ROUTE, now_s=1), known.first_byte_s(ROUTE, now_s=1)) == (False, 30.0)


def test_a_model_that_is_not_loaded_gets_the_time_to_load() -> None:
    known = seen(COLD)
    assert (known.is_loading(ROUTE, now_s=1), known.first_byte_s(ROUTE, now_s=1)) == (True, 900.0)


def test_a_route_that_is_more_patient_than_that_stays_so() -> None:
    patient = Route("gpu1", "gemma4", 1, 0, first_byte_timeout_s=2000.0)
    assert seen(COLD).first_byte_s(patient, now_s=1) == 2000.0


def test_a_model_still_counts_as_loading_when_it_is_first_listed() -> None:
    known = seen(COLD, WARM)
    assert known.is_loading(ROUTE, now_s=11)
    assert known.is_loading(ROUTE, now_s=900)
    assert not known.is_loading(ROUTE, now_s=901)


def test_a_first_byte_proves_that_it_is_loaded() -> None:
    known = seen(COLD, WARM)
    known.note_answer(ROUTE)
    assert known.first_byte_s(ROUTE, now_s=11) == 30.0


def test_a_model_that_was_unloaded_since_gets_its_time_again() -> None:
    known = seen(COLD, WARM)
    known.note_answer(ROUTE)
    known.note("gpu1", COLD, now_s=20)
    assert known.first_byte_s(ROUTE, now_s=21) == 900.0


def test_a_probe_that_failed_takes_nothing_of_what_is_known() -> None:
    known = seen(COLD, DEAD)
    assert known.of("gpu1") == Look(healthy=False, models=HAS, why="no answer")
    assert known.first_byte_s(ROUTE, now_s=11) == 900.0


def test_a_server_that_does_not_load_is_never_loading() -> None:
    known = seen(Look(healthy=True))
    assert known.first_byte_s(ROUTE, now_s=1) == 30.0


def test_an_upstream_that_has_left_the_catalogue_is_forgotten() -> None:
    known = seen(COLD)
    known.note("gpu2", WARM, now_s=0)
    known.forget_others({"gpu2"})
    assert (known.of("gpu1"), known.of("gpu2")) == (None, WARM)
    assert not known.is_loading(ROUTE, now_s=1)


async def test_a_request_outlives_its_routes_limit_while_a_real_ollama_loads(ollama_url: str, getter: Getter) -> None:
    """As the hot path does it: a timer looks at the clock, and asks for the limit each time."""
    renewed(ollama_url, load_s=1.5)
    upstream = Upstream("gpu1", "ollama", ollama_url, "")
    route = Route("gpu1", "gemma4", 1, 0, first_byte_timeout_s=0.1)
    known, clock = Looks(load_s=30.0), asyncio.get_running_loop().time
    body = {"model": "gemma4", "messages": [{"role": "user", "content": "Hi."}], "max_tokens": 1}

    async def listed() -> bool:
        known.note("gpu1", await probe(upstream, getter), now_s=clock())
        return known.rank(route) == LOADED

    assert not await listed()
    async with httpx.AsyncClient() as http:
        started_s = clock()
        answer = asyncio.create_task(http.post(f"{ollama_url}/v1/chat/completions", json=body, timeout=20))
        await eventually(listed, what="the model to be listed, before it can answer")
        while not answer.done():
            now_s = clock()
            assert now_s - started_s <= known.first_byte_s(route, now_s=now_s)
            await asyncio.sleep(0.02)
        assert (await answer).status_code == 200
    assert clock() - started_s > route.first_byte_timeout_s
    known.note_answer(route)
    assert known.first_byte_s(route, now_s=clock()) == 0.1
