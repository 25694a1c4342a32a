"""Who does not read slows its own upstream and nothing else; who leaves stops it, at whatever moment."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from edge.money.records import Status
from tests.edge.v1.conftest import PATIENCE
from tests.edge.v1.gateway import ROUTE, Gateway, body, model, running_gateway
from tests.edge.v1.test_stream import events, final
from tests.support.waiting import eventually

# What can be on its way in one stream: socket buffers of the kernel, and what asyncio keeps, each on both sides.
ON_ITS_WAY_BYTES = 32 * 1024 * 1024
EVENT_BYTES = 256 * 1024
LONG = {"tokens": 900, "padding_bytes": EVENT_BYTES}


@asynccontextmanager
async def deaf(gateway: Gateway, **fields: Any) -> AsyncIterator[asyncio.StreamReader]:
    """A client that asks for a stream and takes nothing of it until its reader is read."""
    port = int(gateway.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    content = json.dumps(body("/v1/chat/completions", stream=True, **fields)).encode()
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-pr-good\r\n"
        b"connection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(content), content)
    )
    yield reader
    writer.close()


async def held_up(gateway: Gateway) -> tuple[str, int]:
    """The only request, and how much its upstream could send, when it can send no more."""
    request_id = await gateway.asked()
    sent = -1

    async def stuck() -> bool:
        nonlocal sent
        before, sent = sent, (await gateway.tally(request_id))["sent_bytes"]
        await asyncio.sleep(0.3)
        return bool(sent == before > 0)

    await eventually(stuck, within_s=15, what="the upstream to be held up")
    return request_id, sent


def counted(got: bytes) -> tuple[int, ...]:
    """Tokens, usages and ends in an answer that is too long to be shown."""
    return tuple(got.count(text) for text in (b'"content": "tok "', b'"usage": {', b"data: [DONE]\n\n"))


async def stopped(gateway: Gateway, request_id: str) -> None:
    """Returns when the upstream has been told to stop, in the time that is promised."""

    async def told() -> bool:
        return bool((await gateway.tally(request_id))["aborted"])

    await eventually(told, within_s=1.0, what="the upstream to be told")


async def test_a_client_that_does_not_read_holds_up_its_own_upstream_and_no_other(gateway: Gateway) -> None:
    async with deaf(gateway, script=LONG):
        request_id, sent = await held_up(gateway)
        assert EVENT_BYTES < sent < ON_ITS_WAY_BYTES < 900 * EVENT_BYTES
        async with gateway.post(stream=True, script={"tokens": 900}) as response:
            assert len(await events(response)) == 900 + 2
        assert await held_up(gateway) == (request_id, sent)
    await stopped(gateway, request_id)
    assert sorted(record.status for record in gateway.purse.final) == [Status.SUCCESS, Status.CANCELLED]


async def test_a_client_that_reads_again_has_lost_nothing(gateway: Gateway) -> None:
    script = LONG | {"tokens": 100}
    async with deaf(gateway, script=script, stream_options={"include_usage": True}) as reader:
        await held_up(gateway)
        got = await reader.read()
    assert counted(got) == (100, 1, 1)
    assert gateway.purse.final[0].status is Status.SUCCESS


async def test_a_client_that_reads_the_end_late_gets_the_usage_too(ending: Gateway) -> None:
    # The event with the finish reason holds it up, for longer than the usage is waited for.
    script = {"tokens": 0, "padding_bytes": 12 * 1024 * 1024, "pads_usage": False}
    async with deaf(ending, script=script, stream_options={"include_usage": True}) as reader:
        await held_up(ending)
        await asyncio.sleep(1)
        got = await reader.read()
    assert counted(got) == (0, 1, 1)


async def test_a_client_that_never_reads_does_not_keep_a_server_from_stopping(gateway: Gateway) -> None:
    async with deaf(gateway, script=LONG):
        request_id, _ = await held_up(gateway)
        await asyncio.wait_for(gateway.running.drain(0.1), 15)
        await stopped(gateway, request_id)
    record = gateway.purse.final[0]
    assert (record.status, record.error_code, record.cost_nanos) == (Status.ERROR, "service_unavailable", 0)


async def test_a_client_that_does_not_take_the_end_does_not_keep_a_server_from_stopping(gateway: Gateway) -> None:
    async with deaf(gateway, script={"tokens": 1, "padding_bytes": 12 * 1024 * 1024}):
        await held_up(gateway)
        await asyncio.wait_for(gateway.running.drain(0.1), 15)
    record = gateway.purse.final[0]
    assert (record.status, record.output_tokens) == (Status.SUCCESS, 1)


async def test_a_client_that_never_reads_pays_when_its_time_is_over(upstream_url: str) -> None:
    async with running_gateway(upstream_url, patience=PATIENCE) as gateway:
        hurried = model("test/chat", routes=(replace(ROUTE, total_timeout_s=3.0),))
        snapshot = gateway.catalogue.snapshot
        gateway.catalogue.snapshot = replace(snapshot, models={**snapshot.models, "test/chat": hurried})
        async with deaf(gateway, script=LONG):
            request_id, _ = await held_up(gateway)
            record = await final(gateway)
            await stopped(gateway, request_id)
        assert (record.status, record.estimated) == (Status.CANCELLED, True)
        assert record.cost_nanos == record.input_tokens * 100 + record.output_tokens * 300 > 0


@pytest.mark.parametrize(
    "streamed,script",
    [
        pytest.param(True, {"before_headers_s": 30}, id="a stream before its headers"),
        pytest.param(True, {"hang_after_tokens": 0}, id="a stream before its first byte"),
        pytest.param(True, {"tokens": 500, "before_token_s": 0.02}, id="a stream"),
        pytest.param(False, {"before_headers_s": 30}, id="an answer before its headers"),
        pytest.param(False, {"body": "{", "hang_after_body": True}, id="an answer"),
    ],
)
async def test_who_leaves_stops_the_upstream_within_a_second(
    gateway: Gateway, streamed: bool, script: dict[str, Any]
) -> None:
    await gateway.leave(stream=streamed, script=script, once=lambda: True)
    await stopped(gateway, gateway.purse.opened[0].request_id)
    record = await final(gateway)
    assert (record.status, record.http_status) == (Status.CANCELLED, 499)
