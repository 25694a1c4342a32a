"""VerifyLedger: clean books are clean, and each corruption is found by its own check and by no other."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import grpc
import pytest

from kit.errors import RemoteError
from kit.timestamps import to_proto
from privaterouter.billing.v1 import billing_pb2 as pb
from services.billing.audit import Check
from services.billing.watch import Watch
from tests.services.billing.world import CENT, USD, Owner, World, some_id
from tests.support.databases import Databases

PARTS = (
    pb.LEDGER_PART_TRANSACTIONS,
    pb.LEDGER_PART_ACCOUNTS,
    pb.LEDGER_PART_API_KEYS,
    pb.LEDGER_PART_LEASES,
)

# What an owner of the tables can do, and the service's role cannot.
UNGUARDED = """
ALTER TABLE billing.ledger_entries DISABLE TRIGGER ALL;
ALTER TABLE billing.ledger_transactions DISABLE TRIGGER ALL;
ALTER TABLE billing.leases DROP CONSTRAINT leases_released_check;
"""


async def verify(
    world: World, *, limit: int = 2, from_time: datetime | None = None
) -> tuple[list[int], list[pb.LedgerMismatch]]:
    """How many rows each part looked at, in pages of `limit`, and everything that is wrong."""
    checked: list[int] = []
    found: list[pb.LedgerMismatch] = []
    for part in PARTS:
        request = pb.VerifyLedgerRequest(part=part, limit=limit, from_time=to_proto(from_time) if from_time else None)
        number = 0
        while True:
            answer = await world.stub.VerifyLedger(request)
            assert answer.checked <= limit
            number += answer.checked
            found += answer.mismatches
            if not answer.next_page_token:
                break
            request.page_token = answer.next_page_token
        checked.append(number)
    return checked, found


def told(mismatch: pb.LedgerMismatch) -> tuple[str, str, int, int]:
    check = pb.LedgerCheck.Name(mismatch.check).removeprefix("LEDGER_CHECK_")
    return check, mismatch.subject, mismatch.expected_nanos, mismatch.actual_nanos


async def traffic(world: World) -> Owner:
    """Two customers with leases, charges from them and beyond them, a top-up; the one who has a lease left."""
    other = await world.owner(USD)
    gone = await world.lease(other, 10 * CENT)
    assert await world.settle(other.charge(4 * CENT, lease_id=gone), other.charge(2 * USD)) == ["BOOKED", "BOOKED"]
    await world.close(other.worker_id, {gone: 4 * CENT})
    owner = await world.owner(USD)
    lease_id = await world.lease(owner, 30 * CENT)
    await world.settle(owner.charge(7 * CENT, lease_id=lease_id), owner.charge(CENT))
    request = pb.TopUpRequest(account_id=owner.account_id, amount_nanos=10 * USD, idempotency_key="once")
    await world.stub.TopUp(request)
    return owner


async def test_books_after_real_traffic_are_clean_in_pages_of_any_size(world: World) -> None:
    await traffic(world)
    for limit in (1, 2, 1_000):
        checked, found = await verify(world, limit=limit)
        assert found == []
        # Two openings, a top-up and four charges; two accounts, two keys, two leases.
        assert checked == [7, 2, 2, 2]


async def test_only_what_is_new_or_lent_is_looked_at_from_a_time_on(world: World) -> None:
    await traffic(world)
    assert await verify(world, from_time=datetime.now(UTC) - timedelta(hours=1)) == ([7, 2, 2, 2], [])
    # Nothing is as new as that, but the account and the key with a lease that is open.
    assert await verify(world, from_time=datetime.now(UTC) + timedelta(hours=1)) == ([0, 1, 1, 0], [])


async def first(world: World, query: str, *arguments: str) -> str:
    return str(await world.admin.fetchval(query, *arguments))


A_TOP_UP = "SELECT id FROM billing.ledger_transactions WHERE kind = 'top_up' AND account_id = $1::text::uuid"
A_CHARGE = "SELECT id FROM billing.ledger_transactions WHERE kind = 'charge' AND account_id = $1::text::uuid LIMIT 1"

Spoil = Callable[[World, Owner], Awaitable[tuple[str, str, int, int]]]


async def an_entry_of_the_house_is_changed(world: World, owner: Owner) -> tuple[str, str, int, int]:
    charge = await first(world, A_CHARGE, owner.account_id)
    await world.admin.execute(
        "UPDATE billing.ledger_entries SET amount_nanos = amount_nanos + 5"
        " WHERE transaction_id = $1::text::uuid AND account_kind = 'revenue'",
        charge,
    )
    return "ENTRIES", f"transaction/{charge}", 0, 5


async def a_transaction_says_another_amount(world: World, owner: Owner) -> tuple[str, str, int, int]:
    top_up = await first(world, A_TOP_UP, owner.account_id)
    amount = int(
        await first(
            world,
            "UPDATE billing.ledger_transactions SET amount_nanos = amount_nanos - 3"
            " WHERE id = $1::text::uuid RETURNING amount_nanos",
            top_up,
        )
    )
    return "ENTRIES", f"transaction/{top_up}", amount, amount + 3


async def a_transaction_has_no_entries(world: World, owner: Owner) -> tuple[str, str, int, int]:
    transaction_id = some_id()
    await world.admin.execute(
        "INSERT INTO billing.ledger_transactions (id, kind, account_id, amount_nanos, description, create_time,"
        " external_ref) VALUES ($1::text::uuid, 'top_up', $2::text::uuid, 10, '', now(), 'made up')",
        transaction_id,
        owner.account_id,
    )
    return "ENTRIES", f"transaction/{transaction_id}", 10, 0


async def a_balance_is_changed(world: World, owner: Owner) -> tuple[str, str, int, int]:
    before = (await world.account(owner)).posted_nanos
    await world.admin.execute(
        "UPDATE billing.accounts SET posted_nanos = posted_nanos + 1 WHERE account_id = $1::text::uuid",
        owner.account_id,
    )
    return "POSTED", f"account/{owner.account_id}", before, before + 1


async def more_is_leased_of_an_account_than_it_lent(world: World, owner: Owner) -> tuple[str, str, int, int]:
    await world.admin.execute(
        "UPDATE billing.accounts SET leased_nanos = leased_nanos + 9 WHERE account_id = $1::text::uuid",
        owner.account_id,
    )
    return "LEASED", f"account/{owner.account_id}", 23 * CENT, 23 * CENT + 9


async def less_is_leased_of_a_key_than_it_was_lent(world: World, owner: Owner) -> tuple[str, str, int, int]:
    await world.admin.execute(
        "UPDATE billing.key_months SET leased_nanos = leased_nanos - 9 WHERE api_key_id = $1::text::uuid",
        owner.api_key_id,
    )
    return "LEASED", f"api_key/{owner.api_key_id}/2026-05", 23 * CENT, 23 * CENT - 9


async def a_key_was_charged_something_else(world: World, owner: Owner) -> tuple[str, str, int, int]:
    await world.admin.execute(
        "UPDATE billing.key_months SET charged_nanos = charged_nanos + 9 WHERE api_key_id = $1::text::uuid",
        owner.api_key_id,
    )
    return "POSTED", f"api_key/{owner.api_key_id}/2026-05", 8 * CENT, 8 * CENT + 9


async def a_key_that_was_never_charged_says_it_was(world: World, owner: Owner) -> tuple[str, str, int, int]:
    api_key_id = some_id()
    await world.lease(replace(owner, api_key_id=api_key_id), CENT)
    await world.admin.execute(
        "UPDATE billing.key_months SET charged_nanos = 1 WHERE api_key_id = $1::text::uuid", api_key_id
    )
    return "POSTED", f"api_key/{api_key_id}/2026-05", 0, 1


async def a_released_lease_keeps_something(world: World, owner: Owner) -> tuple[str, str, int, int]:
    lease_id = await first(world, "SELECT lease_id FROM billing.leases WHERE state = 'released'")
    await world.admin.execute(
        "UPDATE billing.leases SET returned_nanos = returned_nanos - 2 WHERE lease_id = $1::text::uuid", lease_id
    )
    return "LEASED", f"lease/{lease_id}", 0, 2


SPOILS: list[Spoil] = [
    an_entry_of_the_house_is_changed,
    a_transaction_says_another_amount,
    a_transaction_has_no_entries,
    a_balance_is_changed,
    more_is_leased_of_an_account_than_it_lent,
    less_is_leased_of_a_key_than_it_was_lent,
    a_key_was_charged_something_else,
    a_key_that_was_never_charged_says_it_was,
    a_released_lease_keeps_something,
]


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)
async def test_a_corruption_is_found_by_its_own_check_and_by_no_other(unaudited: World, spoil: Spoil) -> None:
    owner = await traffic(unaudited)
    await unaudited.admin.execute(UNGUARDED)
    expected = await spoil(unaudited, owner)
    _, found = await verify(unaudited)
    assert [told(mismatch) for mismatch in found] == [expected]
    assert found[0].detail
    _, recent = await verify(unaudited, from_time=datetime.now(UTC) - timedelta(hours=1))
    assert recent == found


async def test_an_entry_in_another_account_is_found(unaudited: World) -> None:
    owner, other = await traffic(unaudited), await unaudited.owner(USD)
    await unaudited.admin.execute(UNGUARDED)
    charge = await first(unaudited, A_CHARGE, owner.account_id)
    await unaudited.admin.execute(
        "UPDATE billing.ledger_entries SET account_id = $2::text::uuid"
        " WHERE transaction_id = $1::text::uuid AND account_kind = 'customer'",
        charge,
        other.account_id,
    )
    _, found = await verify(unaudited)
    assert [(mismatch.subject, mismatch.detail) for mismatch in found] == [
        (f"transaction/{charge}", "an entry is in another account than the transaction")
    ]


async def test_a_charge_counts_in_the_month_its_lease_began_in_and_without_one_in_its_own(unaudited: World) -> None:
    owner, other = await unaudited.owner(USD), await unaudited.owner(USD)
    lease_id = await unaudited.lease(owner, 30 * CENT)
    in_may = owner.charge(7 * CENT, lease_id=lease_id)
    await unaudited.settle(in_may)
    unaudited.clock.now += timedelta(days=30)
    of_another = other.charge(3 * CENT, lease_id=lease_id)
    revised = owner.charge(-CENT, lease_id=lease_id, request_id=in_may.request_id, revision=2)
    late = owner.charge(5 * CENT, lease_id=lease_id)
    assert await unaudited.settle(revised, late, owner.charge(2 * CENT), of_another) == 4 * ["BOOKED"]
    for limit in (1, 2, 100):
        assert (await verify(unaudited, limit=limit))[1] == []
    # The same in all, but in the wrong months.
    for month, nanos in (("2026-05-01", -CENT), ("2026-06-01", CENT)):
        await unaudited.admin.execute(
            "UPDATE billing.key_months SET charged_nanos = charged_nanos + $3"
            " WHERE api_key_id = $1::text::uuid AND month = $2::text::date",
            owner.api_key_id,
            month,
            nanos,
        )
    for limit in (1, 2, 100):
        assert [told(mismatch) for mismatch in (await verify(unaudited, limit=limit))[1]] == [
            ("POSTED", f"api_key/{owner.api_key_id}/2026-05", 11 * CENT, 10 * CENT),
            ("POSTED", f"api_key/{owner.api_key_id}/2026-06", 2 * CENT, 3 * CENT),
        ]


@pytest.fixture
async def watch(unaudited: World, databases: Databases) -> Watch:
    database = await databases.connect("billing", unaudited.url)
    return Watch(database, clock=lambda: datetime.now(UTC))


async def test_the_watch_finds_what_comes_after_it_has_looked_and_forgets_what_is_put_right(
    unaudited: World, watch: Watch, capfd: pytest.CaptureFixture[str]
) -> None:
    owner = await traffic(unaudited)
    assert await watch.check() == []
    await unaudited.settle(owner.charge(CENT))
    assert await watch.check() == []
    change = "UPDATE billing.accounts SET posted_nanos = posted_nanos + $2 WHERE account_id = $1::text::uuid"
    await unaudited.admin.execute(change, owner.account_id, 1)
    for _ in range(2):
        (found,) = await watch.check()
        assert (found.check, found.subject) == (Check.POSTED, f"account/{owner.account_id}")
    await unaudited.admin.execute(change, owner.account_id, -1)
    assert await watch.check() == []


async def test_the_watch_finds_what_is_wrong_in_what_it_knew_of_a_key(unaudited: World, databases: Databases) -> None:
    owner = await traffic(unaudited)
    later = Watch(
        await databases.connect("billing", unaudited.url), clock=lambda: datetime.now(UTC) + timedelta(minutes=30)
    )
    assert await later.check() == []
    (known,) = (months for key, (_, months) in later._sums.known_keys.items() if str(key) == owner.api_key_id)
    assert dict(known) == {date(2026, 5, 1): 8 * CENT}
    await unaudited.settle(owner.charge(CENT))
    assert await later.check() == []
    change = "UPDATE billing.key_months SET charged_nanos = charged_nanos + $2 WHERE api_key_id = $1::text::uuid"
    await unaudited.admin.execute(change, owner.api_key_id, 1)
    for _ in range(2):
        (found,) = await later.check()
        assert (found.check, found.expected_nanos, found.actual_nanos) == (Check.POSTED, 9 * CENT, 9 * CENT + 1)
    await unaudited.admin.execute(change, owner.api_key_id, -1)
    assert await later.check() == []


async def test_the_watch_does_not_read_old_entries_again(unaudited: World, databases: Databases) -> None:
    owner = await traffic(unaudited)
    database = await databases.connect("billing", unaudited.url)
    # In an hour, what is booked now is old.
    later = Watch(database, clock=lambda: datetime.now(UTC) + timedelta(minutes=30))
    assert await later.check() == []
    known = later._sums.known
    assert {str(account_id) for account_id in known} >= {owner.account_id}
    assert (
        known[next(key for key in known if str(key) == owner.account_id)][1]
        == (await unaudited.account(owner)).posted_nanos
    )
    await unaudited.settle(owner.charge(CENT))
    assert await later.check() == []


@pytest.mark.parametrize(
    "request_",
    [
        pb.VerifyLedgerRequest(),
        pb.VerifyLedgerRequest(part=pb.LEDGER_PART_ACCOUNTS, page_token="nonsense"),
        pb.VerifyLedgerRequest(part=pb.LEDGER_PART_API_KEYS, page_token="nonsense"),
        pb.VerifyLedgerRequest(part=pb.LEDGER_PART_LEASES, limit=10_001),
    ],
    ids=lambda request: json.dumps(str(request)),
)
async def test_a_request_that_makes_no_sense_is_refused(world: World, request_: pb.VerifyLedgerRequest) -> None:
    with pytest.raises(RemoteError) as caught:
        await world.stub.VerifyLedger(request_)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT


async def test_charges_are_listed_by_record_time_with_the_sum_of_their_revisions(world: World) -> None:
    owner = await world.owner(USD)
    late, early = owner.charge(3 * CENT), owner.charge(5 * CENT)
    early.record_time.seconds -= 60
    again = owner.charge(-CENT, request_id=late.request_id, revision=2)
    assert await world.settle(late, early, again) == ["BOOKED", "BOOKED", "BOOKED"]

    def listed(charge: pb.Charge, nanos: int) -> pb.RequestCharge:
        return pb.RequestCharge(
            request_id=charge.request_id,
            record_time=charge.record_time,
            account_id=owner.account_id,
            amount_nanos=nanos,
        )

    expected = [listed(early, 5 * CENT), listed(late, 2 * CENT)]
    assert list((await world.stub.ListCharges(pb.ListChargesRequest())).charges) == expected
    one = await world.stub.ListCharges(pb.ListChargesRequest(limit=1))
    assert list(one.charges) == expected[:1]
    rest = await world.stub.ListCharges(pb.ListChargesRequest(limit=5, after=one.charges[0]))
    assert list(rest.charges) == expected[1:]
    before = await world.stub.ListCharges(pb.ListChargesRequest(to_time=late.record_time))
    assert list(before.charges) == expected[:1]
    since = await world.stub.ListCharges(pb.ListChargesRequest(from_time=late.record_time))
    assert list(since.charges) == expected[1:]
    by_id = await world.stub.ListCharges(pb.ListChargesRequest(request_ids=[late.request_id, some_id()]))
    assert list(by_id.charges) == expected[1:]


async def test_unreleased_leases_say_since_when_they_might_be_gone(world: World) -> None:
    owner = await world.owner(USD)
    lease_id = await world.lease(owner, 30 * CENT)
    released = await world.lease(owner, 10 * CENT)
    await world.close(owner.worker_id, {released: 0})
    (lease,) = (await world.stub.ListUnreleasedLeases(pb.ListUnreleasedLeasesRequest())).leases
    assert lease == pb.UnreleasedLease(
        lease_id=lease_id,
        worker_id=owner.worker_id,
        account_id=owner.account_id,
        remainder_nanos=30 * CENT,
        overdue_ms=-150_000,
    )
    overdue = pb.ListUnreleasedLeasesRequest(least_overdue_ms=10_000)
    await world.pass_time(155)
    (lease,) = (await world.stub.ListUnreleasedLeases(pb.ListUnreleasedLeasesRequest())).leases
    assert (lease.overdue_ms, lease.expired) == (5_000, True)
    assert not (await world.stub.ListUnreleasedLeases(overdue)).leases
    await world.pass_time(5)
    assert len((await world.stub.ListUnreleasedLeases(overdue)).leases) == 1
    overdue.after_lease_id = lease_id
    assert not (await world.stub.ListUnreleasedLeases(overdue)).leases
