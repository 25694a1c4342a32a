"""Virtual keys for API keys that have none: one each, page by page, and none left over."""

import asyncio
from datetime import timedelta

import pytest

from kit.money import NANOS_PER_USD
from privaterouter.auth.v1 import auth_pb2 as pb
from tests.services.auth.conftest import Auth, refusal
from tests.services.auth.test_virtual_keys import gone
from tests.support.waiting import eventually


async def keys_without(auth: Auth, count: int, **values: object) -> list[pb.CreateApiKeyResponse]:
    """API keys as they are when virtual keys are switched on later."""
    user_id = await auth.user_id()
    made = [await auth.create_key(user_id, **values) for _ in range(count)]
    await auth.admin.execute("UPDATE auth.api_keys SET virtual_key_sealed = NULL")
    auth.proxy.keys.clear()
    auth.proxy.budgets.clear()
    auth.proxy.requests.clear()
    return made


async def repair(auth: Auth, *, limit: int = 0, after: str = "") -> tuple[int, int, str]:
    request = pb.RepairVirtualKeysRequest(limit=limit, after_api_key_id=after)
    answer = await auth.stub.RepairVirtualKeys(request)
    return answer.repaired_count, answer.failed_count, answer.next_after_api_key_id


async def virtual_key(auth: Auth, secret: str) -> str:
    return (await auth.resolve(secret)).resolved[0].virtual_key


async def test_every_key_gets_a_virtual_key_page_by_page_and_keeps_its_secret(auth_with_proxy: Auth) -> None:
    auth = auth_with_proxy
    made = await keys_without(auth, 3)
    ids = [one.api_key.id for one in made]
    before = len(await auth.revocations())
    assert await repair(auth, limit=2) == (2, 0, ids[1])
    assert await repair(auth, limit=2, after=ids[1]) == (1, 0, "")
    assert [await virtual_key(auth, one.secret) for one in made] == [auth.proxy.keys[key_id] for key_id in ids]
    # Edges that remember the key without a virtual key have to ask again.
    assert sorted(one.api_key_id for one in (await auth.revocations())[before:]) == ids
    assert await auth.count("virtual_key_deletions") == 0
    assert await repair(auth) == (0, 0, "")
    assert len(auth.proxy.requests) == 3


async def test_the_budget_of_the_limit_comes_along(auth_with_proxy: Auth) -> None:
    (made,) = await keys_without(auth_with_proxy, 1, monthly_limit_nanos=NANOS_PER_USD)
    assert await repair(auth_with_proxy) == (1, 0, "")
    assert auth_with_proxy.proxy.budgets == {made.api_key.id: (3.0, "1mo")}


async def test_a_limit_that_changes_meanwhile_is_told_afterwards(auth_with_proxy: Auth) -> None:
    auth = auth_with_proxy
    (made,) = await keys_without(auth, 1)

    async def change() -> None:
        await auth.admin.execute("UPDATE auth.api_keys SET monthly_limit_nanos = 2000000000")

    auth.proxy.while_generating = change
    assert await repair(auth) == (1, 0, "")
    auth.start_relays()

    async def is_told() -> bool:
        return auth.proxy.budgets[made.api_key.id] == (5.0, "1mo") and await auth.count("virtual_key_updates") == 0

    await eventually(is_told, what="the budget")


@pytest.mark.parametrize("status", [401, 500])
async def test_a_key_that_the_proxy_refuses_is_counted_and_may_be_tried_again(
    auth_with_proxy: Auth, status: int
) -> None:
    auth = auth_with_proxy
    (made,) = await keys_without(auth, 1)
    auth.proxy.refuses_with = status
    assert await repair(auth) == (0, 1, "")
    assert await virtual_key(auth, made.secret) == ""
    auth.proxy.refuses_with = None
    auth.start_relays()
    await eventually(lambda: gone(auth), what="the note's end")
    assert await repair(auth) == (1, 0, "")


async def test_a_virtual_key_whose_answer_was_lost_is_not_made_a_second_time_before_it_is_deleted(
    auth_with_proxy: Auth,
) -> None:
    auth = auth_with_proxy
    (made,) = await keys_without(auth, 1)
    auth.proxy.loses_answers = True
    assert await repair(auth) == (0, 1, "")
    assert list(auth.proxy.keys) == [made.api_key.id]
    auth.proxy.loses_answers = False
    # It is left alone while the proxy could still be at it.
    assert await repair(auth) == (0, 1, "")
    assert len(auth.proxy.requests) == 1
    auth.clock.now += timedelta(seconds=60)
    auth.start_relays()
    await eventually(lambda: gone(auth), what="the deletion of the virtual key")
    assert await repair(auth) == (1, 0, "")
    assert await virtual_key(auth, made.secret) == auth.proxy.keys[made.api_key.id]


async def test_an_alias_that_is_taken_by_a_forgotten_virtual_key_is_freed_first(auth_with_proxy: Auth) -> None:
    auth = auth_with_proxy
    (made,) = await keys_without(auth, 1)
    auth.proxy.keys[made.api_key.id] = "sk-forgotten"
    assert await repair(auth) == (1, 0, "")
    assert [path for path, _ in auth.proxy.requests] == ["/key/generate", "/key/delete", "/key/generate"]
    assert await virtual_key(auth, made.secret) == auth.proxy.keys[made.api_key.id] != "sk-forgotten"


async def test_two_repairs_at_the_same_time_make_one_virtual_key(auth_with_proxy: Auth) -> None:
    auth = auth_with_proxy
    (made,) = await keys_without(auth, 1)
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        reached.set()
        await go_on.wait()

    auth.proxy.while_generating = hang
    first = asyncio.ensure_future(repair(auth))
    await reached.wait()
    assert await repair(auth) == (0, 1, "")
    go_on.set()
    assert await first == (1, 0, "")
    assert await virtual_key(auth, made.secret) == auth.proxy.keys[made.api_key.id]
    assert len(auth.proxy.requests) == 1


async def test_the_virtual_key_of_an_api_key_that_is_deleted_meanwhile_goes_too(auth_with_proxy: Auth) -> None:
    auth = auth_with_proxy
    (made,) = await keys_without(auth, 1)

    async def delete() -> None:
        await auth.stub.DeleteApiKey(pb.DeleteApiKeyRequest(user_id=made.api_key.user_id, api_key_id=made.api_key.id))

    auth.proxy.while_generating = delete
    auth.start_relays()
    assert await repair(auth) == (1, 0, "")
    await eventually(lambda: gone(auth), what="the deletion of the virtual key")


async def test_it_is_refused_where_virtual_keys_are_off(auth: Auth) -> None:
    assert await refusal(auth.stub.RepairVirtualKeys(pb.RepairVirtualKeysRequest())) == (
        "FAILED_PRECONDITION",
        "VIRTUAL_KEYS_OFF",
        {},
    )


@pytest.mark.parametrize(
    "request_, field",
    [
        (pb.RepairVirtualKeysRequest(limit=21), "limit"),
        (pb.RepairVirtualKeysRequest(after_api_key_id="x"), "after_api_key_id"),
    ],
)
async def test_a_page_that_makes_no_sense_is_refused(
    auth_with_proxy: Auth, request_: pb.RepairVirtualKeysRequest, field: str
) -> None:
    call = auth_with_proxy.stub.RepairVirtualKeys(request_)
    assert await refusal(call) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT", {"field": field})
