"""One upstream fails and another is fine: the client sees one good answer, and the record tells of both."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from edge.lookup.catalogue import Route
from edge.money.records import Record, Status
from edge.upstream.members import FAILURES
from edge.v1.exchange import Patience
from tests.edge.v1.conftest import PATIENCE
from tests.edge.v1.gateway import PRICE, ROUTE, Gateway, model, running_gateway
from tests.edge.v1.test_stream import events
from tests.support.waiting import eventually

FINE: dict[str, Any] = {"tokens": 3}
COST = 7 * 100 + 3 * 300
DEAR = replace(
    PRICE,
    version_id="price-dear",
    input_nanos_per_mtok=10 * PRICE.input_nanos_per_mtok,
    output_nanos_per_mtok=10 * PRICE.output_nanos_per_mtok,
)


def route(name: str, position: int = 0) -> Route:
    return replace(ROUTE, upstream_name=name, position=position)


@asynccontextmanager
async def rerouting(upstream_url: str, patience: Patience) -> AsyncIterator[Gateway]:
    """A gateway in front of several upstreams; when the test is over nothing runs and nothing is held."""
    async with running_gateway(upstream_url, patience=patience) as running:
        snapshot = running.catalogue.snapshot
        default = snapshot.upstreams["default"]
        upstreams = {
            name: replace(default, name=name, base_url=f"{upstream_url}/{name}")
            for name in ("first", "second", "third")
        }
        upstreams["down"] = snapshot.upstreams["down"]
        upstreams["small"] = replace(upstreams["first"], name="small", max_in_flight=1, max_queued=1)
        upstreams["narrow"] = replace(upstreams["first"], name="narrow", max_in_flight=1, max_queued=20)
        models = [
            model("test/two", routes=(route("first"), route("second", 1))),
            model("test/down", routes=(route("down"), route("second", 1))),
            model("test/full", routes=(route("small"), route("second", 1))),
            model("test/queue", routes=(route("narrow"), route("second", 1))),
            model("test/narrow", routes=(route("narrow"),)),
            model("test/main", routes=(route("first"),), fallback_models=("test/dear",)),
            model("test/dear", routes=(route("third"),), price=DEAR),
            model("test/lost", routes=(route("down"),), fallback_models=("test/also",)),
            model("test/also", routes=(replace(route("down"), upstream_model="other"),)),
        ]
        named = {one.public_name: one for one in models}
        plan = replace(snapshot.plans["test"], allowed_models=frozenset(named))
        running.catalogue.snapshot = replace(snapshot, models=named, plans={"test": plan}, upstreams=upstreams)
        yield running
        assert len(running.running) == 0
        assert running.purse.held == set()


@pytest.fixture
async def gateway(upstream_url: str) -> AsyncIterator[Gateway]:
    """One that keeps a silent stream alive as rarely as the real one."""
    async with rerouting(upstream_url, PATIENCE) as running:
        yield running


@pytest.fixture
async def beating(upstream_url: str) -> AsyncIterator[Gateway]:
    """One that keeps a silent stream alive every 0.8 s."""
    async with rerouting(upstream_url, replace(PATIENCE, keep_alive_s=0.8)) as running:
        yield running


def attempts(record: Record) -> list[tuple[str, int, str]]:
    return [(tried.upstream_name, tried.http_status, tried.error_code) for tried in record.attempts]


async def text_of(response: Any, *, stream: bool) -> tuple[str, set[str]]:
    """What an answer says, and under which model's name."""
    if not stream:
        answer = await response.json()
        return answer["choices"][0]["message"]["content"], {answer["model"]}
    got = await events(response)
    assert got[-1] == "[DONE]"
    return "".join(one["choices"][0]["delta"].get("content", "") for one in got[:-1]), {
        one["model"] for one in got[:-1]
    }


