"""The load generator in C: it counts what is right, and notices every kind of wrong answer."""

import json
import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bench.peers import load
from bench.peers.load import Order, Told, WrongAnswer
from bench.peers.native import Programs
from bench.peers.upstream import Upstream
from bench.processes import cores

RIGHT = "{nonce} word word"


def order(port: int, body: bytes) -> Order:
    return Order(port=port, body=body, connections=3, seconds=0.2, warmup_s=0.05, tokens=3)


def sent(asked: Order, programs: Programs) -> Told:
    return load.run(asked, program=programs.load, core=cores()[1])


def streamed(body: bytes) -> bytes:
    return json.dumps(json.loads(body) | {"stream": True}).encode()


def whole(text: str) -> bytes:
    content = json.dumps({"choices": [{"message": {"content": text}}]}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content)


def stream(*texts: str, end: str = "data: [DONE]\n\n", size: int = 50) -> bytes:
    """Cut into chunks that have nothing to do with the events."""
    made = "".join(f'data: {{"choices":[{{"delta":{{"content":"{text}"}}}}]}}\n\n' for text in texts) + end
    pieces = [made[at : at + size].encode() for at in range(0, len(made), size)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


@contextmanager
def server(answer: Callable[[str], bytes]) -> Iterator[int]:
    """Answers each request with bytes made of its nonce; its port."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while length := self._length():
                found = re.search(rb"nonce-\d{8}", self.rfile.read(length))
                assert found
                made = answer(found[0].decode())
                self.wfile.write(made)
                if not made or b"Connection: close" in made:
                    return

        def _length(self) -> int:
            length = 0
            while (line := self.rfile.readline()) not in {b"\r\n", b""}:
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            return length

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield listening.server_address[1]
        finally:
            listening.shutdown()
            thread.join()


def test_all_of_a_right_upstream_is_counted(fake: Upstream, programs: Programs, body: bytes) -> None:
    fake.set(tokens=3)
    moments: list[str] = []
    told = load.run(order(fake.port, body), program=programs.load, core=cores()[1], now=moments.append)
    assert moments == ["measuring", "measured"]
    assert told.sent == told.ok == told.statuses["200"] == fake.tally().requests
    assert 0 < told.requests <= told.ok
    assert told.latency_us
    assert 0 < told.latency_us.p50 <= told.latency_us.p99 <= told.latency_us.max * 1.01


def test_streams_are_counted_by_what_they_bring_and_their_gaps_measured(
    fake: Upstream, programs: Programs, body: bytes
) -> None:
    fake.set(tokens=10, pace_us=10_000)
    asked = replace(order(fake.port, streamed(body)), stream=True, tokens=10, seconds=0.5, spread_us=10_000)
    told = sent(asked, programs)
    assert told.ok == told.sent == fake.tally().streams
    assert told.chunks > told.requests
    assert told.gap_us
    assert 5_000 < told.gap_us.p50 < 40_000
    assert told.first_us
    assert told.first_us.p50 > 9_000


def test_a_rate_is_kept_and_once_is_once(fake: Upstream, programs: Programs, body: bytes) -> None:
    fake.set(tokens=3)
    for _ in range(5):
        told = sent(replace(order(fake.port, body), rate=200, seconds=0.5, warmup_s=0), programs)
        assert told.sent <= 100
        if told.sent >= 90:  # else it was not given the time to
            break
    assert told.sent >= 90
    assert sent(replace(order(fake.port, body), once=True, connections=7), programs).ok == 7


def test_whole_answers_and_streams_may_come_in_any_pieces(programs: Programs, body: bytes) -> None:
    with server(lambda nonce: whole(RIGHT.format(nonce=nonce))) as port:
        assert sent(order(port, body), programs).ok
    with server(lambda nonce: stream("", nonce[:3], nonce[3:] + " w", "ord word", size=7)) as port:
        assert sent(replace(order(port, body), stream=True), programs).ok


def test_a_server_that_closes_after_each_answer_is_connected_to_again(programs: Programs, body: bytes) -> None:
    def closing(nonce: str) -> bytes:
        return whole(RIGHT.format(nonce=nonce)).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)

    with server(closing) as port:
        told = sent(order(port, body), programs)
    assert told.ok == told.sent == told.reconnects


def test_a_refusal_is_right_where_it_is_expected(programs: Programs, body: bytes) -> None:
    refusal = b'HTTP/1.1 401 No\r\nContent-Length: 12\r\n\r\n{"code":"x"}'
    with server(lambda _: refusal) as port:
        assert sent(replace(order(port, body), status=401, contains='"code":"x"'), programs).ok
        with pytest.raises(WrongAnswer, match="not the expected body"):
            sent(replace(order(port, body), status=401, contains='"code":"y"'), programs)


WRONG_ANSWERS: dict[str, tuple[Callable[[str], bytes], str]] = {
    "of another request": (lambda _: whole(RIGHT.format(nonce="nonce-99999999")), "another text"),
    "too short": (lambda nonce: whole(f"{nonce} word"), "not the whole text"),
    "too long": (lambda nonce: whole(f"{nonce} word word word"), "another text"),
    "changed": (lambda nonce: whole(f"{nonce} word wird"), "another text"),
    "empty": (lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "not the whole text"),
    "an error": (lambda _: b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\n{}", "another status"),
    "none": (lambda _: b"", "connection closed"),
}
WRONG_STREAMS: dict[str, tuple[Callable[[str], bytes], str]] = {
    "too short": (lambda nonce: stream(nonce, " word"), "not the whole text"),
    "too long": (lambda nonce: stream(nonce, " word", " word", " word"), "another text"),
    "in another order": (lambda nonce: stream(" word", nonce, " word"), "another text"),
    "without its end": (lambda nonce: stream(nonce, " word", " word", end=""), "a stream without its end"),
    "cut off": (lambda nonce: stream(nonce, " word", " word")[:-40], "connection closed"),
    "in broken chunks": (
        lambda nonce: stream(nonce, " word", " word").replace(b"\r\n0\r\n\r\n", b"xx0\r\n\r\n"),
        "broken chunks",
    ),
}


@pytest.mark.parametrize("name", WRONG_ANSWERS)
def test_a_wrong_whole_answer_is_noticed(programs: Programs, body: bytes, name: str) -> None:
    answer, why = WRONG_ANSWERS[name]
    with server(answer) as port, pytest.raises(WrongAnswer, match=why):
        sent(order(port, body), programs)


@pytest.mark.parametrize("name", WRONG_STREAMS)
def test_a_wrong_stream_is_noticed(programs: Programs, body: bytes, name: str) -> None:
    answer, why = WRONG_STREAMS[name]

    def closing(nonce: str) -> bytes:
        return answer(nonce).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)

    with server(closing) as port, pytest.raises(WrongAnswer, match=why):
        sent(replace(order(port, body), stream=True), programs)


def test_a_body_without_a_nonce_is_refused(programs: Programs, fake: Upstream) -> None:
    with pytest.raises(WrongAnswer, match="exited with 2"):
        sent(order(fake.port, b"{}"), programs)


def test_the_programs_are_compiled_once(programs: Programs, tmp_path: Path) -> None:
    assert programs.load.parent.parent.name == "native"
    assert sorted(path.name for path in programs.load.parent.iterdir()) == ["load", "upstream"]
