"""What is asked of the contestants: bodies, how many at a time, how fast the upstream answers, and of whom."""

import json
from dataclasses import dataclass, replace
from typing import Final

from bench.peers.load import NONCE
from bench.peers.ours import NAME as OURS

DIRECT: Final = "direct"
EVERYBODY: Final = (
    *(DIRECT, OURS),
    *("Envoy", "vllm-router", "sglang-router", "TensorZero", "ferrogw", "Portkey", "LiteLLM"),
)


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One kind of work; `connections` at a time, for `seconds` in each of `rounds`."""

    name: str
    title: str
    who: tuple[str, ...]
    rounds: int
    seconds: float
    connections: int = 32
    body_bytes: int = 0
    """The length of the prompt; 0 is a short one."""
    stream: bool = False
    tokens: int = 16
    pace_ms: int = 0
    half_of: str = ""
    """Not as fast as it goes, but at half of the rate that we reached in that workload."""
    status: int = 200
    contains: str = ""

    @property
    def spread_s(self) -> float:
        """The time in which connections begin: paced streams must not all begin, go on and end at the same moment."""
        return self.tokens * self.pace_ms / 1000 or 0.01

    def body(self, model: str) -> bytes:
        """A request's body for a contestant's model."""
        prompt = f"{NONCE} Say something."
        if len(prompt) < self.body_bytes:
            words = 'The quick brown fox jumps over the lazy dog, and says "how do you do?" to it.\n'
            prompt += " " + (words * (self.body_bytes // len(words) + 1))[: self.body_bytes - len(prompt) - 1]
        request = {
            "model": model,
            "max_tokens": max(64, self.tokens),
            "messages": [{"role": "user", "content": prompt}],
        }
        if self.stream:
            request["stream"] = True
        return json.dumps(request).encode()


def chosen(*, full: bool) -> tuple[Workload, ...]:
    """In the order in which they run; the quick ones are a selection, with fewer and shorter rounds."""
    return _full() if full else _quick()


def _quick() -> tuple[Workload, ...]:
    parsers = (DIRECT, OURS, "Envoy", "TensorZero", "ferrogw")
    chat = Workload(name="chat", title="Chat, small body, 32 at a time", who=EVERYBODY, rounds=3, seconds=1.5)
    paced = Workload(
        name="streams_paced",
        title="100 streams, an event each 10 ms",
        who=(DIRECT, OURS, "Envoy", "LiteLLM"),
        rounds=2,
        seconds=2.5,
        connections=100,
        stream=True,
        tokens=50,
        pace_ms=10,
    )
    streams = replace(
        paced, name="streams_flat_out", title="100 streams, flat out", who=parsers, seconds=1.5, tokens=100, pace_ms=0
    )
    return (
        chat,
        replace(chat, name="chat_20k", title="Chat, 20 KB body", who=parsers, rounds=2, body_bytes=20_000),
        replace(chat, name="chat_100k", title="Chat, 100 KB body", who=parsers, rounds=2, body_bytes=100_000),
        paced,
        streams,
        *_half(chat, streams),
        *_refused(chat),
    )


def _half(chat: Workload, streams: Workload) -> tuple[Workload, Workload]:
    both = (DIRECT, OURS)
    return (
        replace(chat, name="chat_half", title="Chat at half load", who=both, rounds=2, half_of=chat.name),
        replace(streams, name="streams_half", title="Streams at half load", who=both, rounds=2, half_of=streams.name),
    )


def _refused(chat: Workload) -> tuple[Workload, ...]:
    return tuple(
        replace(
            chat,
            name=f"refused_{status}",
            title=f"Refused with {status}",
            who=(OURS,),
            rounds=2,
            seconds=1,
            status=status,
            contains=text,
        )
        for status, text in (
            (401, '"code":"invalid_api_key"'),
            (402, '"code":"insufficient'),
            (429, '"code":"rate_limit'),
        )
    )


def _full() -> tuple[Workload, ...]:
    """The same of everybody, longer, and what needs its time."""
    longer = [replace(work, rounds=5, seconds=work.seconds * 3) for work in _quick()]
    everybody = [
        replace(work, who=EVERYBODY if DIRECT in work.who and not work.half_of else work.who) for work in longer
    ]
    paced = next(work for work in everybody if work.name == "streams_paced")
    crowd = replace(
        paced,
        name="streams_crowd",
        title="1,000 streams, an event each 100 ms",
        who=(DIRECT, OURS, "Envoy"),
        connections=1000,
        tokens=20,
        pace_ms=100,
    )
    return (*everybody, crowd)
