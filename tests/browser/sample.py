"""Five weeks of a company on a stack, for pictures: its teams, their keys, their money and their calls."""

import asyncio
import math
import os
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx

from kit.client import channel
from kit.ids import uuid7
from kit.money import cost_nanos, parse_usd
from kit.timestamps import to_proto
from privaterouter.usage.v1 import usage_pb2 as pb
from privaterouter.usage.v1.usage_pb2_grpc import UsageServiceStub
from tests.support.customers import Customer
from tests.support.stack import RunningStack
from tests.support.waiting import eventually

DAYS = 35
SERVICE = pb.DESCRIPTOR.services_by_name["UsageService"]
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/153.0.0.0 Safari/537.36"
WORKER = "0190a000-0000-7000-8000-000000000001"
FAST, PRO, CODE, REASON, EMBED = (
    f"privaterouter/{name}" for name in ("fast", "qwen-pro", "deepseek-code", "deepseek-reason", "embed")
)
# All calls are reported today, and so booked today. That they were booked in their time is what no service may write.
BOOKED_IN_TIME = """
SET session_replication_role = replica;
CREATE TEMPORARY TABLE booked AS
    SELECT t.id AS old_id, u.request_id AS new_id, u.start_time + u.latency_ms * interval '1 millisecond' AS moment
    FROM billing.ledger_transactions AS t JOIN usage.usage_records AS u USING (request_id);
UPDATE billing.ledger_transactions SET id = new_id, create_time = moment, record_time = moment
    FROM booked WHERE id = old_id;
UPDATE billing.ledger_entries SET transaction_id = new_id FROM booked WHERE transaction_id = old_id;
UPDATE usage.usage_records SET record_time = moment FROM booked WHERE request_id = new_id;
UPDATE billing.key_months AS month SET charged_nanos = (
    SELECT coalesce(-sum(amount_nanos), 0) FROM billing.ledger_transactions AS t
    WHERE t.kind = 'charge' AND t.api_key_id = month.api_key_id AND t.create_time >= month.month
);
UPDATE auth.api_keys AS key SET last_use_time = (
    SELECT max(start_time) FROM usage.usage_records AS u WHERE u.api_key_id = key.id
);
"""
JOINED_IN_TIME = """
UPDATE auth.users SET create_time = $2 WHERE id = $1;
UPDATE auth.api_keys SET create_time = $2 WHERE user_id = $1;
"""


@dataclass(frozen=True, kw_only=True)
class Team:
    """An account of the company, which began `since` days ago; `models` are weighed."""

    name: str
    plan: str
    top_ups: tuple[int, ...] = ()
    calls_a_day: int
    since: int
    models: dict[str, int]
    keys: dict[str, dict[str, Any]] = field(default_factory=lambda: {"Production": {}})

    @property
    def email(self) -> str:
        """Their address."""
        return f"{self.name.lower().replace(' ', '-')}@example.com"


SHOP = Team(
    name="Web shop",
    plan="developer",
    top_ups=(25, 50),
    calls_a_day=240,
    since=DAYS,
    models={FAST: 5, PRO: 4, CODE: 3, REASON: 2, EMBED: 2},
    keys={
        "Product search": {"monthly_limit_usd": "40"},
        "Support assistant": {"monthly_limit_usd": "25", "rpm_limit": 60},
        "Nightly summaries": {"monthly_limit_usd": "10", "allowed_models": [FAST, PRO, CODE, REASON, EMBED]},
    },
)
TEAMS = (
    SHOP,
    Team(name="Research", plan="team", top_ups=(100,), calls_a_day=150, since=33, models={REASON: 4, PRO: 3}),
    Team(name="Mobile app", plan="developer", top_ups=(50,), calls_a_day=130, since=30, models={FAST: 5, EMBED: 2}),
    Team(name="Data platform", plan="pro", top_ups=(25, 10), calls_a_day=80, since=27, models={CODE: 4, EMBED: 3}),
    Team(name="Help desk", plan="starter", top_ups=(25,), calls_a_day=60, since=21, models={FAST: 3}),
    Team(name="Translation", plan="starter", top_ups=(10,), calls_a_day=40, since=16, models={FAST: 2}),
    Team(name="Internal tools", plan="free", calls_a_day=12, since=11, models={FAST: 1}),
    Team(name="Onboarding", plan="free", top_ups=(10,), calls_a_day=20, since=6, models={FAST: 1}),
    Team(name="Trial", plan="free", calls_a_day=6, since=2, models={FAST: 1}),
)


