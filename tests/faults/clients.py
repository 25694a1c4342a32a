"""Clients that do what they were told and write down all they saw: one of the two outside witnesses of a run."""

import asyncio
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from kit.money import parse_usd
from tests.faults.cluster import EDGES, Cluster
from tests.faults.office import MODEL, Customer

PATIENCE_S = 40.0
"""Longer than anything may take: a client that hangs is a finding."""


@dataclass(frozen=True)
class Wish:
    """One request, and how its client behaves."""

    nonce: str
    """Stands in the prompt: by it the upstream's entry is found, also where no answer came."""
    secret: str
    account_id: str
    edge: str
    streamed: bool = True
    max_tokens: int = 8
    script: dict[str, Any] = field(default_factory=dict)
    """How the upstream answers: the fields of `tests.support.fake_upstream.Script`."""
    leave_after_chunks: int | None = None
    leave_after_s: float | None = None

    @property
    def is_honest(self) -> bool:
        """Whether the upstream tells the true usage."""
        return bool(self.script.get("usage", "true") == "true")


@dataclass
class Seen:
    """What a client saw of one request."""

    wish: Wish
    status: int = 0
    """0: no answer."""
    request_id: str = ""
    body_bytes: int = 0
    tokens: int = 0
    """Deltas with content; of an answer that was not streamed, tokens of its text."""
    done: bool = False
    """All of the answer has come, and it is no error."""
    error_code: str = ""
    cost_nanos: int | None = None
    begun_s: float = 0.0
    ended_s: float = 0.0
    left: bool = False

    @property
    def is_refused(self) -> bool:
        """Whether it was told that nothing comes."""
        return self.status >= 400 or bool(self.error_code)


async def send(session: aiohttp.ClientSession, cluster: Cluster, wish: Wish) -> Seen:
    """Sends one request and follows it to its end."""
    seen = Seen(wish, begun_s=time.monotonic())
    body = {
        "model": MODEL,
        "stream": wish.streamed,
        "max_tokens": wish.max_tokens,
        "user": json.dumps(wish.script),
        "messages": [{"role": "user", "content": wish.nonce}],
    }
    try:
        async with asyncio.timeout(PATIENCE_S if wish.leave_after_s is None else wish.leave_after_s):
            url = f"{cluster.api_url(wish.edge)}/v1/chat/completions"
            async with session.post(url, json=body, headers={"authorization": f"Bearer {wish.secret}"}) as answer:
                seen.status = answer.status
                seen.request_id = answer.headers.get("x-request-id", "")
                if answer.status == 200 and wish.streamed:
                    await _follow(answer, seen)
                else:
                    _read(await answer.read(), answer, seen)
    except TimeoutError:
        assert wish.leave_after_s is not None, f"an answer took longer than {PATIENCE_S} s: {seen}"
        seen.left = True
    except (aiohttp.ClientError, OSError):
        pass  # what was seen until then is written down
    seen.ended_s = time.monotonic()
    return seen


async def _follow(answer: aiohttp.ClientResponse, seen: Seen) -> None:
    chunks = 0
    async for line in answer.content:
        seen.body_bytes += len(line)
        data = line.removeprefix(b"data: ").strip()
        if data == b"[DONE]":
            seen.done = not seen.error_code
        elif line.startswith(b"data: "):
            event = json.loads(data)
            seen.error_code = seen.error_code or (event.get("error") or {}).get("code", "")
            seen.tokens += sum(bool(choice.get("delta", {}).get("content")) for choice in event.get("choices", ()))
            chunks += 1
            if seen.wish.leave_after_chunks == chunks:
                seen.left = True
                answer.close()
                return


def _read(body: bytes, answer: aiohttp.ClientResponse, seen: Seen) -> None:
    seen.body_bytes = len(body)
    content = json.loads(body)
    if answer.status == 200:
        seen.tokens = content["choices"][0]["message"]["content"].count("tok ")
        seen.cost_nanos = parse_usd(answer.headers["x-privaterouter-cost-usd"])
        seen.done = True
    else:
        seen.error_code = content["error"]["code"]


class Crowd:
    """Clients that send one request after the other until they are told to stop.

    What each wishes for depends on the seed and its number alone, not on what it is answered.
    """

    def __init__(
        self,
        cluster: Cluster,
        customers: list[Customer],
        *,
        seed: str,
        size: int,
        wish: "Callable[[random.Random, str, Customer], Wish]",
    ) -> None:
        self.seen: list[Seen] = []
        self._cluster = cluster
        self._customers = customers
        self._seed = seed
        self._wish = wish
        self._stopping = asyncio.Event()
        self._tasks = [asyncio.create_task(self._be(number)) for number in range(size)]

    async def stop(self) -> list[Seen]:
        """Lets running requests end, and answers all that was seen."""
        self._stopping.set()
        await asyncio.gather(*self._tasks)
        return self.seen

    async def _be(self, number: int) -> None:
        rng = random.Random(f"{self._seed}/{number}")  # noqa: S311 (a schedule that can be repeated)
        async with aiohttp.ClientSession() as session:
            sent = 0
            while not self._stopping.is_set():
                customer = rng.choice(self._customers)
                sent += 1
                seen = await send(session, self._cluster, self._wish(rng, f"{self._seed}/{number}/{sent}", customer))
                self.seen.append(seen)
                if seen.status != 200:
                    # As a client with any sense: not at once again.
                    await asyncio.sleep(0.05)


def any_wish(rng: random.Random, nonce: str, customer: Customer) -> Wish:
    """One of everything that clients and upstreams do."""
    tokens = rng.choice((1, 3, 8, 20, 40))
    script: dict[str, Any] = {"before_token_s": rng.choice((0, 0.002, 0.01, 0.03))}
    leave_after_chunks = leave_after_s = None
    match rng.randrange(12):
        case 0:
            leave_after_chunks = rng.randrange(1, tokens + 2)
        case 1:
            leave_after_s = rng.choice((0.001, 0.01, 0.1))
        case 2:
            script |= {"cut_after_bytes": rng.randrange(1, 2_000)}
        case 3:
            script |= {"status": rng.choice((429, 500, 503))}
        case 4:
            script |= {"usage": rng.choice(("omit", {"prompt_tokens": -5}, {"prompt_tokens": 1, "total_tokens": 9}))}
        case _:
            pass
    return Wish(
        nonce=nonce,
        secret=rng.choice(customer.secrets),
        account_id=customer.account_id,
        edge=rng.choice(EDGES),
        streamed=rng.random() < 0.7,
        max_tokens=tokens,
        script=script,
        leave_after_chunks=leave_after_chunks,
        leave_after_s=leave_after_s,
    )
