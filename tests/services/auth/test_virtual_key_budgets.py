"""A virtual key's budget is a backstop above its API key's limit, and follows it; and the master key may change."""

from datetime import timedelta
from uuid import UUID

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from kit.money import NANOS_PER_USD
from privaterouter.auth.v1 import auth_pb2 as pb
from services.auth.proxy import budget
from tests.services.auth.conftest import Auth
from tests.services.auth.fakes import MASTER_KEY, NEXT_MASTER_KEY
from tests.services.auth.test_virtual_keys import virtual
from tests.support.waiting import eventually

MONTH = "1mo"


async def limit(auth: Auth, api_key: pb.ApiKey, monthly_limit_nanos: int | None) -> None:
    """Changes the limit; None takes it away."""
    changed = pb.ApiKey(id=api_key.id, monthly_limit_nanos=monthly_limit_nanos)
    mask = FieldMask(paths=["monthly_limit_nanos"])
    await auth.stub.UpdateApiKey(pb.UpdateApiKeyRequest(user_id=api_key.user_id, api_key=changed, update_mask=mask))


async def waiting(auth: Auth) -> int:
    return await auth.count("virtual_key_updates")


@pytest.mark.parametrize(
    "limit_nanos, dollars",
    [(0, b"1.00"), (1, b"1.000000002"), (10 * NANOS_PER_USD, b"21.00"), (2**63 - 1, b"18446744074.709551614")],
)
def test_a_budget_is_exact_and_lets_pass_all_that_the_limit_does(limit_nanos: int, dollars: bytes) -> None:
    made = budget(limit_nanos)
    assert (bytes(made["max_budget"]), made["budget_duration"]) == (dollars, MONTH)  # type: ignore[call-overload]


async def test_a_key_with_a_limit_begins_with_a_budget(auth_with_proxy: Auth) -> None:
    created = await auth_with_proxy.create_key(await auth_with_proxy.user_id(), monthly_limit_nanos=5 * NANOS_PER_USD)
    assert auth_with_proxy.proxy.budgets == {created.api_key.id: (11.0, MONTH)}


async def test_the_budget_follows_the_limit_until_there_is_none(auth_with_proxy: Auth) -> None:
    auth = auth_with_proxy
    auth.start_relays()
    created = await auth.create_key(await auth.user_id())

    async def has_budget(wanted: tuple[float | None, str | None]) -> bool:
        return auth.proxy.budgets[created.api_key.id] == wanted and await waiting(auth) == 0

    await limit(auth, created.api_key, 2 * NANOS_PER_USD)
    await eventually(lambda: has_budget((5.0, MONTH)), what="the budget of the new limit")
    await limit(auth, created.api_key, None)
    await eventually(lambda: has_budget((None, None)), what="the end of the budget")


async def test_another_change_of_a_key_tells_the_proxy_nothing(auth_with_proxy: Auth) -> None:
    auth = auth_with_proxy
    created = await auth.create_key(await auth.user_id())
    changed = pb.ApiKey(id=created.api_key.id, name="desktop")
    await auth.stub.UpdateApiKey(
        pb.UpdateApiKeyRequest(user_id=created.api_key.user_id, api_key=changed, update_mask=FieldMask(paths=["name"]))
    )
    assert await waiting(auth) == 0


async def test_a_key_without_a_virtual_key_has_no_budget_to_follow(auth: Auth) -> None:
    created = await auth.create_key(await auth.user_id())
    await limit(auth, created.api_key, NANOS_PER_USD)
    assert await waiting(auth) == 0


async def test_a_limit_that_changes_while_the_proxy_is_told_is_told_as_well(auth_with_proxy: Auth) -> None:
    auth = auth_with_proxy
    created = await auth.create_key(await auth.user_id())
    await limit(auth, created.api_key, NANOS_PER_USD)

    async def change_it_again() -> None:
        auth.proxy.while_updating = nothing_more
        await limit(auth, created.api_key, 4 * NANOS_PER_USD)

    async def nothing_more() -> None:
        """The second time is quiet."""

    auth.proxy.while_updating = change_it_again
    relay = virtual(auth).updates
    (due,) = await relay._claim()
    assert await relay.deliver(due)
    assert auth.proxy.budgets[created.api_key.id] == (3.0, MONTH)
    assert await waiting(auth) == 1
    auth.start_relays()

    async def is_told() -> bool:
        return auth.proxy.budgets[created.api_key.id] == (9.0, MONTH) and await waiting(auth) == 0

    await eventually(is_told, what="the budget of the second change")


async def test_an_update_is_tried_again_until_the_proxy_takes_it(auth_with_proxy: Auth) -> None:
    auth = auth_with_proxy
    created = await auth.create_key(await auth.user_id())
    auth.proxy.refuses_with = 500
    await limit(auth, created.api_key, NANOS_PER_USD)
    relay = virtual(auth).updates
    assert not await relay.deliver((await relay._claim())[0])
    assert await waiting(auth) == 1
    auth.proxy.refuses_with = None
    auth.clock.now += timedelta(seconds=1)
    auth.start_relays()

    async def is_told() -> bool:
        return auth.proxy.budgets[created.api_key.id] == (3.0, MONTH) and await waiting(auth) == 0

    await eventually(is_told, what="the budget")


@pytest.mark.parametrize("gone", ["at the proxy", "here"])
async def test_a_key_that_is_gone_by_then_ends_the_update(auth_with_proxy: Auth, gone: str) -> None:
    auth = auth_with_proxy
    created = await auth.create_key(await auth.user_id())
    await limit(auth, created.api_key, NANOS_PER_USD)
    if gone == "here":
        await auth.admin.execute("DELETE FROM auth.api_keys")
    else:
        auth.proxy.keys.clear()
    assert await virtual(auth).updates.deliver(UUID(created.api_key.id))


async def test_a_change_of_the_master_key_is_followed_both_ways_without_a_failure(auth_with_proxy: Auth) -> None:
    """First the proxy's changes, then it is set back: auth knows both all the while."""
    auth = auth_with_proxy
    user_id = await auth.user_id()
    for master_key in (MASTER_KEY, NEXT_MASTER_KEY, NEXT_MASTER_KEY, MASTER_KEY):
        auth.proxy.master_key = master_key
        created = await auth.create_key(user_id)
        assert created.api_key.id in auth.proxy.keys
    # Each change costs one refused try, and then it is known.
    assert len(auth.proxy.requests) == 4 + 2
    assert len(await auth.list_keys(user_id)) == 4
