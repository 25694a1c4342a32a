"""Headers and framing that some server on the way would obey: none reaches an upstream, and none makes two of one."""

from typing import Any

import pytest
from multidict import CIMultiDict

from tests.edge.v1.gateway import Gateway
from tests.edge.v1.smuggling import HEADERS, ROUTES, all_routes, decision, decisions, plain, raw_request

RUN = [path for path, route in ROUTES.items() if route.runs]
OBEYED = {
    "x-litellm-tags": "expensive",
    "x-litellm-api-key": "sk-of-somebody",
    "x-litellm-num-retries": "9",
    "x-litellm-timeout": "0.001",
    "x-litellm-spend-logs-metadata": "{}",
    "x-litellm-call-id": "chosen",
    "x-forwarded-for": "127.0.0.1",
    "x-forwarded-host": "elsewhere",
    "x-forwarded-proto": "https",
    "x-forwarded-prefix": "/admin",
    "forwarded": "for=127.0.0.1;host=elsewhere",
    "x-real-ip": "127.0.0.1",
    "x-original-url": "/key/generate",
    "x-rewrite-url": "/key/generate",
    "x-http-method-override": "DELETE",
    "x-request-id": "chosen",
    "x-client-request-id": "chosen",
    "x-session-id": "chosen",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "baggage": "user=admin",
    "x-api-key": "sk-ant-of-somebody",
    "api-key": "azure-of-somebody",
    "x-goog-api-key": "google-of-somebody",
    "openai-organization": "org-of-somebody",
    "openai-project": "project-of-somebody",
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "mcp-client-2025-04-04",
    "cookie": "token=of-somebody",
    "cache-control": "no-store",
    "proxy-authorization": "Basic b2Y6c29tZWJvZHk=",
    "user-agent": "somebody/1.0",
    "accept": "text/event-stream",
    "accept-encoding": "gzip",
    "te": "trailers",
    "upgrade-insecure-requests": "1",
}


@pytest.mark.parametrize("path", RUN)
async def test_an_upstream_gets_our_headers_and_no_other(gateway: Gateway, path: str) -> None:
    async with gateway.http.post(gateway.url + path, data=plain(path), headers=HEADERS | OBEYED) as response:
        assert response.status == 200
        request_id = response.headers["x-request-id"]
    assert request_id != "chosen"
    headers = (await gateway.tally(request_id))["headers"]
    length = headers.pop("content-length")
    assert int(length) > 0
    assert headers == {
        "host": gateway.upstream_url.removeprefix("http://"),
        "content-type": "application/json",
        "accept-encoding": "identity",
        "x-request-id": request_id,
        "authorization": "Bearer upstream-secret",
    }


async def test_a_credential_that_is_given_twice_is_refused(gateway: Gateway) -> None:
    """Whoever stands before us may have looked at the other one."""
    for name, good, bad in (
        ("authorization", "Bearer sk-pr-good", "Bearer sk-pr-other"),
        ("x-api-key", "sk-pr-good", "sk-pr-other"),
    ):
        for pair in ([good, bad], [bad, good], [good, good]):
            headers: Any = CIMultiDict([(name, value) for value in pair])
            assert await decisions(gateway, plain, headers) == all_routes(400, "invalid_parameter")


@pytest.mark.parametrize(
    "headers, expected",
    [
        ({"x-api-key": "sk-pr-good"}, all_routes(200)),
        ({"x-api-key": "sk-pr-bad", "authorization": "Bearer sk-pr-good"}, all_routes(200)),
        ({"x-api-key": "sk-pr-good", "authorization": "Bearer sk-pr-bad"}, all_routes(401, "invalid_api_key")),
        ({"x-api-key": "sk-pr-good", "authorization": "Basic sk-pr-good"}, all_routes(401, "invalid_api_key")),
        ({"api-key": "sk-pr-good"}, all_routes(401, "invalid_api_key")),
        ({"cookie": "authorization=Bearer sk-pr-good"}, all_routes(401, "invalid_api_key")),
        ({}, all_routes(401, "invalid_api_key")),
    ],
    ids=str,
)
async def test_of_two_kinds_of_credential_the_bearer_counts(
    gateway: Gateway, headers: dict[str, str], expected: dict[str, Any]
) -> None:
    assert await decisions(gateway, plain, headers) == expected


