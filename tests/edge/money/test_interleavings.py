"""Whatever happens in whatever order: no lease is overdrawn, and the sums agree to the nano."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

import grpc
import pytest

from edge.errors import EdgeError
from edge.money.holds import Hold
from edge.money.path import MoneyPath
from edge.money.records import Status
from kit.errors import RemoteError
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from privaterouter.usage.v1 import usage_pb2
from privaterouter.usage.v1.usage_pb2_grpc import UsageServiceStub
from tests.edge.money.world import CENT, PACE, Clock, record, some_id
from tests.support.fake_money import Away, FakeBilling, FakeUsage

Request = TypeVar("Request")
Response = TypeVar("Response")


@dataclass
class Wire:
    """The services without a network: calls take a while, fail, or lose their answers, at random."""

    chance: random.Random
    trouble: float = 0.1

    async def call(self, serve: Callable[[Request, object], Awaitable[Response]], request: Request) -> Response:
        for _ in range(self.chance.randrange(4)):
            await asyncio.sleep(0)
        dice = self.chance.random()
        if dice < self.trouble / 2:
            raise RemoteError(grpc.StatusCode.DEADLINE_EXCEEDED, "lost on the way")
        try:
            answer = await serve(request, None)
        except Away as error:
            raise RemoteError(error.code, error.message) from error
        for _ in range(self.chance.randrange(4)):
            await asyncio.sleep(0)
        if dice < self.trouble:
            raise RemoteError(grpc.StatusCode.DEADLINE_EXCEEDED, "the answer was lost")
        return answer


class Stub:
    """A service's stub, with every method on the wire."""

    def __init__(self, service: FakeBilling | FakeUsage, wire: Wire) -> None:
        self._service = service
        self._wire = wire

    def __getattr__(self, name: str) -> Callable[..., Awaitable[object]]:
        async def call(request: object, **_: float) -> object:
            return await self._wire.call(getattr(self._service, name), request)

        return call


@dataclass
class Scene:
    """Two workers, one account with three keys, and a count of our own."""

    chance: random.Random
    billing: FakeBilling
    usage: FakeUsage
    wire: Wire
    clock: Clock
    account: str
    workers: list[MoneyPath] = field(default_factory=list)
    held: dict[str, int] = field(default_factory=dict)
    """Nano-dollars of running requests by lease."""
    spent: dict[str, int] = field(default_factory=dict)
    """Nano-dollars of ended requests by lease."""
    ended: dict[str, int] = field(default_factory=dict)
    """Cost by request."""
    refused: int = 0

    async def request(self) -> None:
        path = self.chance.choice(self.workers)
        full = self.chance.randrange(1, 10 * CENT)
        asking = asyncio.ensure_future(
            path.hold(
                account_id=self.account,
                api_key_id=self.chance.choice(("a", "b", "c")),
                monthly_limit_nanos=self.chance.choice((None, 60 * CENT)),
                full_nanos=full,
                least_nanos=self.chance.randrange(1, full + 1),
            )
        )
        if self.chance.random() < 0.1:
            asyncio.get_running_loop().call_later(self.chance.random() / 100, asking.cancel)
        try:
            hold = await asking
        except (EdgeError, asyncio.CancelledError):
            self.refused += 1
            return
        assert hold.nanos <= full
        assert hold.lease
        self.count(self.held, hold, hold.nanos)
        self.check()
        await self.run(path, hold)

    async def run(self, path: MoneyPath, hold: Hold) -> None:
        if self.chance.random() < 0.1:
            self.count(self.held, hold, -hold.nanos)
            path.release(hold)
            return
        made = record(self.account)
        path.open(hold, made)
        for _ in range(self.chance.randrange(5)):
            made.output_tokens += 1
            made.cost_nanos = self.chance.randrange(hold.nanos + 1)
            await asyncio.sleep(self.chance.random() / 200)
        made.status = self.chance.choice((Status.SUCCESS, Status.CANCELLED))
        made.cost_nanos = self.chance.randrange(2 * hold.nanos)
        self.count(self.held, hold, -hold.nanos)
        await path.finish(hold, made)
        self.count(self.spent, hold, made.cost_nanos)
        self.ended[made.request_id] = made.cost_nanos
        self.check()

    async def trouble(self) -> None:
        """Time passes, months end, credit is recalled, the account is topped up."""
        while True:
            await asyncio.sleep(self.chance.random() / 50)
            self.clock.now_s += self.chance.choice((0.01, 0.2, 1.0, 6.0))
            dice = self.chance.random()
            self.billing.month_over = dice < 0.05
            if dice < 0.2:
                self.chance.choice(self.workers).recall(self.account)
            elif dice < 0.3:
                self.billing.posted[self.account] += 20 * CENT
                for path in self.workers:
                    path.forget_refusals(self.account)
            if dice > 0.9:
                self.billing.recalled.clear()
            self.check()

    def count(self, sums: dict[str, int], hold: Hold, nanos: int) -> None:
        assert hold.lease
        sums[hold.lease.id] = sums.get(hold.lease.id, 0) + nanos

    def check(self) -> None:
        assert self.billing.available(self.account) >= 0
        for path in self.workers:
            for lease in path._book.leases.values():
                assert lease.free >= 0
                assert lease.held >= self.held.get(lease.id, 0)
                assert lease.granted == lease.returned + lease.spent + lease.held + lease.free
                theirs = self.billing.leases.get(lease.id)
                assert lease.granted <= (theirs.granted if theirs else 0)
                assert lease.returned >= (theirs.returned if theirs else 0)


@pytest.mark.parametrize("seed", range(6))
async def test_nothing_is_overdrawn_and_all_sums_agree_in_the_end(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 (the same every time, on purpose)
    billing, usage = FakeBilling(), FakeUsage()  # type: ignore[abstract]
    scene = Scene(chance, billing, usage, Wire(chance), Clock(), some_id())
    billing.posted[scene.account] = start = 200 * CENT
    for _ in range(2):
        path = MoneyPath(
            cast(BillingServiceStub, Stub(billing, scene.wire)),
            cast(UsageServiceStub, Stub(usage, scene.wire)),
            journal_dir=tmp_path,
            pace=PACE,
            clock=scene.clock,
        )
        await path.start()
        scene.workers.append(path)
    troubling = asyncio.create_task(scene.trouble())
    for _ in range(10):
        await asyncio.gather(*(scene.request() for _ in range(30)))
    troubling.cancel()
    await asyncio.gather(troubling, return_exceptions=True)
    topped_up = billing.posted[scene.account] - start
    for path in scene.workers:
        for lease in path._book.leases.values():
            assert (lease.held, lease.spent) == (0, scene.spent.get(lease.id, 0))
    scene.wire.trouble = 0.0
    for path in scene.workers:
        await path.close()
    assert len(scene.ended) > 50
    assert scene.refused > 10
    assert {key: final.cost_nanos for key, final in usage.finals.items()} == scene.ended
    assert {final.status for final in usage.finals.values()} <= {
        usage_pb2.USAGE_STATUS_SUCCESS,
        usage_pb2.USAGE_STATUS_CANCELLED,
    }
    assert {key: lease.spent for key, lease in billing.leases.items() if lease.spent} == {
        key: nanos for key, nanos in scene.spent.items() if nanos
    }
    assert billing.available(scene.account) == start + topped_up - sum(scene.ended.values())
    assert list(tmp_path.iterdir()) == []