@dataclass(frozen=True, kw_only=True)
class Member:
    """A team that has signed up."""

    team: Team
    account_id: str
    key_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a model costs (nano-dollars for a million tokens), and where it is served."""

    version_id: str
    input_nanos: int
    output_nanos: int
    upstream: str
    upstream_model: str


@contextmanager
def company(stack: RunningStack) -> Iterator[tuple[Customer, Customer]]:
    """All of that on an empty stack; the team `SHOP`, and an operator."""
    browser = {"user-agent": BROWSER}
    with (
        httpx.Client(base_url=stack.places.api_url, timeout=60, headers=browser) as desk,
        httpx.Client(base_url=stack.places.api_url, timeout=60, headers=browser) as http,
    ):
        operator = Customer(stack, desk, email="operations@example.com")
        promoted = stack.command("admin", "create-admin", "--email", operator.email, "--existing")
        assert promoted.returncode == 0, promoted.stderr
        _done(operator.http.patch("/api/auth/me", json={"name": "Operations"}))
        shop = Customer(stack, http, email=SHOP.email)
        members = [_equipped(shop, SHOP, operator)]
        for team in TEAMS[1:]:
            with httpx.Client(base_url=stack.places.api_url, timeout=60) as theirs:
                members.append(_equipped(Customer(stack, theirs, email=team.email), team, operator))
        _administer(operator, members)
        offers = {model: _offer(operator, model) for model in (FAST, PRO, CODE, REASON, EMBED)}
        now, rng = datetime.now(UTC), random.Random(2026)  # noqa: S311 - the same company each time
        calls = [call for member in members for call in _calls(member, offers, rng=rng, now=now)]
        asyncio.run(_lived(stack, members, calls, now=now))
        yield shop, operator


def _equipped(someone: Customer, team: Team, operator: Customer) -> Member:
    plan = {"plan": team.plan, "reason": "Approved by the head of the department"}
    _done(operator.http.post(f"/api/admin/users/{someone.account_id}/plan", json=plan))
    _done(someone.http.patch("/api/auth/me", json={"name": team.name}))
    for amount in team.top_ups:
        _done(someone.http.post("/api/billing/topup", json={"amount_usd": amount}))
    first = someone.all_of("/api/keys")[0]["id"]
    for name, limits in team.keys.items():
        someone.new_key(name=name, **limits)
    _done(someone.http.delete(f"/api/keys/{first}"))
    ids = {key["name"]: key["id"] for key in someone.all_of("/api/keys")}
    return Member(team=team, account_id=someone.account_id, key_ids=tuple(ids[name] for name in team.keys))


def _administer(operator: Customer, members: Sequence[Member]) -> None:
    """Some of what operators do, for the audit log."""
    credit = {"amount_usd": "5.00", "reason": "An apology for yesterday's outage"}
    _done(operator.http.post(f"/api/admin/users/{members[3].account_id}/credits", json=credit))
    disabled = {"status": "disabled", "reason": "The trial is over"}
    _done(operator.http.patch(f"/api/admin/users/{members[-1].account_id}", json=disabled))
    prices = {"input_usd_per_mtok": "0.55", "output_usd_per_mtok": "1.65"}
    change = {"model": PRO, "prices": prices, "reason": "Electricity costs more from now on"}
    _done(operator.http.post("/api/admin/prices", json=change))


def _offer(operator: Customer, model: str) -> Offer:
    found = next(one for one in operator.all_of("/api/admin/models") if one["public_name"] == model)
    price = next(one for one in operator.all_of("/api/admin/prices", model=model) if one["is_current"])
    route = found["routes"][0]
    return Offer(
        version_id=price["version_id"],
        input_nanos=parse_usd(price["input_usd_per_mtok"]),
        output_nanos=parse_usd(price["output_usd_per_mtok"]),
        upstream=route["upstream_name"],
        upstream_model=route["upstream_model"],
    )


def _calls(member: Member, offers: dict[str, Offer], *, rng: random.Random, now: datetime) -> Iterator[pb.UsageRecord]:
    """What a team called: more from week to week, less on weekends, most of it in the daytime."""
    team = member.team
    for days_ago in range(team.since, -1, -1):
        midnight = (now - timedelta(days=days_ago)).replace(hour=0, minute=0, second=0, microsecond=0)
        pace = (0.35 if midnight.weekday() > 4 else 1.0) * (1.3 - 0.02 * days_ago) * rng.uniform(0.75, 1.25)
        for _ in range(max(1, round(team.calls_a_day * pace))):
            start = midnight + timedelta(hours=rng.triangular(0, 24, 13))
            if start < now - timedelta(minutes=2):
                model = rng.choices(list(team.models), list(team.models.values()))[0]
                yield _call(member, model, offers[model], start, rng=rng)


def _call(member: Member, model: str, offer: Offer, start: datetime, *, rng: random.Random) -> pb.UsageRecord:
    embeds = model == EMBED
    prompt = min(int(rng.lognormvariate(math.log(7_500), 0.7)), 7_400 if model in (FAST, EMBED) else 28_000)
    output = 0 if embeds else min(int(rng.lognormvariate(math.log(620), 0.8)), 6_000)
    record = pb.UsageRecord(
        request_id=str(uuid7(int(start.timestamp()) * 10**9, os.urandom)),
        worker_id=WORKER,
        account_id=member.account_id,
        # Each key is used half as much as the one before it.
        api_key_id=rng.choices(member.key_ids, [0.5**number for number in range(len(member.key_ids))])[0],
        model_public_name=model,
        upstream_name=offer.upstream,
        upstream_model=offer.upstream_model,
        endpoint="embeddings" if embeds else rng.choice(["chat.completions"] * 6 + ["responses", "messages"]),
        price_version_id=offer.version_id,
        input_nanos_per_mtok=offer.input_nanos,
        cached_input_nanos_per_mtok=offer.input_nanos,
        cache_write_input_nanos_per_mtok=offer.input_nanos,
        output_nanos_per_mtok=offer.output_nanos,
        start_time=to_proto(start),
        streamed=not embeds and rng.random() < 0.7,
    )
    if rng.random() < 0.015:
        record.MergeFrom(
            pb.UsageRecord(http_status=502, error_code="upstream_error", latency_ms=rng.randint(90, 4_000))
        )
        record.status = pb.USAGE_STATUS_ERROR
        return record
    record.status = pb.USAGE_STATUS_CANCELLED if not embeds and rng.random() < 0.02 else pb.USAGE_STATUS_SUCCESS
    record.http_status = 499 if record.status == pb.USAGE_STATUS_CANCELLED else 200
    record.input_tokens, record.output_tokens = prompt, output
    record.reasoning_tokens = output * 2 // 3 if model == REASON else 0
    record.cost_nanos = cost_nanos((prompt, offer.input_nanos), (output, offer.output_nanos))
    record.held_nanos = 2 * record.cost_nanos
    first_token_ms = rng.randint(120, 700) + prompt // 30
    record.latency_ms = first_token_ms + output * 1_000 // rng.randint(70, 110)
    if not embeds:
        record.first_token_ms = first_token_ms
        record.finish_reason = "stop"
    return record


async def _lived(
    stack: RunningStack, members: Sequence[Member], calls: Sequence[pb.UsageRecord], *, now: datetime
) -> None:
    """Report the calls as an edge does, wait until they are charged, and then date everything back."""
    async with channel(stack.places.address("usage"), SERVICE, timeout_s=60) as connected:
        for first in range(0, len(calls), 2_000):
            batch = pb.RecordUsageRequest(worker_id=WORKER, records=calls[first : first + 2_000])
            answer = await UsageServiceStub(connected).RecordUsage(batch)
            assert {result.outcome for result in answer.results} == {pb.RECORD_OUTCOME_TAKEN}, answer
    database = await asyncpg.connect(stack.places.database_url)
    try:

        async def charged() -> bool:
            count = await database.fetchval("SELECT count(*) FROM billing.ledger_transactions WHERE kind = 'charge'")
            return bool(count == sum(call.cost_nanos > 0 for call in calls))

        await eventually(charged, within_s=120, what="the charges")
        await database.execute(BOOKED_IN_TIME)
        for member in members:
            await _joined(database, member, now=now)
    finally:
        await database.close()


async def _joined(database: "asyncpg.Connection[asyncpg.Record]", member: Member, *, now: datetime) -> None:
    """Date a team's sign-up and its credits back, these evenly over its time."""
    joined = now - timedelta(days=member.team.since, minutes=37 * len(member.team.name))
    for statement in JOINED_IN_TIME.strip().splitlines():
        await database.execute(statement, member.account_id, joined)
    credited = await database.fetch(
        "SELECT id FROM billing.ledger_transactions WHERE account_id = $1 AND kind <> 'charge' ORDER BY id",
        member.account_id,
    )
    for number, row in enumerate(credited):
        moment = joined + (now - joined) * number / len(credited)
        moved = uuid7(int(moment.timestamp()) * 10**9, os.urandom)
        await database.execute(
            "UPDATE billing.ledger_transactions SET id = $2, create_time = $3 WHERE id = $1", row["id"], moved, moment
        )
        await database.execute(
            "UPDATE billing.ledger_entries SET transaction_id = $2 WHERE transaction_id = $1", row["id"], moved
        )


def _done(answer: httpx.Response) -> None:
    assert answer.is_success, answer.text
