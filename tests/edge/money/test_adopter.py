"""What a dead worker leaves behind: shipped in its name, its leases closed, its file removed."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from edge.money import files
from edge.money.adopter import Adopter, interrupted
from edge.money.records import Status
from edge.money.store import Changes, Store, UnreadableJournal
from privaterouter.billing.v1 import billing_pb2
from privaterouter.usage.v1 import usage_pb2
from tests.edge.money.world import CENT, World, record, some_id
from tests.support.waiting import eventually

# A worker with requests that ended, one that has answered in part, and one that has not begun to answer.
WORKER = """
import asyncio, sys
from pathlib import Path
from edge.money.pace import Pace
from edge.money.path import MoneyPath
from kit.client import channel
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from privaterouter.usage.v1.usage_pb2_grpc import UsageServiceStub
from tests.edge.money.world import CENT, hold, record, spend

async def main(billing: str, usage: str, directory: str, account: str) -> None:
    pace = Pace(tick_s=0.01, ship_wait_s=1_000.0, life_s=1_000.0, renew_s=1_000.0)
    path = MoneyPath(
        BillingServiceStub(channel(billing)),
        UsageServiceStub(channel(usage)),
        journal_dir=Path(directory),
        pace=pace,
    )
    await path.start()
    for _ in range(10):
        await spend(path, account, 10 * CENT, CENT)
    for output in (5, 0):
        running = record(account)
        path.open(await hold(path, account, 10 * CENT), running)
        running.input_tokens, running.output_tokens, running.cost_nanos = 20, output, 2 * CENT
        await path._reports.send()
        print(running.request_id, flush=True)
    print(path.worker_id, flush=True)
    await asyncio.sleep(1_000)

asyncio.run(main(*sys.argv[1:]))
"""


def adopter(world: World, own: str = "own") -> Adopter:
    return Adopter(
        files.path_of(world.directory, own), world.billing_stub, world.usage_stub, pace=world.pace, now_ns=lambda: 1
    )


async def killed(world: World, tmp_path: Path, account: str) -> tuple[str, str, str]:
    """The ids of the answering request, of the silent one, and of their worker, which was killed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        WORKER,
        f"unix:{tmp_path}/billing",
        f"unix:{tmp_path}/usage",
        str(world.directory),
        account,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    said = [(await process.stdout.readline()).decode().strip() for _ in range(3)]
    await adopter(world).sweep()
    assert files.path_of(world.directory, said[2]).exists()  # it was alive
    process.send_signal(signal.SIGKILL)
    await process.wait()
    return said[0], said[1], said[2]


async def test_a_killed_workers_journal_is_brought_to_its_end(world: World, tmp_path: Path) -> None:
    account = world.account(1_000 * CENT)
    answering, silent, worker_id = await killed(world, tmp_path, account)
    assert world.usage.finals == {}
    before = len(world.usage.batches)
    await adopter(world).sweep()
    finals = world.usage.finals
    assert len(finals) == 12
    ended = [each for each in finals.values() if each.status == usage_pb2.USAGE_STATUS_SUCCESS]
    assert [each.cost_nanos for each in ended] == [CENT] * 10
    for request_id, tokens, cost in ((answering, 5, 2 * CENT), (silent, 0, 0)):
        assert finals[request_id].status == usage_pb2.USAGE_STATUS_INTERRUPTED
        assert (finals[request_id].output_tokens, finals[request_id].cost_nanos) == (tokens, cost)
        assert finals[request_id].estimated
    shipped = list(world.usage.batches)[before:]
    assert {(batch.worker_id, batch.alive) for batch in shipped} == {(worker_id, False)}
    (lease,) = world.billing.leases.values()
    assert lease.spent == 12 * CENT
    assert world.billing.available(account) == 988 * CENT
    assert list(world.directory.iterdir()) == []


