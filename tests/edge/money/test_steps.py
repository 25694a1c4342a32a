"""The money of a request takes about as many steps as it did."""

from edge.money.records import Status
from tests.edge.money.world import CENT, World, hold, record
from tests.support.steps import hold_to_kept, steps


async def test_the_money_of_a_request(world: World) -> None:
    account, path = world.account(10_000 * CENT), world.worker()
    path.release(await hold(path, account, 1_000 * CENT))

    async def pay() -> None:
        held = path.try_hold(account_id=account, api_key_id=account, full_nanos=CENT)
        assert held
        one = record(account)
        path.open(held, one)
        one.status, one.cost_nanos = Status.SUCCESS, CENT // 2
        await path.finish(held, one)

    hold_to_kept("the money of a request", await steps(pay))