GOOD = ["authorization: Bearer sk-pr-good", "content-type: application/json"]


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    "target, hosts",
    [
        ("{path}", ["host: elsewhere.example"]),
        ("{path}", ["host: 169.254.169.254:80"]),
        ("{path}", ["host: a", "host: b"]),
        ("{path}", ["host: ../../x"]),
        ("{path}", ["host:"]),
        ("{path}", []),
        ("http://elsewhere.example{path}", ["host: other.example"]),
        ("{path}?model=hidden:latest&api_base=http://elsewhere", ["host: x"]),
    ],
)
async def test_the_host_of_a_request_decides_nothing(
    gateway: Gateway, path: str, target: str, hosts: list[str]
) -> None:
    data = plain(path)
    head = [f"POST {target.format(path=path)} HTTP/1.1", *hosts, *GOOD, f"content-length: {len(data)}"]
    assert (await raw_request(gateway, head, data)).startswith(b"HTTP/1.1 200 ")
    for record in gateway.purse.final:
        host = (await gateway.tally(record.request_id))["headers"]["host"]
        assert host == gateway.upstream_url.removeprefix("http://")


@pytest.mark.parametrize(
    "spelled", ["/{path}", "{path}/", "{path}//", "/x/..{path}", "{path};x", "{path}%00", "{path}%20", "{upper}"]
)
async def test_a_path_in_another_spelling_is_no_route(gateway: Gateway, spelled: str) -> None:
    for path in ROUTES:
        data = plain(path)
        target = spelled.format(path=path, upper=path.upper())
        head = [f"POST {target} HTTP/1.1", "host: x", *GOOD, f"content-length: {len(data)}"]
        assert b" 404 " in (await raw_request(gateway, head, data)).split(b"\r\n", 1)[0]
    assert gateway.purse.opened == []


SECOND = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-pr-good\r\ncontent-length: 0\r\n\r\n"
)
FRAMINGS = {
    "both framings": (["content-length: 5", "transfer-encoding: chunked"], b"0\r\n\r\n" + SECOND),
    "both framings, the other way": (["transfer-encoding: chunked", "content-length: 5"], b"0\r\n\r\n" + SECOND),
    "two lengths": (["content-length: 0", "content-length: 99"], SECOND),
    "a list of lengths": (["content-length: 0, 99"], SECOND),
    "a signed length": (["content-length: +5"], b"{}   "),
    "a negative length": (["content-length: -1"], b"{}"),
    "a length in hexadecimal": (["content-length: 0x5"], b"{}   "),
    "an endless length": (["content-length: " + "9" * 40], b"{}"),
    "an unknown coding": (["transfer-encoding: xchunked"], b"0\r\n\r\n"),
    "chunked, then another": (["transfer-encoding: chunked, identity"], b"0\r\n\r\n"),
    "a chunk size that is none": (["transfer-encoding: chunked"], b"zz\r\n{}\r\n0\r\n\r\n"),
    "a chunk size that is endless": (["transfer-encoding: chunked"], b"f" * 40 + b"\r\n{}\r\n0\r\n\r\n"),
    "a space before the colon": (["content-length : 5"], b"{}   "),
    "a name with a NUL": (["x\0y: 1", "content-length: 0"], b""),
}


@pytest.mark.parametrize("name", FRAMINGS)
async def test_framing_that_two_servers_could_read_in_two_ways_is_refused(gateway: Gateway, name: str) -> None:
    lines, data = FRAMINGS[name]
    for path in ROUTES:
        answer = await raw_request(gateway, [f"POST {path} HTTP/1.1", "host: x", *GOOD, *lines], data)
        statuses = [line for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
        assert [status.split(b" ")[1][:1] for status in statuses] in ([b"4"], []), answer
    assert gateway.purse.opened == []


@pytest.mark.parametrize("path", [*RUN, "/v1/quote"])
async def test_a_limit_on_cost_that_is_given_twice_is_refused(gateway: Gateway, path: str) -> None:
    headers: Any = CIMultiDict([*HEADERS.items(), *([("x-privaterouter-max-cost-usd", "1")] * 2)])
    assert await decision(gateway, path, plain(path), headers) == (400, "invalid_parameter")


async def test_a_body_that_is_no_json_by_its_type_is_read_all_the_same(gateway: Gateway) -> None:
    """What it is called is nobody's decision: it is forwarded as JSON, or not at all."""
    for given in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "x"):
        assert await decisions(gateway, plain, {**HEADERS, "content-type": given}) == all_routes(200)
    form = b"model=test%2Fchat&api_base=http%3A%2F%2Felsewhere"
    assert await decisions(
        gateway, lambda _: form, {**HEADERS, "content-type": "application/x-www-form-urlencoded"}
    ) == (all_routes(400, "invalid_body"))
