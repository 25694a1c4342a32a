"""The fake upstream in C: what it answers, and that it counts it rightly."""

import json
import socket
import time

import httpx
import pytest

from bench.peers.upstream import Upstream

NONCE = "nonce-12345678"
ASKED = {"model": "bench", "messages": [{"role": "user", "content": f"{NONCE} Hello"}]}


def url(fake: Upstream) -> str:
    return f"{fake.url}/v1/chat/completions"


def events(answer: httpx.Response) -> list[str]:
    assert answer.headers["content-type"].startswith("text/event-stream")
    return [line.removeprefix("data: ") for line in answer.text.splitlines() if line]


def test_a_whole_answer_has_the_nonce_and_another_model(fake: Upstream) -> None:
    fake.set(tokens=3)
    answer = httpx.post(url(fake), json=ASKED).raise_for_status().json()
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": f"{NONCE} word word"}
    assert answer["model"] != ASKED["model"]
    usage = answer["usage"]
    assert usage["completion_tokens"] == 3
    assert usage["total_tokens"] == usage["prompt_tokens"] + 3
    tally = fake.tally()
    assert (tally.requests, tally.streams, tally.completion_tokens) == (1, 0, 3)
    assert tally.prompt_tokens == usage["prompt_tokens"]


def test_a_stream_is_the_same_text_in_pieces_and_tells_usage_only_when_asked(fake: Upstream) -> None:
    fake.set(tokens=3)
    plain = events(httpx.post(url(fake), json=ASKED | {"stream": True}))
    asked = ASKED | {"stream": True, "stream_options": {"include_usage": True}}
    told = events(httpx.post(url(fake), json=asked))
    assert plain[-1] == told[-1] == "[DONE]"
    texts = [json.loads(event)["choices"][0]["delta"].get("content", "") for event in plain[:-1]]
    assert texts == ["", NONCE, " word", " word", ""]
    assert [event for event in plain if "usage" in event] == []
    last = json.loads(told[-2])
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 3
    assert (fake.tally().streams, fake.tally().completion_tokens, fake.tally().events) == (2, 6, 11)


@pytest.mark.parametrize("piece", [1, 7, 100_000])
def test_a_body_in_chunks_is_read_wherever_it_is_cut(fake: Upstream, piece: int) -> None:
    body = json.dumps(ASKED | {"padding": "x" * 500}).encode()
    pieces = (body[at : at + piece] for at in range(0, len(body), piece))
    answer = httpx.post(url(fake), content=pieces)
    assert answer.json()["choices"][0]["message"]["content"].startswith(NONCE)
    assert fake.tally().unknown == 0


def test_connections_are_kept_and_large_bodies_fit(fake: Upstream) -> None:
    body = json.dumps(ASKED | {"padding": "x" * 300_000}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", fake.port)) as connection:
        for _ in range(3):
            connection.sendall(head + body)
            received = b""
            while b"total_tokens" not in received:
                received += connection.recv(65536)
    assert fake.tally().requests == 3


def test_a_paced_stream_takes_its_time(fake: Upstream) -> None:
    fake.set(tokens=5, pace_us=20_000)
    begun = time.monotonic()
    httpx.post(url(fake), json=ASKED | {"stream": True})
    assert time.monotonic() - begun >= 0.1


def test_a_reader_that_goes_away_is_counted_and_so_is_a_request_without_nonce(fake: Upstream) -> None:
    fake.set(tokens=1000, pace_us=5000)
    with httpx.stream("POST", url(fake), json=ASKED | {"stream": True}) as answer:
        next(answer.iter_raw())
    deadline = time.monotonic() + 10
    while not fake.tally().aborted:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    httpx.post(url(fake), json={"model": "bench"})
    assert fake.tally().unknown == 1
    fake.reset()
    assert fake.tally().requests == fake.tally().aborted == fake.tally().unknown == 0


def test_anything_else_is_a_health_check(fake: Upstream) -> None:
    assert httpx.get(f"{fake.url}/v1/models").json()["data"][0]["id"] == "bench"
    assert fake.tally().requests == 0
