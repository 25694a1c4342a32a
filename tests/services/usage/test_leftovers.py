"""R5 and R6 between the real services: what is left is found by its own check only, and not before its time."""

import time
from datetime import timedelta

from kit.ids import uuid7
from privaterouter.billing.v1 import billing_pb2
from privaterouter.usage.v1 import usage_pb2 as pb
from services.usage.reconcile import Check
from services.usage.watch import Watch
from tests.services.billing.test_audit import verify
from tests.services.billing.world import CENT, Owner
from tests.services.usage.test_reconcile import LEFT, told, traffic
from tests.support.money_services import MoneyServices


async def lost_lease(money: MoneyServices, *, seconds: int = 211) -> tuple[Owner, str]:
    """A lease whose worker was lost so long ago; it is releasable after 150 s."""
    owner = await money.owner()
    lease_id = await money.world.lease(owner, 10 * CENT)
    await money.world.pass_time(seconds)
    money.catch_up()
    money.clock.elapsed_s = 120
    return owner, lease_id


async def left(money: MoneyServices) -> list[tuple[str, str, int, int, str]]:
    """What R5 and R6 find; R1 to R4 must find nothing."""
    assert (await verify(money.world))[1] == []
    assert (await money.reconcile())[2] == []
    return [told(mismatch) for mismatch in (await money.usage.ReconcileLeases(LEFT)).mismatches]


async def test_a_lease_left_a_minute_after_it_could_be_released_is_found_by_r5_only(money: MoneyServices) -> None:
    _, lease_id = await lost_lease(money)
    assert await left(money) == [
        ("OVERDUE_LEASES", f"lease/{lease_id}", 0, 10 * CENT, "not released for 61 s after it could have been")
    ]


async def test_a_lease_within_its_minute_is_right(money: MoneyServices) -> None:
    await lost_lease(money, seconds=205)
    assert await left(money) == []


async def test_a_lease_of_a_worker_that_speaks_or_is_not_settled_is_right(money: MoneyServices) -> None:
    owner, _ = await lost_lease(money)
    await money.usage.RecordUsage(pb.RecordUsageRequest(worker_id=owner.worker_id, alive=True))
    assert await left(money) == []
    silent, waiting = await lost_lease(money)
    assert [subject for _, subject, *_ in await left(money)] == [f"lease/{waiting}"]
    money.clock.behind = timedelta(minutes=10)
    await money.record(silent)
    money.catch_up()
    assert await left(money) == []


async def test_nobody_is_called_lost_before_usage_has_listened_for_long_enough(money: MoneyServices) -> None:
    await lost_lease(money)
    money.clock.elapsed_s = 119
    assert await left(money) == []


async def begin_lease(money: MoneyServices, *, minutes_ago: int) -> tuple[Owner, str]:
    owner = await money.owner()
    lease_id = str(uuid7(time.time_ns() - minutes_ago * 60 * 10**9, bytes))
    (grant,) = await money.world.acquire(owner.worker_id, owner.wish(5 * CENT, lease_id=lease_id))
    assert grant.outcome == billing_pb2.LEASE_OUTCOME_GRANTED
    money.catch_up()
    return owner, lease_id


async def test_a_lease_that_is_left_where_nothing_goes_on_is_found_by_r6_only(money: MoneyServices) -> None:
    owner, lease_id = await begin_lease(money, minutes_ago=3)
    detail = "sets credit aside although nothing goes on"
    assert await left(money) == [("IDLE", f"lease/{lease_id}", 0, 5 * CENT, detail)]
    await money.world.close(owner.worker_id, {lease_id: 0})
    assert await left(money) == []


async def test_a_new_lease_is_right_unless_it_is_said_that_nothing_goes_on(money: MoneyServices) -> None:
    owner, lease_id = await begin_lease(money, minutes_ago=1)
    assert await left(money) == []
    await money.record(owner, status=pb.USAGE_STATUS_OPEN, finish_reason="")
    answer = await money.usage.ReconcileLeases(pb.ReconcileLeasesRequest(assume_idle=True))
    assert [(mismatch.subject, mismatch.detail) for mismatch in answer.mismatches] == [
        ("open_records", "1 records are open"),
        (f"lease/{lease_id}", "sets credit aside although nothing goes on"),
    ]


async def test_while_something_goes_on_an_old_lease_is_right(money: MoneyServices) -> None:
    owner, _ = await begin_lease(money, minutes_ago=3)
    await money.record(owner, status=pb.USAGE_STATUS_OPEN, finish_reason="")
    assert await left(money) == []
    assert (await money.usage.ReconcileLeases(LEFT)).idle is False


async def say(money: MoneyServices, owner: Owner, *, journal_rows: int) -> None:
    request = pb.RecordUsageRequest(worker_id=owner.worker_id, alive=True, journal_rows=journal_rows)
    await money.usage.RecordUsage(request)


async def test_records_that_wait_in_a_journal_where_nothing_goes_on_are_found_by_r6_only(money: MoneyServices) -> None:
    owner, _ = await traffic(money)
    money.catch_up()
    await say(money, owner, journal_rows=3)
    found = ("IDLE", f"worker/{owner.worker_id}", 0, 0, "3 records wait in its journal, as it said last")
    assert await left(money) == [found]
    answer = await money.usage.ReconcileLeases(pb.ReconcileLeasesRequest(assume_idle=True))
    assert [told(mismatch) for mismatch in answer.mismatches] == [found]
    await say(money, owner, journal_rows=0)
    assert await left(money) == []


async def test_while_something_goes_on_a_journal_is_a_backlog_and_right(money: MoneyServices) -> None:
    owner, other = await money.owner(), await money.owner()
    money.catch_up()
    await say(money, owner, journal_rows=3)
    await money.record(other, status=pb.USAGE_STATUS_OPEN, finish_reason="")
    assert await left(money) == []


async def test_the_watch_tells_of_a_journal_when_it_sees_it_twice_until_it_is_shipped(money: MoneyServices) -> None:
    owner = await money.owner()
    money.catch_up()
    await say(money, owner, journal_rows=3)
    watch = Watch(money.usage_database, money.world.stub, money.left_leases, now=money.clock)
    assert await watch.check() == []
    (found,) = await watch.check()
    assert (found.check, found.subject) == (Check.IDLE, f"worker/{owner.worker_id}")
    await say(money, owner, journal_rows=0)
    assert await watch.check() == []


async def test_the_watch_takes_a_lease_for_left_only_when_it_sees_it_twice(money: MoneyServices) -> None:
    _, lease_id = await lost_lease(money)
    watch = Watch(money.usage_database, money.world.stub, money.left_leases, now=money.clock)
    assert await watch.check() == []
    (found,) = await watch.check()
    assert (found.check, found.subject) == (Check.OVERDUE_LEASES, f"lease/{lease_id}")