FAULTS: dict[str, tuple[str, dict[str, Any], tuple[str, int, str]]] = {
    "down": ("test/down", {}, ("down", 0, "upstream_unavailable")),
    "500": ("test/two", {"status": 500}, ("first", 500, "upstream_failed")),
    "503": ("test/two", {"status": 503}, ("first", 503, "upstream_failed")),
    "busy": ("test/two", {"status": 429, "headers": {"retry-after": "9"}}, ("first", 429, "upstream_unavailable")),
    "our credential": ("test/two", {"status": 401}, ("first", 401, "upstream_failed")),
    "its model": ("test/two", {"status": 404}, ("first", 404, "upstream_failed")),
    "a redirect": ("test/two", {"status": 302, "headers": {"location": "/x"}}, ("first", 302, "upstream_failed")),
    "silent": ("test/two", {"before_headers_s": 30}, ("first", 0, "upstream_timeout")),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
async def test_another_upstream_answers_in_the_place_of_one_that_fails(
    gateway: Gateway, fault: str, stream: bool
) -> None:
    name, script, failed = FAULTS[fault]
    if fault == "silent":
        gateway.hurry("first")
    async with gateway.post(model=name, stream=stream, script={"at": {"first": script, "second": FINE}}) as response:
        assert response.status == 200
        assert "retry-after" not in response.headers
        assert "x-privaterouter-model" not in response.headers
        assert await text_of(response, stream=stream) == ("tok tok tok ", {name})
    (record,) = gateway.purse.final
    assert attempts(record) == [failed, ("second", 200, "")]
    assert (record.status, record.upstream_name, record.error_code) == (Status.SUCCESS, "second", "")
    assert (record.cost_nanos, record.http_status, record.served_model_public_name) == (COST, 200, "")
    assert gateway.purse.balance_nanos == 10**12 - COST


@pytest.mark.parametrize("stream", [False, True])
async def test_an_upstream_whose_queue_is_full_is_passed_over(gateway: Gateway, stream: bool) -> None:
    script = {"at": {"first": {"before_headers_s": 0.5, "tokens": 1}, "second": FINE}}

    async def ask() -> None:
        async with gateway.post(model="test/full", script=script) as response:
            assert response.status == 200

    occupying = [asyncio.create_task(ask()) for _ in range(2)]
    await eventually(lambda: _in_flight(gateway, 2), what="the only slot to be taken, and the place in its queue")
    async with gateway.post(model="test/full", stream=stream, script=script) as response:
        assert (await text_of(response, stream=stream))[0] == "tok tok tok "
    await asyncio.gather(*occupying)
    served = sorted(record.upstream_name for record in gateway.purse.final)
    assert served == ["second", "small", "small"]
    assert [attempts(record) for record in gateway.purse.final] == [[], [], []]


async def _in_flight(gateway: Gateway, count: int) -> bool:
    return len(gateway.running) == count


async def eject_narrow(gateway: Gateway, *, waiting: int, script: dict[str, Any], **fields: Any) -> list[str]:
    """Has it fail for the fifth time while others wait for its only slot; their answers."""
    failing = {"at": {"first": {"status": 500}, "second": FINE}}
    for _ in range(FAILURES - 1):
        async with gateway.post(model="test/narrow", script=failing) as response:
            assert response.status == 502

    async def last() -> None:
        late = {"at": {"first": {"status": 500, "before_headers_s": 0.8}, "second": FINE}}
        async with gateway.post(model="test/narrow", script=late) as response:
            assert response.status == 502

    async def ask() -> str:
        async with gateway.post(script=script, **fields) as response:
            assert response.status == 200
            return (await text_of(response, stream=fields.get("stream", False)))[0]

    async with asyncio.TaskGroup() as group:
        group.create_task(last())
        await eventually(lambda: _in_flight(gateway, 1), what="the only slot to be taken")
        asked = [group.create_task(ask()) for _ in range(waiting)]
    return [task.result() for task in asked]


@pytest.mark.parametrize("stream", [False, True])
async def test_who_waits_for_an_upstream_that_is_ejected_goes_elsewhere_and_is_no_retry(
    gateway: Gateway, stream: bool
) -> None:
    """Twelve at the same time are more than the budget of retries allows."""
    script = {"at": {"first": {"before_headers_s": 30}, "second": {**FINE, "before_headers_s": 0.9}}}
    answers = await eject_narrow(gateway, waiting=12, script=script, model="test/queue", stream=stream)
    assert answers == ["tok tok tok "] * 12
    served = [record for record in gateway.purse.final if record.status is Status.SUCCESS]
    moved = [("narrow", 0, "upstream_unavailable"), ("second", 200, "")]
    assert [attempts(record) for record in served] == [moved] * 12
    assert {(record.upstream_name, record.cost_nanos) for record in served} == {("second", COST)}


async def test_who_waits_for_the_only_upstream_keeps_waiting_when_it_is_ejected(gateway: Gateway) -> None:
    script = {"at": {"first": FINE}}
    assert await eject_narrow(gateway, waiting=3, script=script, model="test/narrow") == ["tok tok tok "] * 3
    served = [record for record in gateway.purse.final if record.status is Status.SUCCESS]
    assert [(record.upstream_name, attempts(record)) for record in served] == [("narrow", [])] * 3


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 413, 415, 422])
async def test_a_fault_of_the_request_is_nobody_elses_to_judge(gateway: Gateway, status: int, stream: bool) -> None:
    body = '{"error": {"message": "Too long for hidden:latest.", "code": "context_length_exceeded"}}'
    script = {"at": {"first": {"status": status, "body": body}, "second": FINE}}
    async with gateway.post(model="test/two", stream=stream, script=script) as response:
        assert response.status == status
        answer = await response.json()
    assert answer["error"] == {
        "message": "Too long for test/two.",
        "type": "invalid_request_error",
        "param": None,
        "code": "context_length_exceeded",
    }
    (record,) = gateway.purse.final
    assert (attempts(record), record.upstream_name, record.cost_nanos) == ([], "first", 0)


