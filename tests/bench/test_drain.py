"""The journal that bench.drain fills is one that an edge adopts, and its rates count what came after the first look."""

import asyncio
from pathlib import Path

import pytest

from bench import drain
from bench.drain import Account, Leg
from edge.money.store import Store
from kit.ids import IdFactory
from privaterouter.usage.v1.usage_pb2 import USAGE_STATUS_SUCCESS, UsageRecord

WORKER = "01900000-0000-7000-8000-000000000001"


def test_the_journal_holds_what_the_costs_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "RECORDS", 1_200)
    ids = IdFactory()
    accounts = [Account(ids.text(), ids.text(), ids.text(), 10**9) for _ in range(drain.ACCOUNTS)]
    costs = asyncio.run(drain.write_journal(tmp_path, WORKER, accounts, ids))
    (file,) = tmp_path.glob("*.journal")
    store = Store.open(file)
    finals = store.finals(after=0, most=10_000)
    leases = store.leases()
    store.close()
    records = [UsageRecord.FromString(row[-1]) for row in finals]
    assert len(records) == len({record.request_id for record in records}) == 1_200
    assert {record.status for record in records} == {USAGE_STATUS_SUCCESS}
    assert sum(costs.values()) == sum(record.cost_nanos for record in records)
    assert {account.id: leases[account.lease_id] for account in accounts} == costs


def test_every_cost_is_what_its_tokens_come_to() -> None:
    account = Account("a", "k", "l", 0)
    for number in range(300):
        record = drain.ended(account, number, worker_id=WORKER, ids=IdFactory())
        tokens = (record.input_tokens, record.output_tokens)
        prices = (record.input_nanos_per_mtok, record.output_nanos_per_mtok)
        assert record.cost_nanos * 10**6 == sum(count * price for count, price in zip(tokens, prices, strict=True))
        assert record.cost_nanos <= record.held_nanos


def test_a_rate_is_of_what_came_after_the_first_look() -> None:
    leg = Leg()
    for count, now_s in ((0, 1.0), (500, 2.0), (500, 3.0), (1_500, 4.0), (1_500, 9.0)):
        leg.note(count, now_s)
    assert leg.a_second == 500.0
    assert Leg(1.0, 10, 1.0, 10).a_second == 0.0
