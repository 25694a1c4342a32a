"""The model of docs/scale.md is made of what the code says, and its simulation is the same every time."""

import asyncio
import inspect
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast
from uuid import UUID

import pytest

from bench.scale import model, servers, sizes
from bench.scale.costs import WORKS, Parts, load
from bench.scale.edges import Memory
from bench.scale.model import Workload, load_of
from bench.scale.shapes import SIZED, shapes
from bench.scale.simulation import Run, run
from bench.scale.virtual_time import DeadlockError, simulate
from edge.money.book import Book
from edge.money.credit import Credit
from edge.money.pace import Pace
from edge.money.renewals import Renewals
from kit.database import Database
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from services.billing.ledger import Transaction, TransactionKind, entries_of
from services.billing.terms import Terms

COSTS = load()
SMALL = Workload(requests_s=20, edges=2, keys=100, billing_processes=2, usage_processes=2)


async def test_what_the_model_assumes_of_the_code_is_what_the_code_does() -> None:
    nobody = cast(BillingServiceStub, None)
    journal, pace = Memory("worker"), Pace()
    renewals = Renewals(nobody, Book(pace), journal, pace=pace, clock=lambda: 0.0)
    credit = Credit(nobody, Book(pace), journal, renewals, pace=pace, clock=lambda: 0.0, new_id=lambda: "")
    charge = Transaction(
        id=UUID(int=1),
        kind=TransactionKind.CHARGE,
        account_id=UUID(int=2),
        amount_nanos=-5,
        description="",
        create_time=datetime(2026, 5, 15, tzinfo=UTC),
    )

    assert (SMALL.pace, SMALL.terms) == (Pace(), Terms())
    assert credit._ask._idle == model.IN_FLIGHT
    assert inspect.signature(Database.connect).parameters["max_size"].default == servers.POOL
    assert len(entries_of(charge)) == sizes.ENTRIES


def test_the_tables_are_those_whose_rows_were_measured() -> None:
    assert shapes() == COSTS.shapes, "columns or indexes have changed: run make bench-costs"
    assert COSTS.works.keys() == set(WORKS)
    assert COSTS.sizes.keys() == {str(table) for table in SIZED}


@pytest.mark.parametrize(
    "field, slower",
    [("renew_calls", Pace(renew_s=20)), ("begun", Pace(idle_s=30)), ("reports", Pace(tick_s=2))],
)
def test_a_slower_pace_of_the_edges_leaves_less_to_do(field: str, slower: Pace) -> None:
    assert getattr(load_of(replace(SMALL, pace=slower), COSTS), field) < 0.6 * getattr(load_of(SMALL, COSTS), field)


def test_a_simulation_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    how = Run(warm_s=1, measured_s=2, seed=7)

    once = run(SMALL, COSTS, how)

    assert run(SMALL, COSTS, how) == once
    assert run(SMALL, COSTS, replace(how, seed=8)) != once


def test_model_and_simulation_agree_on_what_there_is_to_do() -> None:
    computed = load_of(SMALL, COSTS)

    simulated = run(SMALL, COSTS, Run(warm_s=10, measured_s=20))

    assert simulated.refused == 0
    assert {
        name: simulated.rates[name] / getattr(computed, name)
        for name in ("leases", "begun", "wishes", "renewed", "reports", "record_calls", "rounds", "wal_bytes")
    } == {
        name: pytest.approx(1, abs=0.25)
        for name in ("leases", "begun", "wishes", "renewed", "reports", "record_calls", "rounds", "wal_bytes")
    }


def test_a_simulated_hour_takes_no_time_and_a_deadlock_is_told() -> None:
    async def wait_an_hour() -> float:
        await asyncio.sleep(3_600)
        return asyncio.get_running_loop().time()

    async def wait_for_ever() -> None:
        await asyncio.get_running_loop().create_future()

    assert simulate(wait_an_hour) == pytest.approx(3_600)
    with pytest.raises(DeadlockError):
        simulate(wait_for_ever)


def test_costs_grow_with_the_call_its_rows_and_its_accounts() -> None:
    assert Parts(100, 10, 1).of(3, 2) == 132
