"""What is refused, and how upstream failures look from outside: nothing is charged, nothing is lost."""

import asyncio
import io
import json
from typing import Any

import aiohttp
import pytest

from edge.limits.rates import PLAN, REQUESTS, Admission, RateAnswer, Refusal
from edge.money.records import Status
from tests.edge.v1.gateway import Gateway, body
from tests.support.waiting import eventually

PATHS = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"]


async def error(response: aiohttp.ClientResponse) -> tuple[int, str, str, str | None]:
    """(status, type, code, param) of an answer in the contract's shape."""
    answer = await response.json()
    assert set(answer) == {"error"}
    assert set(answer["error"]) == {"message", "type", "param", "code"}
    assert len(response.headers["x-request-id"]) == 36
    return response.status, answer["error"]["type"], answer["error"]["code"], answer["error"]["param"]


async def send(gateway: Gateway, path: str, data: bytes, **headers: str) -> tuple[int, str, str, str | None]:
    given = {"authorization": "Bearer sk-pr-good", "content-type": "application/json", **headers}
    async with gateway.http.post(gateway.url + path, data=data, headers=given) as response:
        return await error(response)


def untouched(gateway: Gateway) -> bool:
    return gateway.purse.opened == [] and gateway.purse.final == [] and gateway.purse.balance_nanos == 10**12


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer sk-pr-bad", "Basic sk-pr-good", "sk-pr-good", "Bearer ' OR 1=1 --"],
)
async def test_without_a_valid_key_there_is_a_401(gateway: Gateway, path: str, authorization: str) -> None:
    got = await send(gateway, path, json.dumps(body(path)).encode(), authorization=authorization)
    assert got == (401, "invalid_request_error", "invalid_api_key", None)
    assert untouched(gateway)


@pytest.mark.parametrize("path", [*PATHS, "/v1/responses"])
async def test_a_process_that_has_more_to_do_than_it_can_refuses_what_is_new_and_goes_on(
    gateway: Gateway, path: str
) -> None:
    async with gateway.post(stream=True, script={"tokens": 50, "before_token_s": 0.05}) as running:
        await running.content.readline()
        gateway.overloaded.set()
        async with gateway.post(path) as response:
            assert (await error(response))[:3] == (503, "server_error", "service_unavailable")
            assert response.headers["retry-after"] == "1"
        assert (await running.read()).endswith(b"data: [DONE]\n\n")
    assert [record.status for record in gateway.purse.final] == [Status.SUCCESS]
    gateway.overloaded.clear()
    async with gateway.post(path) as response:
        assert response.status == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}", b"{}"]
)
async def test_a_body_that_cannot_be_read_is_a_400(gateway: Gateway, path: str, data: bytes) -> None:
    status, kind, code, _ = await send(gateway, path, data)
    assert (status, kind, code) == (400, "invalid_request_error", "invalid_body")
    assert untouched(gateway)


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_huge_body_is_a_413_whether_or_not_its_length_is_said(gateway: Gateway, chunked: bool) -> None:
    async def pieces() -> Any:
        for _ in range(40):
            yield b" " * 65536

    headers = {"authorization": "Bearer sk-pr-good"}
    data = pieces() if chunked else io.BytesIO(b" " * (40 * 65536))
    try:
        async with gateway.http.post(gateway.url + PATHS[0], data=data, headers=headers) as response:
            assert (await error(response))[:3] == (413, "invalid_request_error", "request_too_large")
    except aiohttp.ClientOSError:
        pass  # The answer came, and the connection was closed, before all had been sent.
    assert untouched(gateway)


async def test_a_compressed_body_is_refused(gateway: Gateway) -> None:
    got = await send(gateway, PATHS[0], b"\x1f\x8b", **{"content-encoding": "gzip"})
    assert got[:3] == (415, "invalid_request_error", "unsupported_media_type")


@pytest.mark.parametrize("field", ["api_base", "api_key", "fallbacks", "mock_response", "extra_headers", "num_ctx"])
async def test_fields_that_steer_the_upstream_are_refused(gateway: Gateway, field: str) -> None:
    fields: dict[str, Any] = {field: "x"}
    async with gateway.post(**fields) as response:
        assert await error(response) == (400, "invalid_request_error", "invalid_body", field)
    assert untouched(gateway)


