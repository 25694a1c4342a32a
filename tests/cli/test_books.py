"""`privaterouter reconcile` and `ledger verify`, against real services whose books a test can spoil."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import typer

from cli.books import beginning
from tests.services.billing.test_audit import UNGUARDED
from tests.support.databases import Databases
from tests.support.money_services import COST, MoneyServices, money_services
from tests.support.stack import RunningStack, privaterouter

NOWHERE = "127.0.0.1:9"


@pytest.fixture
async def money(databases: Databases) -> AsyncIterator[MoneyServices]:
    """Billing and usage after three charged requests of ten minutes ago."""
    async with money_services(databases) as made:
        await made.record(await made.owner(), 3)
        await made.settled()
        made.catch_up()
        yield made


async def run(home: Path, *arguments: str, money: MoneyServices, **settings: str) -> "CompletedProcess[str]":
    where = {
        "AUTH_ADDR": NOWHERE,
        "CATALOG_ADDR": NOWHERE,
        "BILLING_ADDR": money.billing_target,
        "USAGE_ADDR": money.usage_target,
    }
    return await asyncio.to_thread(lambda: privaterouter(*arguments, home=home, **where | settings))


def by_check(document: dict[str, Any]) -> dict[str, tuple[int, int]]:
    return {check["check"]: (check["looked_at"], check["mismatches"]) for check in document["checks"]}


async def test_clean_books_are_status_0(money: MoneyServices, tmp_path: Path) -> None:
    told = await run(tmp_path, "reconcile", money=money)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.splitlines() == [
        "CHECK  RULE                                                 LOOKED AT  RESULT",
        "R1     the entries of each transaction sum to 0             4          ok",
        "R2     what is posted or charged is the sum of its entries  2          ok",
        "R3     what is leased is what remains of the leases         2          ok",
        "R4     every record is charged what it costs, and no other  3          ok",
        "R5     no lease is left 60 s after it could be released     0          ok",
        "R6     where nothing goes on, nothing is left or waiting    0          ok",
    ]
    document = json.loads((await run(tmp_path, "reconcile", "--all", "--json", money=money)).stdout)
    assert (document["clean"], document["from_time"]) == (True, None)
    assert document["backlog"] == {
        "open_records": 0,
        "waiting_charges": 0,
        "parked_charges": 0,
        "oldest_waiting_time": None,
    }
    assert by_check(document) == {"R1": (4, 0), "R2": (2, 0), "R3": (2, 0), "R4": (3, 0), "R5": (0, 0), "R6": (0, 0)}
    assert by_check(json.loads((await run(tmp_path, "ledger", "verify", "--json", money=money)).stdout)) == {
        "R1": (4, 0),
        "R2": (2, 0),
        "R3": (2, 0),
    }


async def test_only_what_is_new_enough_is_compared(money: MoneyServices, tmp_path: Path) -> None:
    told = await run(tmp_path, "reconcile", "--since", "5m", "--json", money=money)
    document = json.loads(told.stdout)
    assert by_check(document)["R4"] == (0, 0)
    age = datetime.now(UTC) - datetime.fromisoformat(document["from_time"])
    assert timedelta(minutes=5) <= age < timedelta(minutes=6)


async def test_a_balance_that_is_wrong_is_status_1_and_told(money: MoneyServices, tmp_path: Path) -> None:
    account = await money.admin.fetchval(
        "UPDATE billing.accounts SET posted_nanos = posted_nanos + 1 RETURNING account_id::text"
    )
    posted = 1_000_000_000 - 3 * COST
    told = await run(tmp_path, "ledger", "verify", money=money)
    assert told.returncode == 1
    assert told.stdout.splitlines()[2].endswith("1 wrong")
    assert told.stdout.splitlines()[-1].split()[:4] == ["R2", f"account/{account}", str(posted), str(posted + 1)]
    whole = await run(tmp_path, "reconcile", "--json", money=money)
    assert whole.returncode == 1
    document = json.loads(whole.stdout)
    assert document["clean"] is False
    assert [check["items"] for check in document["checks"] if check["items"]] == [
        [
            {
                "subject": f"account/{account}",
                "expected_nanos": posted,
                "actual_nanos": posted + 1,
                "detail": "what is posted is not the sum of the account's entries",
            }
        ]
    ]


async def test_more_differences_than_fit_are_counted(money: MoneyServices, tmp_path: Path) -> None:
    money.clock.behind = timedelta(minutes=10)
    await money.record(await money.owner(), 30)
    await money.settled()
    money.catch_up()
    await money.admin.execute(UNGUARDED)
    await money.admin.execute("UPDATE usage.usage_records SET cost_nanos = cost_nanos - 1")
    told = await run(tmp_path, "reconcile", money=money)
    assert told.returncode == 1
    lines = told.stdout.splitlines()
    assert lines[4].endswith("33 wrong")
    assert len([line for line in lines if line.startswith("R4")]) == 21
    assert lines[-1] == "... and 13 more: --json tells up to 1000 of each check."


async def test_a_backlog_is_told_and_is_right_unless_nothing_should_go_on(money: MoneyServices, tmp_path: Path) -> None:
    await money.close()
    money.clock.behind = timedelta(minutes=10)
    await money.record(await money.owner(), 2)
    money.catch_up()
    told = await run(tmp_path, "reconcile", money=money)
    assert told.returncode == 0
    assert told.stdout.splitlines()[6].endswith("not idle")
    assert told.stdout.splitlines()[-1] == ("2 charges wait for billing, 0 were refused by it; neither is compared.")
    idle = await run(tmp_path, "reconcile", "--idle", money=money)
    assert idle.returncode == 1
    assert "2 charges wait for billing" in idle.stdout


async def test_records_that_an_edge_has_left_in_its_journal_are_status_1_and_told(
    money: MoneyServices, tmp_path: Path
) -> None:
    worker = await money.admin.fetchval("UPDATE usage.workers SET journal_rows = 3 RETURNING worker_id::text")
    told = await run(tmp_path, "reconcile", money=money)
    assert told.returncode == 1
    assert [line.split()[-1] for line in told.stdout.splitlines()[1:7]] == [*5 * ["ok"], "wrong"]
    assert told.stdout.splitlines()[-1].split(maxsplit=4) == [
        "R6",
        f"worker/{worker}",
        "0",
        "0",
        "3 records wait in its journal, as it said last",
    ]


@pytest.mark.parametrize("away", ["BILLING_ADDR", "USAGE_ADDR"])
async def test_what_cannot_be_checked_is_status_3(money: MoneyServices, tmp_path: Path, away: str) -> None:
    told = await run(tmp_path, "reconcile", "--all", money=money, **{away: NOWHERE})
    assert (told.returncode, told.stdout, len(told.stderr.splitlines())) == (3, "", 1)


def test_without_a_stack_it_is_status_3(tmp_path: Path) -> None:
    assert privaterouter("ledger", "verify", home=tmp_path / "home").returncode == 3


@pytest.mark.parametrize("arguments", [("--since", "yesterday"), ("--since", "5"), ("--never",)])
def test_wrong_usage_is_status_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert privaterouter("reconcile", *arguments, home=tmp_path / "home").returncode == 2


def test_a_beginning_is_a_span_or_a_time() -> None:
    now = datetime(2026, 5, 15, 6, 23, tzinfo=UTC)
    assert beginning("30m", now) == datetime(2026, 5, 15, 5, 53, tzinfo=UTC)
    assert beginning("24h", now) == beginning("1d", now) == datetime(2026, 5, 14, 6, 23, tzinfo=UTC)
    assert beginning("2026-05-01", now) == datetime(2026, 5, 1, tzinfo=UTC)
    assert beginning("2026-05-01T02:00+02:00", now) == datetime(2026, 5, 1, tzinfo=UTC)
    with pytest.raises(typer.BadParameter):
        beginning("99999d ago", now)


def test_a_running_stack_is_clean(stack: RunningStack) -> None:
    told = stack.command("reconcile", "--all", "--json")
    assert (told.returncode, told.stderr) == (0, "")
    assert json.loads(told.stdout)["clean"] is True
