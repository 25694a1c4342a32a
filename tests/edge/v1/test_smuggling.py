"""Bodies that would steer, overcharge or choke somebody: the same clear no on every route, and nothing left behind."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.edge.test_matrix import ROWS
from tests.edge.v1.gateway import Gateway
from tests.edge.v1.smuggling import (
    CONVERSATIONS,
    HEADERS,
    ROUTES,
    all_routes,
    decision,
    decisions,
    plain,
    whole,
    with_raw,
)

REFUSED = all_routes(400, "invalid_body")


def test_every_inference_route_is_attacked() -> None:
    routes = {route.removeprefix("POST ") for route in ROWS if route.startswith("POST /v1/")}
    assert routes - {"/v1/{path:path}"} == set(ROUTES)


async def test_what_is_not_attacked_passes(gateway: Gateway) -> None:
    """Or all the refusals below might be for another reason."""
    assert await decisions(gateway, plain) == all_routes(200)


NOT_ONE_OBJECT = {
    "empty": b"",
    "no end": b'{"model": "test/chat"',
    "a list": b"[]",
    "a text": b'"text"',
    "null": b"null",
    "byte order mark": b"\xef\xbb\xbf{BODY}",
    "UTF-16": '{"model": "test/chat"}'.encode("utf-16"),
    "garbage after": b"{BODY}x",
    "another object after": b"{BODY}{BODY}",
    "NUL after": b"{BODY}\x00",
    "form feed after": b"{BODY}\x0c",
    "comment": b"/* x */{BODY}",
    "NUL in a text": b'{"user": "a\x00b", REST',
    "NUL in a name": b'{"us\x00er": 1, REST',
    "broken UTF-8": b'{"user": "\xff", REST',
    "UTF-8 of a surrogate": b'{"user": "\xed\xa0\x80", REST',
    "UTF-8 of a surrogate in a name": b'{"\xed\xa0\x80": 1, REST',
    "overlong UTF-8": b'{"user": "\xc0\xaf", REST',
    "lone surrogate": b'{"user": "\\ud800", REST',
    "lone surrogate in a name": b'{"\\udfff": 1, REST',
    "single quotes": b"{'user': 1, REST",
    "NaN": b'{"temperature": NaN, REST',
    "Infinity": b'{"temperature": -Infinity, REST',
    "leading zero": b'{"temperature": 01, REST',
    "trailing comma": b"{BODY,}",
    "deep lists": b'{"user": ' + b"[" * 100_000 + b"]" * 100_000 + b", REST",
    "deep objects": b'{"user": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b", REST",
}


@pytest.mark.parametrize("name", NOT_ONE_OBJECT)
async def test_what_is_not_one_json_object_is_refused(gateway: Gateway, name: str) -> None:
    def attack(path: str) -> bytes:
        good = plain(path)
        data = NOT_ONE_OBJECT[name].replace(b"{BODY,}", good[:-1] + b",}").replace(b"{BODY}", good)
        return data.replace(b"REST", good[1:])

    assert await decisions(gateway, attack) == REFUSED


TWICE = [
    ("model", "model"),
    ("model", "\\u006dodel"),
    ("model", "mod\\u0065l"),
    ("model", "Model"),
    ("model", "MODEL"),
    ("stream", "\\u0053tream"),
    ("stream", "\\u017ftream"),
]


@pytest.mark.parametrize("is_last", [False, True])
@pytest.mark.parametrize("name, spelled", TWICE)
async def test_a_field_in_two_spellings_is_refused(gateway: Gateway, name: str, spelled: str, is_last: bool) -> None:
    """Python takes the last of two equal names, others the first; Go takes no notice of case, nor of a long s."""
    value = {"model": '"test/chat"', "stream": "false"}[name]

    def attack(path: str) -> bytes:
        member = f'"{spelled}": {value}'
        if name not in whole(path):
            member = f'"{name}": {value}, {member}' if is_last else f'{member}, "{name}": {value}'
        return with_raw(path, last=f", {member}") if is_last else with_raw(path, first=f"{member}, ")

    assert await decisions(gateway, attack) == REFUSED


@pytest.mark.parametrize(
    "spelled", ["Max_Tokens", "MAX_TOKENS", "max_to\\u212aens", "N", "Best_Of", "Tools", "Metadata"]
)
async def test_a_field_that_we_read_is_refused_in_another_spelling(gateway: Gateway, spelled: str) -> None:
    assert await decisions(gateway, lambda path: with_raw(path, last=f', "{spelled}": 1')) == REFUSED


STEERING = [
    "api_base", "API_BASE", "Api_Base", "api\\u005fbase", "base_url", "api_key", "extra_body", "extra_headers",
    "headers", "custom_llm_provider", "user_config", "model_list", "litellm_metadata", "litellm_params",
    "LiteLLM_anything", "_litellm_strip_stream_usage", "mock_response", "mock_tool_calls", "fallbacks", "num_retries",
    "timeout", "tags", "guardrails", "policies", "callbacks", "cache", "no-log", "prompt_id", "langfuse_host",
    "langsmith_api_key", "aws_role_name", "vertex_credentials", "azure_ad_token", "input_cost_per_token",
    "user_api_key_user_id", "models", "provider", "route", "plugins", "kv_transfer_params", "bootstrap_host",
    "custom_logit_processor", "lora_path", "options", "keep_alive", "num_ctx", "num_predict", "n_predict",
    "max_new_tokens", "min_tokens", "Max_Output_Tokens", "use_beam_search", "priority", "request_id", "id_slot",
]  # fmt: skip


@pytest.mark.parametrize("name", STEERING)
async def test_a_field_that_steers_an_upstream_is_refused(gateway: Gateway, name: str) -> None:
    assert await decisions(gateway, lambda path: with_raw(path, last=f', "{name}": "x"')) == REFUSED
    assert await decisions(gateway, lambda path: with_raw(path, first=f'"{name}": null, ')) == REFUSED


NOTES: list[object] = [
    "text",
    7,
    ["tags"],
    {"tags": ["expensive"]},
    {"guardrails": {"hide": False}},
    {"api_base": "http://elsewhere"},
    {"Langfuse_Host": "http://elsewhere"},
    {"user_api_key_user_id": "admin"},
    {"litellm_call_id": "x"},
    {"spend_logs_metadata": {"a": "b"}},
]


@pytest.mark.parametrize("metadata", NOTES, ids=str)
async def test_notes_that_steer_are_refused(gateway: Gateway, metadata: object) -> None:
    assert await decisions(gateway, lambda path: plain(path, metadata=metadata)) == REFUSED


@pytest.mark.parametrize("model", [["test/chat"], {"id": "test/chat"}, 7, True, None], ids=str)
async def test_a_model_that_is_no_text_is_refused(gateway: Gateway, model: object) -> None:
    assert await decisions(gateway, lambda path: plain(path, model=model)) == REFUSED


@pytest.mark.parametrize(
    "model", ["", "hidden:latest", "test/chat\0", "test/chat ", "TEST/CHAT", "../test/chat", "x" * 9999]
)
async def test_a_model_is_found_by_its_exact_name_or_not_at_all(gateway: Gateway, model: str) -> None:
    assert await decisions(gateway, lambda path: plain(path, model=model)) == all_routes(404, "model_not_found")


@pytest.mark.parametrize("stream", ["true", "false", "", 1, 0, [], {}], ids=repr)
async def test_stream_that_is_no_boolean_is_refused(gateway: Gateway, stream: object) -> None:
    """Upstreams take `"true"` for one or the other; the answer must be read as what it is."""
    assert await decisions(gateway, lambda path: plain(path, stream=stream)) == REFUSED


NUMBERS = [
    "1e400",
    "-1e400",
    "1e3",
    "1.5",
    "-0",
    "-0.0",
    "0",
    "-1",
    "1" + "0" * 30,
    "1" + "0" * 300,
    '"9"',
    "[9]",
    "true",
]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("field", ["limit", "n", "best_of", "max_completion_tokens", "top_logprobs"])
async def test_a_number_that_nobody_means_is_refused(gateway: Gateway, field: str, number: str) -> None:
    def attack(path: str) -> bytes:
        name = (ROUTES[path].limit or "max_tokens") if field == "limit" else field
        marked = json.dumps(whole(path, **{name: "NUMBER"}))
        return marked.replace('"NUMBER"', number).encode()

    is_meant = field == "top_logprobs" and number in {"0", "-0"}
    assert await decisions(gateway, attack) == (all_routes(200) if is_meant else REFUSED)


@pytest.mark.parametrize("field, most", [("n", 128), ("best_of", 128), ("top_logprobs", 20)])
async def test_more_than_the_most_is_refused(gateway: Gateway, field: str, most: int) -> None:
    assert await decisions(gateway, lambda path: plain(path, **{field: most + 1})) == REFUSED


async def test_more_than_the_most_answers_are_never_held_for(gateway: Gateway) -> None:
    for path in ("/v1/chat/completions", "/v1/completions"):
        assert await decision(gateway, path, plain(path, n=128, max_tokens=2**31 - 1)) == (200, "")
    held = [record.output_tokens for record in gateway.purse.final]
    assert all(tokens <= 128 * 1000 for tokens in held)


@pytest.mark.parametrize("name", ["mcp", "web_search", "code_interpreter", "file_search", "openrouter:web_search", ""])
@pytest.mark.parametrize("path", [*CONVERSATIONS, "/v1/responses"])
async def test_a_tool_that_a_server_would_run_is_refused(gateway: Gateway, path: str, name: str) -> None:
    tool = {"type": name, "name": "x", "server_url": "litellm_proxy/mcp", "function": {"name": "x"}}
    assert await decision(gateway, path, plain(path, tools=[tool])) == (400, "invalid_body")


async def test_a_compressed_body_is_refused(gateway: Gateway) -> None:
    for encoding in ("gzip", "GZIP", "deflate", "br", "zstd", "identity, gzip", "x-gzip", ""):
        headers = {**HEADERS, "content-encoding": encoding}
        got = await decisions(gateway, lambda _: b"\x1f\x8b\x08", headers)
        assert got == all_routes(415, "unsupported_media_type"), encoding


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 50_000):
        yield data[at : at + 50_000]


def padded(path: str, size: int) -> bytes:
    """A good body of exactly so many bytes."""
    good = plain(path, user="")
    return good.replace(b'"user": ""', b'"user": "' + b"x" * (size - len(good)) + b'"')


async def test_one_byte_over_the_limit_is_refused_though_no_length_was_said(gateway: Gateway) -> None:
    for path in ROUTES:
        over = padded(path, 1024 * 1024 + 1)
        assert await decision(gateway, path, pieces(over)) == (413, "request_too_large")
        assert await decision(gateway, path, over) == (413, "request_too_large")
        assert await decision(gateway, path, padded(path, 1024 * 1024)) == (200, "")


def crowd(path: str, size: int) -> Any:
    """A conversation, or a list of texts, of so many."""
    route = ROUTES[path]
    if path == "/v1/responses" or route.text == "messages":
        return [{"role": "user", "content": "x"}] * size
    return ["x"] * size


async def test_a_hundred_thousand_messages_are_refused(large: Gateway) -> None:
    got = await decisions(large, lambda path: plain(path, **{ROUTES[path].text: crowd(path, 100_000)}))
    assert got == REFUSED


async def test_a_million_tokens_cost_no_more_than_the_model_can_read(large: Gateway) -> None:
    for path, name in (("/v1/embeddings", "input"), ("/v1/completions", "prompt")):
        data = plain(path, **{name: [1] * 1_000_000, "max_tokens": 1})
        assert await decision(large, path, data) == (200, "")
        assert await decision(large, path, plain(path, **{name: [[1]] * 1_000_000})) == (400, "invalid_body")
    most = 8192 * 125 + 300
    assert all(record.cost_nanos + record.uncharged_nanos <= most for record in large.purse.final)
    assert large.purse.balance_nanos >= 10**12 - 2 * most


LINKS = [
    "data:image/png;base64;length=999999999999,AAAA",
    "data:image/png;width=4294967295;height=4294967295;base64,iVBORw0KGgoAAAANSUhEUv////////8IAgAAAA==",
    "data:image/svg+xml,<!DOCTYPE x [<!ENTITY a 'aaaa'>]><svg/>",
    "data:image/,",
    "data:image/gif;base64," + "A" * 500_000,
]


@pytest.mark.parametrize("url", LINKS, ids=[str(number) for number in range(len(LINKS))])
async def test_an_image_is_held_for_as_one_whatever_it_claims_to_be(gateway: Gateway, url: str) -> None:
    part = {"type": "image_url", "image_url": {"url": url}}
    messages = [{"role": "user", "content": [part]}]
    async with gateway.http.post(
        gateway.url + "/v1/quote", data=plain("/v1/quote", messages=messages), headers=HEADERS
    ) as response:
        quote = await response.json()
    # The rest of the body, the template's ten and the thousand of an image.
    assert 1010 < quote["input_tokens_most"] < 1200


STORED: list[dict[str, Any]] = [
    {"type": "file", "file": {"file_id": "file-1"}},
    {"type": "video_url", "video_url": {"url": "http://169.254.169.254/"}},
    {"type": "audio_url", "audio_url": "file:///etc/passwd"},
]


@pytest.mark.parametrize("part", STORED, ids=[str(part["type"]) for part in STORED])
async def test_content_that_is_only_referred_to_is_refused(gateway: Gateway, part: dict[str, Any]) -> None:
    for path in ("/v1/chat/completions", "/v1/quote", "/v1/messages", "/v1/messages/count_tokens"):
        messages = [{"role": "user", "content": [part]}]
        assert await decision(gateway, path, plain(path, messages=messages)) == (400, "invalid_body")


@pytest.mark.parametrize("depth", [9, 50, 200, 500, 3000])
async def test_blocks_within_blocks_are_refused(gateway: Gateway, depth: int) -> None:
    """In whichever function the nesting becomes too deep: never a failure of our own."""
    block: dict[str, Any] = {"type": "text", "text": "x"}
    text = '{"type": "tool_result", "tool_use_id": "x", "content": [' * depth + json.dumps(block) + "]}" * depth
    for path in CONVERSATIONS:
        data = plain(path, messages=[{"role": "user", "content": ["BLOCK"]}]).replace(b'"BLOCK"', text.encode())
        if path.startswith("/v1/messages"):
            assert await decision(gateway, path, data) == (400, "invalid_body")
        else:
            # What chat does not know passes, as long as it can be read.
            assert (await decision(gateway, path, data))[0] in {200, 400}