@pytest.mark.parametrize(
    "name,status,code",
    [
        ("test/unknown", 404, "model_not_found"),
        ("hidden:latest", 404, "model_not_found"),
        ("test/forbidden", 403, "model_not_allowed"),
        ("test/embed", 400, "invalid_body"),
    ],
)
async def test_a_model_that_cannot_be_used_says_why(gateway: Gateway, name: str, status: int, code: str) -> None:
    async with gateway.post(model=name) as response:
        assert await error(response) == (status, "invalid_request_error", code, "model")
    assert untouched(gateway)


async def test_a_key_may_allow_fewer_models_than_its_plan(gateway: Gateway) -> None:
    caller = gateway.keys.caller
    gateway.keys.caller = type(caller)("k", "a", None, frozenset({"test/embed"}), None, None, virtual_key="")
    async with gateway.post() as response:
        assert (await error(response))[:3] == (403, "invalid_request_error", "model_not_allowed")


async def test_over_the_rate_limit_there_is_a_429_with_its_headers(gateway: Gateway) -> None:
    requests = RateAnswer(allowed=False, limit=20, remaining=0, reset_s=60.0, retry_after_s=2.4)
    gateway.rates.answer = Admission(requests, refusal=Refusal(REQUESTS, PLAN, 20, 2.4))
    async with gateway.post() as response:
        assert (await error(response))[:3] == (429, "rate_limit_error", "rate_limit_exceeded")
        assert response.headers["retry-after"] == "3"
        assert response.headers["x-ratelimit-limit-requests"] == "20"
        assert response.headers["x-ratelimit-remaining-requests"] == "0"
        assert response.headers["x-ratelimit-reset-requests"] == "1m0s"
    assert untouched(gateway)


async def test_an_empty_balance_is_a_402(gateway: Gateway) -> None:
    gateway.purse.balance_nanos = 0
    async with gateway.post() as response:
        assert (await error(response))[:3] == (402, "insufficient_quota", "insufficient_credits")
    assert gateway.purse.opened == []


async def test_who_was_refused_for_its_balance_a_moment_ago_is_not_counted_in_its_limits(gateway: Gateway) -> None:
    gateway.purse.refused_nanos = 0
    async with gateway.post() as response:
        assert (await error(response))[:3] == (402, "insufficient_quota", "insufficient_credits")
    assert untouched(gateway)
    assert gateway.rates.asked == []
    # It may have been answered when there was credit.
    path, headers = "/v1/chat/completions", {"authorization": "Bearer sk-pr-good", "idempotency-key": "again"}
    async with gateway.http.post(gateway.url + path, json=body(path), headers=headers) as response:
        assert response.status == 200
        await response.read()
    gateway.purse.refused_nanos = 10**15
    async with gateway.post() as response:
        assert response.status == 200
        await response.read()


async def test_a_key_without_a_virtual_key_is_a_503_before_anything_is_held(gateway: Gateway) -> None:
    async with gateway.post(model="test/virtual") as response:
        assert (await error(response))[:3] == (503, "upstream_error", "upstream_unconfigured")
    assert untouched(gateway)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", ["test/down"])
async def test_an_upstream_that_is_down_is_a_503_and_costs_nothing(gateway: Gateway, name: str, streamed: bool) -> None:
    async with gateway.post(model=name, stream=streamed) as response:
        assert (await error(response))[:3] == (503, "upstream_error", "upstream_unavailable")
        assert response.headers["retry-after"] == "1"
    record = gateway.purse.final[0]
    assert (record.status, record.cost_nanos, record.http_status) == (Status.ERROR, 0, 503)
    assert gateway.purse.balance_nanos == 10**12


async def test_a_model_without_a_server_is_a_503(gateway: Gateway) -> None:
    async with gateway.post(model="test/nowhere") as response:
        assert (await error(response))[:3] == (503, "upstream_error", "upstream_unavailable")


