"""Edges on a network that loses answers and repeats requests: in the end every nano is where it belongs."""

import random
from dataclasses import dataclass, field

from google.protobuf.message import Message
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from privaterouter.billing.v1 import billing_pb2 as pb
from tests.services.billing.world import CENT, USD, Owner, World, audit, some_id


@dataclass
class EdgeLease:
    """A lease as its worker sees it; the worker spends nothing that it does not know to be granted."""

    owner: Owner
    lease_id: str = field(default_factory=some_id)
    granted: int = 0
    returned: int = 0
    spent: int = 0
    closed: bool = False
    lost: bool = False

    @property
    def free(self) -> int:
        return self.granted - self.returned - self.spent


class Edges:
    """Two workers with two keys of one account, the charges under way, and all that was ever sent."""

    def __init__(self, world: World, account_id: str, chance: random.Random) -> None:
        self.world = world
        self.chance = chance
        workers, keys = (some_id(), some_id()), (some_id(), some_id())
        self.account_id = account_id
        self.owners = [Owner(account_id, key, worker) for worker in workers for key in keys]
        self.leases: list[EdgeLease] = []
        self.pending: list[pb.Charge] = []
        self.sent: list[tuple[str, Message]] = []
        self.added = 0

    async def send(self, method: str, request: Message) -> Message | None:
        """The answer, unless the network loses it."""
        self.sent.append((method, request))
        answer: Message = await getattr(self.world.stub, method)(request)
        return None if self.chance.random() < 0.25 else answer

    async def repeat(self) -> None:
        """The network delivers an old request once more; nobody hears the answer."""
        if self.sent:
            method, request = self.chance.choice(self.sent)
            await getattr(self.world.stub, method)(request)

    async def acquire(self) -> None:
        owner = self.chance.choice(self.owners)
        lease = next((lease for lease in self.leases if lease.owner == owner and not lease.closed), None)
        if lease is None:
            lease = EdgeLease(owner)
            self.leases.append(lease)
        needed = self.chance.randrange(1, 40 * CENT)
        wish = owner.wish(
            needed + self.chance.randrange(10 * CENT),
            self.chance.randrange(needed),
            lease_id=lease.lease_id,
            known_granted_nanos=lease.granted,
            needed_nanos=needed,
        )
        answer = await self.send("AcquireLeases", pb.AcquireLeasesRequest(worker_id=owner.worker_id, wishes=[wish]))
        if isinstance(answer, pb.AcquireLeasesResponse):
            lease.granted = max(lease.granted, answer.grants[0].granted_nanos)
            lease.closed = answer.grants[0].outcome == pb.LEASE_OUTCOME_LEASE_GONE

    async def spend(self) -> None:
        able = [lease for lease in self.leases if not lease.closed and lease.free > 0]
        if able:
            lease = self.chance.choice(able)
            nanos = self.chance.randrange(lease.free) + 1
            lease.spent += nanos
            self.pending.append(lease.owner.charge(nanos, lease_id=lease.lease_id))

    async def settle(self) -> None:
        batch = self.chance.sample(self.pending, self.chance.randrange(len(self.pending) + 1))
        batch += self.chance.sample(batch, len(batch) // 3)
        answer = await self.send("SettleCharges", pb.SettleChargesRequest(charges=batch))
        if isinstance(answer, pb.SettleChargesResponse):
            taken = (pb.CHARGE_OUTCOME_BOOKED, pb.CHARGE_OUTCOME_KNOWN)
            assert all(result.outcome in taken for result in answer.results)
            self.pending = [charge for charge in self.pending if charge not in batch]

    async def renew(self) -> None:
        worker_id = self.chance.choice(self.owners).worker_id
        mine = [lease for lease in self.leases if lease.owner.worker_id == worker_id]
        for lease in mine:
            if not lease.closed:
                lease.returned += self.chance.randrange(lease.free + 1)
        renewals = [pb.LeaseRenewal(lease_id=lease.lease_id, returned_nanos=lease.returned) for lease in mine]
        await self.send("RenewLeases", pb.RenewLeasesRequest(worker_id=worker_id, renewals=renewals))

    async def close(self) -> None:
        if self.leases:
            await self.close_lease(self.chance.choice(self.leases))

    async def close_lease(self, lease: EdgeLease) -> None:
        lease.closed = True
        closing = pb.LeaseClosing(lease_id=lease.lease_id, spent_nanos=lease.spent)
        await self.send("CloseLeases", pb.CloseLeasesRequest(worker_id=lease.owner.worker_id, closings=[closing]))

    async def lose_worker(self) -> None:
        """A worker dies, usage settles what it has of it and names it drained, and billing lets its leases go."""
        worker_id = self.chance.choice(self.owners).worker_id
        mine = [lease for lease in self.leases if lease.owner.worker_id == worker_id]
        for lease in mine:
            lease.closed = lease.lost = True
        names = {lease.lease_id for lease in mine}
        await self.world.settle(*(charge for charge in self.pending if charge.lease_id in names))
        self.pending = [charge for charge in self.pending if charge.lease_id not in names]
        await self.world.admin.execute("UPDATE billing.uptime SET uptime_ms = uptime_ms + 150000")
        assert worker_id not in await self.world.expired(worker_id)

    async def top_up(self) -> None:
        request = pb.TopUpRequest(account_id=self.account_id, amount_nanos=10 * USD, idempotency_key=some_id())
        await self.send("TopUp", request)
        self.added += 10 * USD

    async def check(self) -> None:
        """All that a worker may still spend, and all that it spent and is not settled, is set aside."""
        assert {name: rows for name, rows in (await audit(self.world.admin)).items() if rows} == {}
        rows = await self.world.admin.fetch(
            "SELECT lease_id, granted_nanos - returned_nanos AS nanos FROM billing.leases WHERE account_id = $1",
            self.account_id,
        )
        set_aside = {str(row["lease_id"]): row["nanos"] for row in rows}
        for lease in self.leases:
            if lease.granted and not lease.lost:
                assert set_aside[lease.lease_id] >= lease.spent + (0 if lease.closed else lease.free)

    async def finish(self) -> None:
        """Everybody stops in good order."""
        for lease in self.leases:
            await self.close_lease(lease)
        await self.world.settle(*self.pending)


STEPS = ("acquire", "spend", "settle", "renew", "close", "repeat", "lose_worker", "top_up")
WEIGHTED = (*STEPS, *("acquire", "spend", "spend", "settle", "renew", "repeat") * 2)


@settings(
    max_examples=20,
    deadline=None,
    # Shrinking would take minutes; the seed that is printed is enough.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(st.sampled_from(WEIGHTED), min_size=40, max_size=80), chance=st.randoms())
async def test_whatever_is_lost_or_repeated_each_nano_is_charged_once_and_none_absorbed(
    world: World, steps: list[str], chance: random.Random
) -> None:
    owner = await world.owner(USD)
    edges = Edges(world, owner.account_id, chance)
    for step in steps:
        await getattr(edges, step)()
        await edges.check()
    await edges.finish()
    spent = sum(lease.spent for lease in edges.leases)
    assert await world.amounts(owner) == (USD + edges.added - spent, 0)
    assert await world.house("absorbed") == 0