async def test_nothing_is_sent_twice_once_something_was_shown(gateway: Gateway) -> None:
    script = {"at": {"first": {"tokens": 50, "cut_after_bytes": 900}, "second": FINE}}
    async with gateway.post(model="test/two", stream=True, script=script) as response:
        got = await events(response)
        request_id = response.headers["x-request-id"]
    assert got[0]["choices"][0]["delta"]["content"] == "tok "
    assert (got[-2]["error"]["code"], got[-1]) == ("upstream_failed", "[DONE]")
    (record,) = gateway.purse.final
    assert (record.status, record.upstream_name, record.cost_nanos) == (Status.ERROR, "first", 0)
    assert attempts(record) == [("first", 200, "upstream_failed")]
    assert (await gateway.tally(request_id))["path"].startswith("/first/")


async def test_a_stream_that_breaks_before_its_first_event_goes_elsewhere(gateway: Gateway) -> None:
    script = {"at": {"first": {"tokens": 50, "cut_after_bytes": 0}, "second": FINE}}
    async with gateway.post(model="test/two", stream=True, script=script) as response:
        assert await text_of(response, stream=True) == ("tok tok tok ", {"test/two"})
    (record,) = gateway.purse.final
    assert attempts(record) == [("first", 200, "upstream_failed"), ("second", 200, "")]
    assert (record.status, record.cost_nanos) == (Status.SUCCESS, COST)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_fall_back_is_named_and_billed_at_its_own_price(gateway: Gateway, stream: bool) -> None:
    script = {"at": {"first": {"status": 500}, "third": FINE}}
    async with gateway.post(model="test/main", stream=stream, script=script) as response:
        assert response.headers["x-privaterouter-model"] == "test/dear"
        assert await text_of(response, stream=stream) == ("tok tok tok ", {"test/dear"})
    (record,) = gateway.purse.final
    assert attempts(record) == [("first", 500, "upstream_failed"), ("third", 200, "")]
    assert (record.model_public_name, record.served_model_public_name) == ("test/main", "test/dear")
    assert (record.cost_nanos, record.price_version_id) == (10 * COST, "price-dear")
    assert gateway.purse.balance_nanos == 10**12 - 10 * COST


async def test_a_fall_back_of_a_stream_that_has_begun_is_named_in_its_chunks(beating: Gateway) -> None:
    """The head has gone out with the first keep-alive."""
    beating.hurry("first", first_byte_timeout_s=2.0)
    script = {"at": {"first": {"before_headers_s": 30}, "third": FINE}}
    async with beating.post(model="test/main", stream=True, script=script) as response:
        assert "x-privaterouter-model" not in response.headers
        assert await text_of(response, stream=True) == ("tok tok tok ", {"test/dear"})
    assert beating.purse.final[0].served_model_public_name == "test/dear"