FAILURES = [
    ({"status": 500}, 502, "upstream_failed"),
    ({"status": 302, "headers": {"location": "http://elsewhere/"}}, 502, "upstream_failed"),
    ({"status": 401}, 502, "upstream_failed"),
    ({"status": 404}, 502, "upstream_failed"),
    ({"status": 429, "headers": {"retry-after": "7"}}, 503, "upstream_unavailable"),
    ({"body": "not json"}, 502, "upstream_failed"),
    ({"body": "[1]"}, 502, "upstream_failed"),
    ({"body": "{}"}, 502, "upstream_failed"),
    ({"body": '{"error": "model runner has unexpectedly stopped"}'}, 502, "upstream_failed"),
    ({"body": '{"choices": [', "cut_after_bytes": 5}, 502, "upstream_failed"),
]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("script,status,code", FAILURES)
async def test_a_failing_upstream_is_a_5xx_and_costs_nothing(
    gateway: Gateway, script: dict[str, Any], status: int, code: str, streamed: bool
) -> None:
    await fails(gateway, script, status, code, streamed=streamed)


async def test_a_silent_upstream_is_a_504_and_costs_nothing(gateway: Gateway) -> None:
    gateway.hurry()
    await fails(gateway, {"before_headers_s": 30}, 504, "upstream_timeout", streamed=False)


async def fails(gateway: Gateway, script: dict[str, Any], status: int, code: str, *, streamed: bool) -> None:
    async with gateway.post(stream=streamed, script=script) as response:
        got = await error(response)
        assert got[:3] == (status, "upstream_error", code)
        assert response.headers.get("retry-after") == ("7" if status == 503 else None)
    record = gateway.purse.final[0]
    assert (record.status, record.cost_nanos, record.error_code) == (Status.ERROR, 0, code)
    assert gateway.purse.balance_nanos == 10**12


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_an_upstreams_word_about_the_request_passes_without_its_secrets(gateway: Gateway, status: int) -> None:
    text = json.dumps({"error": {"message": f"{gateway.upstream_url}: hidden:latest takes 4096", "param": "messages"}})
    text = text.replace("4096", "4096, said sk-of-a-provider-behind-it")
    async with gateway.post(script={"status": status, "body": text}) as response:
        answer = (await response.json())["error"]
        assert response.status == status
    assert answer["message"] in {f"***{colon} test/chat takes 4096, said ***" for colon in (":", "")}
    assert (answer["type"], answer["param"]) == ("invalid_request_error", "messages")
    assert gateway.purse.final[0].cost_nanos == 0


@pytest.mark.parametrize(
    "said,code",
    [("context_length_exceeded", "context_length_exceeded"), (400, "invalid_body"), ("<b>", "invalid_body")],
)
async def test_an_upstreams_own_code_passes_where_it_is_a_word(gateway: Gateway, said: object, code: str) -> None:
    text = json.dumps({"error": {"message": "too long", "code": said}})
    async with gateway.post(script={"status": 400, "body": text}) as response:
        assert await error(response) == (400, "invalid_request_error", code, None)
    assert gateway.purse.final[0].error_code == code


async def test_a_client_that_leaves_before_the_answer_pays_for_its_prompt_only(gateway: Gateway) -> None:
    await gateway.leave(script={"before_headers_s": 30}, once=lambda: True)

    async def ended() -> bool:
        return len(gateway.purse.final) == 1

    await eventually(ended, what="the final record")
    record = gateway.purse.final[0]
    assert (record.status, record.output_tokens, record.http_status) == (Status.CANCELLED, 0, 499)
    assert record.cost_nanos == record.input_tokens * 100

    async def aborted() -> bool:
        return bool((await gateway.tally(record.request_id))["aborted"])

    await eventually(aborted, within_s=1.0, what="the upstream to be told")


async def test_a_client_that_leaves_while_it_sends_its_body_leaves_nothing_behind(gateway: Gateway) -> None:
    host, port = gateway.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = ["POST /v1/chat/completions HTTP/1.1", "host: x", "authorization: Bearer sk-pr-good", "content-length: 500"]
    writer.write("\r\n".join([*head, "", '{"model"']).encode())
    await writer.drain()
    writer.close()
    async with gateway.post(script={"tokens": 1}) as response:
        assert response.status == 200
    assert len(gateway.purse.final) == 1