async def test_while_usage_is_silent_the_leases_are_kept_and_nothing_is_removed(world: World, tmp_path: Path) -> None:
    account = world.account(1_000 * CENT)
    _, _, worker_id = await killed(world, tmp_path, account)
    world.usage.faults.away = True
    sweeping = asyncio.create_task(adopter(world).sweep())
    await eventually(lambda: _is(len(world.billing.of(billing_pb2.RenewLeasesRequest)) > 3))
    (lease_id,) = world.billing.leases
    last = world.billing.of(billing_pb2.RenewLeasesRequest)[-1]
    assert (last.worker_id, [each.lease_id for each in last.renewals]) == (worker_id, [lease_id])
    assert files.path_of(world.directory, worker_id).exists()
    world.usage.faults.away = False
    await sweeping
    assert list(world.directory.iterdir()) == []


async def test_an_adopter_that_dies_leaves_the_rest_to_the_next_and_nothing_is_counted_twice(
    world: World, tmp_path: Path
) -> None:
    account = world.account(1_000 * CENT)
    await killed(world, tmp_path, account)
    world.usage.faults.lose_answers = 1_000
    sweeping = asyncio.create_task(adopter(world).sweep())
    await eventually(lambda: _is(len(world.usage.finals) == 12))
    sweeping.cancel()
    await asyncio.gather(sweeping, return_exceptions=True)
    world.usage.faults.lose_answers = 0
    await adopter(world).sweep()
    assert len(world.usage.finals) == 12
    (lease,) = world.billing.leases.values()
    assert lease.spent == 12 * CENT
    assert list(world.directory.iterdir()) == []


async def test_a_running_worker_adopts_what_it_finds_and_leaves_the_living_alone(world: World, tmp_path: Path) -> None:
    account = world.account(1_000 * CENT)
    async with world.running() as other:
        _, _, worker_id = await killed(world, tmp_path, account)
        await eventually(lambda: _is(len(world.usage.finals) == 12))
        await eventually(lambda: _is(not files.path_of(world.directory, worker_id).exists()))
        assert files.path_of(world.directory, other.worker_id).exists()


async def test_a_lease_that_was_journaled_and_never_asked_for_is_noted_as_closed(world: World) -> None:
    world.directory.mkdir()
    path = files.path_of(world.directory, "dead")
    store = Store.create(path, "dead", synchronous="off")
    lease_id = some_id()
    store.write(Changes(new_leases=[lease_id]), now_ns=1)
    store.close()
    await adopter(world).sweep()
    assert world.billing.leases[lease_id].spent == 0
    assert not path.exists()


async def test_an_unreadable_journal_is_set_aside_and_the_others_are_adopted(world: World) -> None:
    world.directory.mkdir()
    broken = files.path_of(world.directory, "a")
    broken.write_bytes(b"nothing that SQLite wrote" * 1_000)
    nonsense = files.path_of(world.directory, "b")
    store = Store.create(nonsense, "b", synchronous="off")
    store.write(Changes(opens={"r": b"\xff\xff no usage record"}), now_ns=1)
    store.close()
    good = files.path_of(world.directory, "c")
    store = Store.create(good, "c", synchronous="off")
    made = record("a", cost=5, status=Status.SUCCESS)
    store.write(Changes(finals=[(1, made.request_id, "", 5, made.to_bytes())]), now_ns=1)
    store.close()
    await adopter(world).sweep()
    assert list(world.usage.finals) == [made.request_id]
    names = {each.name for each in world.directory.iterdir()}
    assert {name for name in names if not name.endswith(("-wal", "-shm"))} == {"a.journal.broken", "b.journal.broken"}


async def test_a_dead_workers_refused_records_are_kept(world: World) -> None:
    world.directory.mkdir()
    store = Store.create(files.path_of(world.directory, "dead"), "dead", synchronous="off")
    made = record("a", cost=5, status=Status.SUCCESS)
    store.write(Changes(finals=[(1, made.request_id, "", 5, made.to_bytes())]), now_ns=1)
    store.close()
    world.usage.refuse.add(made.request_id)
    await adopter(world).sweep()
    await adopter(world).sweep()
    assert [each.name for each in world.directory.iterdir()] == ["dead.journal.parked"]
    assert len(world.usage.batches) == 1


def test_what_is_no_usage_record_is_unreadable() -> None:
    with pytest.raises(UnreadableJournal):
        interrupted(b"\xff\xff")


async def _is(value: bool) -> bool:
    return value