async def test_the_head_of_a_stream_waits_for_the_first_piece_where_another_model_may_answer_yet(
    gateway: Gateway,
) -> None:
    script = {"at": {"first": {"tokens": 50, "cut_after_bytes": 0}, "third": FINE}}
    async with gateway.post(model="test/main", stream=True, script=script) as response:
        assert response.headers["x-privaterouter-model"] == "test/dear"
        assert await text_of(response, stream=True) == ("tok tok tok ", {"test/dear"})
    assert attempts(gateway.purse.final[0]) == [("first", 200, "upstream_failed"), ("third", 200, "")]


async def test_a_head_that_waits_for_the_first_piece_goes_out_with_the_first_keep_alive(beating: Gateway) -> None:
    """That is due so long after the request, whenever the head of the upstream came."""
    script = {"at": {"first": {"tokens": 3, "before_headers_s": 0.75, "before_token_s": 0.75}}}
    async with beating.post(model="test/main", stream=True, script=script) as response:
        text = await response.text()
    assert text.startswith(": keep-alive\n\n")
    assert (text.count("tok "), text[-8:]) == (3, "[DONE]\n\n")


async def test_money_is_held_for_the_dearest_that_may_answer(gateway: Gateway) -> None:
    script = {"at": {"first": FINE, "third": FINE}}
    for name in ("test/dear", "test/main"):
        async with gateway.post(model=name, script=script) as response:
            assert response.status == 200
    assert gateway.purse.wanted[0] == gateway.purse.wanted[1]
    assert [record.cost_nanos for record in gateway.purse.final] == [10 * COST, COST]


async def test_the_asked_model_is_itself_again_after_its_fall_back_failed(gateway: Gateway) -> None:
    script: dict[str, Any] = {"at": {"first": {"status": 500}, "third": FINE}}
    for _ in range(5):
        async with gateway.post(model="test/main", script=script) as response:
            assert response.status == 200
    # Now the first is ejected, so that the fall-back is asked before it.
    script = {"at": {"first": FINE, "third": {"status": 500}}}
    async with gateway.post(model="test/main", script=script) as response:
        assert "x-privaterouter-model" not in response.headers
        assert await text_of(response, stream=False) == ("tok tok tok ", {"test/main"})
    record = gateway.purse.final[-1]
    assert attempts(record) == [("third", 500, "upstream_failed"), ("first", 200, "")]
    assert (record.served_model_public_name, record.price_version_id) == ("", "price-1")
    assert (record.upstream_name, record.cost_nanos) == ("first", COST)


@pytest.mark.parametrize("stream", [False, True])
async def test_where_all_fail_the_last_says_why_and_nothing_is_charged(gateway: Gateway, stream: bool) -> None:
    async with gateway.post(model="test/lost", stream=stream) as response:
        assert (response.status, response.headers["retry-after"]) == (503, "1")
        assert "x-privaterouter-model" not in response.headers
        assert (await response.json())["error"]["code"] == "upstream_unavailable"
    (record,) = gateway.purse.final
    assert attempts(record) == [("down", 0, "upstream_unavailable")] * 2
    assert (record.status, record.cost_nanos, record.http_status) == (Status.ERROR, 0, 503)
    assert gateway.purse.balance_nanos == 10**12


async def test_beyond_the_budget_of_retries_a_client_is_told_to_come_back(gateway: Gateway) -> None:
    """Retries that take long: while a fifth of all requests wait for theirs, the others are not sent again."""
    script = {"at": {"first": {"status": 500}, "second": {**FINE, "before_headers_s": 0.9}}}

    async def ask() -> tuple[int, str | None]:
        async with gateway.post(model="test/two", script=script) as response:
            return response.status, response.headers.get("retry-after")

    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(ask()) for _ in range(30)]
    answers = [task.result() for task in asked]
    assert set(answers) == {(200, None), (502, "1")}
    refused = [record for record in gateway.purse.final if record.status is Status.ERROR]
    assert len(refused) == answers.count((502, "1"))
    assert {record.cost_nanos for record in refused} == {0}
    assert gateway.purse.balance_nanos == 10**12 - COST * answers.count((200, None))
