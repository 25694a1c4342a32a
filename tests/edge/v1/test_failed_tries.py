"""What a try that failed leaves behind for the next one, and for a client that leaves in between: nothing."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from edge.money.records import Record, Status
from tests.edge.v1.conftest import PATIENCE
from tests.edge.v1.gateway import ROUTE, Gateway, model, running_gateway
from tests.edge.v1.test_rerouting import COST, attempts, text_of
from tests.edge.v1.test_stream import final
from tests.support.waiting import eventually

FAILED = ("default", 500, "upstream_failed")


@pytest.fixture
async def gateway(upstream_url: str) -> AsyncIterator[Gateway]:
    """A gateway whose models have a second upstream: one that never accepts a connection, a small one, a slow one."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        host, port = deaf.getsockname()
        with socket.create_connection((host, port)):  # fills its queue
            async with running_gateway(upstream_url, patience=PATIENCE) as running:
                snapshot = running.catalogue.snapshot
                default = snapshot.upstreams["default"]
                upstreams = {
                    "default": default,
                    "deaf": replace(default, name="deaf", base_url=f"http://{host}:{port}"),
                    "small": replace(default, name="small", max_in_flight=1),
                    "slow": replace(default, name="slow", base_url=f"{upstream_url}/slow"),
                }
                second = {name: replace(ROUTE, upstream_name=name, position=1) for name in upstreams}
                models = {
                    f"test/{name}": model(f"test/{name}", routes=(ROUTE, second[name]))
                    for name in ("deaf", "small", "slow")
                }
                models["test/only"] = model("test/only", routes=(second["small"],))
                plan = replace(snapshot.plans["test"], allowed_models=frozenset(models))
                running.catalogue.snapshot = replace(snapshot, models=models, plans={"test": plan}, upstreams=upstreams)
                yield running
                assert len(running.running) == 0
                assert running.purse.held == set()


async def leave(gateway: Gateway, *, once: Callable[[Record], bool], **fields: Any) -> None:
    """Asks for a stream or an answer, and leaves when the record of the request is as told."""

    def far_enough() -> bool:
        return once(gateway.purse.opened[-1])

    await gateway.leave(once=far_enough, **fields)


@pytest.mark.parametrize("stream", [False, True])
async def test_who_leaves_while_the_next_upstream_is_being_connected_pays_nothing(
    gateway: Gateway, stream: bool
) -> None:
    script = {"status": 500}
    await leave(gateway, model="test/deaf", stream=stream, script=script, once=lambda it: it.upstream_name == "deaf")
    record = await final(gateway)
    assert (record.status, record.upstream_name, attempts(record)) == (Status.CANCELLED, "deaf", [FAILED])
    assert (record.cost_nanos, record.input_tokens, record.uncharged_nanos) == (0, 0, 0)
    assert gateway.purse.balance_nanos == 10**12


@pytest.mark.parametrize("stream", [False, True])
async def test_who_leaves_the_queue_of_the_next_upstream_pays_nothing(gateway: Gateway, stream: bool) -> None:
    async def occupy() -> None:
        async with gateway.post(model="test/only", script={"before_headers_s": 30, "tokens": 1}) as response:
            assert response.status == 200

    async def free() -> bool:
        return len(gateway.running) == 0

    async with asyncio.TaskGroup() as group:
        occupying = group.create_task(occupy())
        await gateway.asked()
        script = {"status": 500}
        await leave(gateway, model="test/small", stream=stream, script=script, once=lambda it: len(it.attempts) == 1)
        record = await final(gateway)
        occupying.cancel()
    await eventually(free, what="the end of the other request")
    assert (record.status, attempts(record)) == (Status.CANCELLED, [FAILED])
    assert (record.cost_nanos, record.input_tokens, record.uncharged_nanos) == (0, 0, 0)


async def test_who_leaves_while_an_upstream_says_why_it_failed_pays_nothing(gateway: Gateway) -> None:
    script = {"status": 500, "hang_after_body": True}

    def has_failed() -> bool:
        (exchange,) = gateway.running._exchanges
        return not exchange.forwarded

    await gateway.leave(model="test/deaf", script=script, once=has_failed)
    record = await final(gateway)
    assert (record.status, record.upstream_name, attempts(record)) == (Status.CANCELLED, "default", [])
    assert (record.cost_nanos, record.input_tokens, record.uncharged_nanos) == (0, 0, 0)


async def test_who_leaves_while_the_next_upstream_works_pays_for_the_prompt_there(gateway: Gateway) -> None:
    script = {"at": {"v1": {"status": 500}, "slow": {"before_headers_s": 5}}}
    await leave(gateway, model="test/slow", script=script, once=lambda it: it.upstream_name == "slow")
    record = await final(gateway)
    assert (record.status, record.upstream_name, attempts(record)) == (Status.CANCELLED, "slow", [FAILED])
    assert record.cost_nanos == record.input_tokens * 100 > 0


async def test_the_next_upstream_may_take_its_time_for_the_first_byte(gateway: Gateway) -> None:
    """The silence after the head of the broken stream is not the next one's."""
    gateway.hurry("slow", first_byte_timeout_s=30.0, idle_timeout_s=2.0)
    script = {"at": {"v1": {"cut_after_bytes": 0}, "slow": {"before_headers_s": 2.5, "tokens": 3}}}
    async with gateway.post(model="test/slow", stream=True, script=script) as response:
        assert (await text_of(response, stream=True))[0] == "tok tok tok "
    record = await final(gateway)
    assert attempts(record) == [("default", 200, "upstream_failed"), ("slow", 200, "")]
    assert (record.status, record.cost_nanos) == (Status.SUCCESS, COST)


async def test_silence_after_the_head_of_a_stream_leaves_it_to_the_next_upstream(gateway: Gateway) -> None:
    gateway.hurry("default")
    script = {"at": {"v1": {"hang_after_tokens": 0}, "slow": {"tokens": 3}}}
    async with gateway.post(model="test/slow", stream=True, script=script) as response:
        assert (await text_of(response, stream=True))[0] == "tok tok tok "
    record = await final(gateway)
    assert attempts(record) == [("default", 200, "upstream_timeout"), ("slow", 200, "")]
    assert (record.status, record.cost_nanos) == (Status.SUCCESS, COST)
