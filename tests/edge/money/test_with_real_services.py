"""The money path with the real billing and usage: what the worker counts is what the books say in the end."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.clients import Clients
from edge.errors import EdgeError
from edge.money.holds import Hold
from edge.money.pace import Pace
from edge.money.path import MoneyPath
from edge.money.records import Record, Status
from edge.settings import EdgeSettings
from kit.bus import Bus
from privaterouter.billing.v1 import billing_pb2
from privaterouter.usage.v1 import usage_pb2
from tests.edge.money.world import CENT, hold, some_id
from tests.support.services import RunningServices
from tests.support.waiting import eventually

PACE = Pace(renew_s=0.5, tick_s=0.1, idle_s=0.5, ask_timeout_s=15.0, renew_timeout_s=15.0, close_s=15.0)


@pytest.fixture
async def clients(services: RunningServices, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Clients]:
    for name, value in services.environment.items():
        monkeypatch.setenv(name, value)
    connected = Clients.connect(EdgeSettings(edge_journal_dir=Path("unused")))
    yield connected
    await connected.close()


async def new_account(clients: Clients, nanos: int) -> str:
    """An account with so much."""
    account_id = some_id()
    opened = await clients.billing.OpenAccount(billing_pb2.OpenAccountRequest(account_id=account_id))
    if change := nanos - opened.account.posted_nanos:
        await clients.billing.AdjustBalance(
            billing_pb2.AdjustBalanceRequest(
                account_id=account_id, amount_nanos=change, reason="a test", idempotency_key="begin"
            )
        )
    return account_id


async def balance(clients: Clients, account_id: str) -> tuple[int, int]:
    """Posted and leased."""
    answer = await clients.billing.GetBalance(billing_pb2.GetBalanceRequest(account_id=account_id))
    return answer.account.posted_nanos, answer.account.leased_nanos


def new_record(account_id: str, key: str) -> Record:
    return Record(
        request_id=some_id(),
        account_id=account_id,
        api_key_id=key,
        start_time_ns=time.time_ns(),
        model_public_name="privaterouter/fast",
        endpoint="chat.completions",
        price_version_id=some_id(),
        input_nanos_per_mtok=100_000_000,
        output_nanos_per_mtok=300_000_000,
    )


def worker(clients: Clients, directory: Path) -> MoneyPath:
    return MoneyPath(clients.billing, clients.usage, journal_dir=directory, pace=PACE)


async def request(path: MoneyPath, account_id: str, key: str, full: int, cost: int) -> int | str:
    """What it cost, or why it was refused."""
    try:
        held = await hold(path, account_id, full, full, key=key)
    except EdgeError as error:
        return error.code
    made = new_record(account_id, key)
    path.open(held, made)
    await asyncio.sleep(0.01)
    made.status, made.http_status, made.output_tokens, made.cost_nanos = Status.SUCCESS, 200, 5, cost
    await path.finish(held, made)
    return made.cost_nanos


async def test_200_requests_at_once_on_the_money_for_50_spend_all_of_it_and_no_more(
    clients: Clients, tmp_path: Path
) -> None:
    account, key = await new_account(clients, 50 * CENT), some_id()
    path = worker(clients, tmp_path)
    await path.start()
    samples: list[tuple[int, int]] = []

    async def sample() -> None:
        while True:
            samples.append(await balance(clients, account))

    sampling = asyncio.create_task(sample())
    answers = await asyncio.gather(*(request(path, account, key, CENT, CENT) for _ in range(200)))
    await path.close()

    async def charged() -> bool:
        return await balance(clients, account) == (0, 0)

    await eventually(charged, within_s=10, what="all charges")
    sampling.cancel()
    await asyncio.gather(sampling, return_exceptions=True)
    assert answers.count(CENT) == 50
    assert {answer for answer in answers if answer != CENT} <= {"insufficient_credits", "credits_in_use"}
    assert all(0 <= leased <= posted for posted, leased in samples)
    assert list(tmp_path.iterdir()) == []


async def test_two_workers_and_two_keys_share_one_account_and_its_books_are_right(
    clients: Clients, services: RunningServices, tmp_path: Path
) -> None:
    account, keys = await new_account(clients, 300 * CENT), [some_id(), some_id()]
    chance = random.Random(3)  # noqa: S311 (the same every time, on purpose)
    workers = [worker(clients, tmp_path) for _ in range(2)]
    bus = await Bus.connect(services.environment["REDIS_URL"])

    async def hear(topic: str, payload: dict[str, str]) -> None:
        for path in workers:
            if payload.get("kind") == "recall":
                path.recall(payload["account_id"])

    hearing = asyncio.create_task(bus.subscribe(["accounts"], hear))
    for path in workers:
        await path.start()
    answers: list[int | str] = []
    for _ in range(5):
        answers += await asyncio.gather(
            *(
                request(chance.choice(workers), account, chance.choice(keys), 10 * CENT, chance.randrange(3 * CENT))
                for _ in range(20)
            )
        )
    for path in workers:
        await path.close()
    hearing.cancel()
    await asyncio.gather(hearing, return_exceptions=True)
    await bus.close()
    spent = sum(answer for answer in answers if isinstance(answer, int))

    async def charged() -> bool:
        return await balance(clients, account) == (300 * CENT - spent, 0)

    await eventually(charged, within_s=10, what=f"charges of {spent} in all")
    summary = await clients.usage.SummarizeUsage(
        usage_pb2.SummarizeUsageRequest(account_id=account, group=usage_pb2.SUMMARY_GROUP_API_KEY)
    )
    assert summary.total.cost_nanos == spent
    assert summary.total.requests == sum(isinstance(answer, int) for answer in answers)
    assert {answer for answer in answers if isinstance(answer, str)} <= {"credits_in_use"}


async def test_idle_leases_go_back_to_the_account(clients: Clients, tmp_path: Path) -> None:
    account, key = await new_account(clients, 100 * CENT), some_id()
    path = worker(clients, tmp_path)
    await path.start()
    assert await request(path, account, key, 10 * CENT, CENT) == CENT

    async def back() -> bool:
        return await balance(clients, account) == (99 * CENT, 0)

    await eventually(back, within_s=10, what="the lease to be closed")
    assert await path.ready()
    await path.close()


async def test_a_worker_that_vanishes_is_settled_by_the_next_one_on_its_disk(clients: Clients, tmp_path: Path) -> None:
    account, key = await new_account(clients, 100 * CENT), some_id()
    dead = worker(clients, tmp_path)  # never started: it ships nothing
    assert await request(dead, account, key, 10 * CENT, CENT) == CENT
    held: Hold = await hold(dead, account, 10 * CENT, key=key)
    running = new_record(account, key)
    running.output_tokens, running.cost_nanos = 4, 2 * CENT
    dead.open(held, running)
    await dead._journal.commit()
    dead._journal.close()
    heir = worker(clients, tmp_path)
    await heir.start()

    async def settled() -> bool:
        return await balance(clients, account) == (97 * CENT, 0)

    await eventually(settled, within_s=10, what="the charges of the dead")
    listed = await clients.usage.ListUsage(usage_pb2.ListUsageRequest(account_id=account))
    assert {(each.status, each.cost_nanos) for each in listed.records} == {
        (usage_pb2.USAGE_STATUS_SUCCESS, CENT),
        (usage_pb2.USAGE_STATUS_INTERRUPTED, 2 * CENT),
    }
    await heir.close()
    assert list(tmp_path.iterdir()) == []


async def test_a_key_stops_at_its_monthly_limit(clients: Clients, tmp_path: Path) -> None:
    account, key = await new_account(clients, 100 * CENT), some_id()
    path = worker(clients, tmp_path)
    await path.start()

    async def one() -> str:
        try:
            held = await hold(path, account, 2 * CENT, CENT, key=key, limit=5 * CENT)
        except EdgeError as error:
            return error.code
        made = new_record(account, key)
        path.open(held, made)
        made.status, made.output_tokens, made.cost_nanos = Status.SUCCESS, 1, held.nanos
        await path.finish(held, made)
        return str(held.nanos // CENT)

    assert [await one() for _ in range(3)] == ["2", "2", "1"]

    async def refused() -> bool:
        return await one() == "key_limit_reached"

    await eventually(refused, within_s=10)
    await path.close()
