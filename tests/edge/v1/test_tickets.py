"""What a request takes and gives back, whatever its end."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from edge.errors import EdgeError
from edge.limits.buckets import Buckets
from edge.limits.rates import Rates
from edge.lookup.callers import Caller
from edge.lookup.catalogue import Plan
from edge.money.records import Record, Status
from edge.v1.idempotency import Claim, Idempotency, Replay
from edge.v1.tickets import Ticket, Tickets
from tests.edge.v1.gateway import CALLER

PLAN = Plan(
    "test",
    "test",
    0,
    0,
    60,
    all_models=True,
    allowed_models=frozenset(),
    monthly_quota_tokens=None,
    position=0,
    tpm=1_000,
    max_in_flight=1,
)
NOBODY = "redis://127.0.0.1:1/0"
REPLAY = Replay(b"{}", {})


class Keys(Idempotency):
    """Notes what becomes of keys."""

    def __init__(self) -> None:
        self.replay: Replay | None = None
        self.released: list[Claim] = []
        self.kept: list[tuple[Claim, bytes]] = []

    async def claim(self, key: str, caller: Caller, *, path: str, body: bytes, request_id: str) -> Claim | Replay:
        return self.replay or Claim(key, caller, request_id)

    async def release(self, claim: Claim) -> None:
        self.released.append(claim)

    async def keep_answer(self, claim: Claim, answer: bytes) -> None:
        self.kept.append((claim, answer))


class Stage:
    """Tickets with limits of this process alone."""

    def __init__(self, buckets: Buckets) -> None:
        self.keys = Keys()
        self.tickets = Tickets(Rates(buckets), self.keys)
        self.number = 0

    async def admit(self, tokens: int) -> Ticket:
        self.number += 1
        return await self.tickets.admit(CALLER, PLAN, request_id=str(self.number), tokens=tokens, shown={})

    async def keyed(self, tokens: int = 10) -> tuple[Ticket, Claim]:
        ticket = await self.admit(tokens)
        assert await self.tickets.claim(ticket, "key", path="/v1/x", body=b"{}") is None
        assert ticket.claim == Claim("key", CALLER, ticket.request_id)
        return ticket, ticket.claim


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    buckets = Buckets(NOBODY, probe_s=60)
    yield Stage(buckets)
    await buckets.close()


def record(status: Status, cost: int = 0, tokens: int = 0) -> Record:
    made = Record("1", "account-1", "key-1", 1)
    made.status, made.cost_nanos, made.input_tokens = status, cost, tokens
    return made


async def test_a_refused_request_is_told_where_its_limits_stand(stage: Stage) -> None:
    first = await stage.admit(900)
    shown: dict[str, str] = {}
    with pytest.raises(EdgeError, match="1 requests at the same time"):
        await stage.tickets.admit(CALLER, PLAN, request_id="x", tokens=10, shown=shown)
    assert shown["x-ratelimit-remaining-requests"] == "59"
    assert shown["x-ratelimit-remaining-tokens"] == "100"
    await stage.tickets.end(first, record(Status.SUCCESS, tokens=400))
    await stage.tickets.give_up(await stage.admit(600))
    with pytest.raises(EdgeError, match="1000 tokens a minute"):
        await stage.admit(700)
    assert (stage.keys.released, stage.keys.kept) == ([], [])


async def test_a_replay_is_no_claim(stage: Stage) -> None:
    stage.keys.replay = REPLAY
    ticket = await stage.admit(10)
    assert await stage.tickets.claim(ticket, "key", path="/v1/x", body=b"{}") is REPLAY
    await stage.tickets.give_up(ticket)
    assert stage.keys.released == []
    assert (await stage.admit(1_000)).admission.allowed


async def test_what_was_not_forwarded_gives_its_key_back(stage: Stage) -> None:
    ticket, claim = await stage.keyed()
    await stage.tickets.give_up(ticket)
    assert (stage.keys.released, stage.keys.kept) == ([claim], [])


@pytest.mark.parametrize("status", [Status.ERROR, Status.CANCELLED])
async def test_what_came_to_nothing_gives_its_key_back(stage: Stage, status: Status) -> None:
    ticket, claim = await stage.keyed()
    await stage.tickets.end(ticket, record(status))
    assert (stage.keys.released, stage.keys.kept) == ([claim], [])


async def test_what_was_paid_or_answered_keeps_its_key(stage: Stage) -> None:
    ticket, _ = await stage.keyed()
    await stage.tickets.end(ticket, record(Status.CANCELLED, cost=1))
    assert (stage.keys.released, stage.keys.kept) == ([], [])
    free, claim = await stage.keyed()
    await stage.tickets.end(free, record(Status.SUCCESS), answer=b"an answer")
    assert (stage.keys.released, stage.keys.kept) == ([], [(claim, b"an answer")])


async def test_a_key_may_have_limits_beside_its_plan(stage: Stage) -> None:
    caller = replace(CALLER, tpm_limit=50)
    ticket = await stage.tickets.admit(caller, PLAN, request_id="a", tokens=80, shown={})
    assert [bucket.size for bucket in ticket.admission.buckets] == [1_000, 50]
