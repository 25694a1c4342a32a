"""Virtual keys at a LiteLLM proxy: one with each API key, and none left over whatever fails."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest

from kit.secrets import Sealer
from privaterouter.auth.v1 import auth_pb2 as pb
from services.auth.api_keys import MAX_KEYS
from services.auth.errors import VirtualKeyRefused
from services.auth.parts import ProxyParts
from services.auth.proxy import Proxy
from services.auth.virtual_keys import Seals
from tests.services.auth.conftest import NOW, Auth, Start, refusal
from tests.services.auth.fakes import MASTER_KEY
from tests.support.waiting import eventually

REFUSED = ("UNAVAILABLE", "VIRTUAL_KEY_REFUSED")


def virtual(auth: Auth) -> ProxyParts:
    assert auth.parts.virtual
    return auth.parts.virtual


async def gone(auth: Auth) -> bool:
    return auth.proxy.keys == {} and await auth.count("virtual_key_deletions") == 0


async def test_a_key_gets_a_virtual_key_that_only_resolving_shows(auth_with_proxy: Auth) -> None:
    auth = auth_with_proxy
    user_id = await auth.user_id()
    created = await auth.create_key(user_id)
    virtual_key = auth.proxy.keys[created.api_key.id]
    assert auth.proxy.requests == [
        (
            "/key/generate",
            {
                "key_alias": created.api_key.id,
                "metadata": {
                    "privaterouter_api_key_id": created.api_key.id,
                    "privaterouter_user_id": user_id,
                },
                "key_type": "llm_api",
            },
        )
    ]
    assert (await auth.resolve(created.secret)).resolved[0].virtual_key == virtual_key
    row = await auth.admin.fetchrow("SELECT virtual_key_sealed, k::text AS all_of_it FROM auth.api_keys k")
    assert row is not None
    assert virtual_key.encode() not in row["virtual_key_sealed"]
    assert virtual_key not in row["all_of_it"]
    assert await auth.count("virtual_key_deletions") == 0


async def test_without_the_setting_the_proxy_is_never_asked(auth: Auth) -> None:
    created = await auth.create_key(await auth.user_id())
    await auth.stub.DeleteApiKey(pb.DeleteApiKeyRequest(user_id=created.api_key.user_id, api_key_id=created.api_key.id))
    assert auth.proxy.requests == []
    assert await auth.count("virtual_key_deletions") == 0


@pytest.mark.parametrize("status", [401, 404, 500])
async def test_where_the_proxy_refuses_nothing_is_stored(auth_with_proxy: Auth, status: int) -> None:
    auth = auth_with_proxy
    user_id = await auth.user_id()
    auth.proxy.refuses_with = status
    assert (await refusal(auth.create_key(user_id)))[:2] == REFUSED
    assert await auth.list_keys(user_id) == []
    auth.proxy.refuses_with = None
    auth.start_relays()
    await eventually(lambda: gone(auth), what="an empty outbox")


@pytest.mark.parametrize("fault", ["garbles", "loses_answers"])
async def test_a_virtual_key_whose_answer_was_lost_is_deleted(auth_with_proxy: Auth, fault: str) -> None:
    auth = auth_with_proxy
    user_id = await auth.user_id()
    setattr(auth.proxy, fault, True)
    assert (await refusal(auth.create_key(user_id)))[:2] == REFUSED
    assert len(auth.proxy.keys) == 1
    assert await auth.list_keys(user_id) == []
    auth.start_relays()
    await eventually(lambda: gone(auth), what="the deletion of the virtual key")


async def test_a_virtual_key_whose_api_key_could_not_be_stored_is_deleted(auth_with_proxy: Auth) -> None:
    auth = auth_with_proxy
    user_id = await auth.user_id()

    async def fill_up() -> None:
        await auth.admin.execute(
            """
            INSERT INTO auth.api_keys (
                id, user_id, secret_digest, key_prefix, name, status, allowed_models, create_time
            )
            SELECT gen_random_uuid(), $1, sha256(n::text::bytea), 'sk-pr-live-0000', 'filler', 'active', '{}', $2
            FROM generate_series(1, $3::int) n
            """,
            user_id,
            NOW,
            MAX_KEYS,
        )

    auth.proxy.while_generating = fill_up
    auth.start_relays()
    assert (await refusal(auth.create_key(user_id)))[1] == "TOO_MANY_API_KEYS"
    await eventually(lambda: gone(auth), what="the deletion of the virtual key")
    assert await auth.count("api_keys") == MAX_KEYS
    assert [path for path, _ in auth.proxy.requests] == ["/key/generate", "/key/delete"]


async def test_a_full_user_is_refused_before_the_proxy_is_asked(auth_with_proxy: Auth) -> None:
    auth = auth_with_proxy
    user_id = await auth.user_id()
    await asyncio.gather(*(auth.create_key(user_id) for _ in range(MAX_KEYS)))
    asked = len(auth.proxy.requests)
    assert (await refusal(auth.create_key(user_id)))[1] == "TOO_MANY_API_KEYS"
    assert len(auth.proxy.requests) == asked


async def test_a_virtual_key_of_a_process_that_died_meanwhile_is_deleted_after_a_minute(auth_with_proxy: Auth) -> None:
    """Stopped between the proxy's answer and the insert: only the note in the outbox and the virtual key are there."""
    auth = auth_with_proxy
    user_id = await auth.user_id()
    reached, never = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        reached.set()
        await never.wait()

    auth.proxy.while_generating = hang
    creating = asyncio.ensure_future(auth.create_key(user_id))
    await reached.wait()
    creating.cancel()
    await asyncio.gather(creating, return_exceptions=True)
    never.set()
    assert len(auth.proxy.keys) == 1
    assert await auth.list_keys(user_id) == []

    assert await virtual(auth).deletions._claim() == []
    auth.clock.now += timedelta(seconds=60)
    auth.start_relays()
    await eventually(lambda: gone(auth), what="the deletion of the virtual key")


async def test_a_key_is_not_stored_once_the_deletion_of_its_virtual_key_has_begun(auth_with_proxy: Auth) -> None:
    auth = auth_with_proxy
    user_id = await auth.user_id()

    async def dawdle() -> None:
        auth.clock.now += timedelta(seconds=61)
        assert len(await virtual(auth).deletions._claim()) == 1

    auth.proxy.while_generating = dawdle
    assert (await refusal(auth.create_key(user_id)))[:2] == REFUSED
    assert await auth.list_keys(user_id) == []


async def test_deleting_a_key_deletes_its_virtual_key(auth_with_proxy: Auth) -> None:
    auth = auth_with_proxy
    auth.start_relays()
    created = await auth.create_key(await auth.user_id())
    kept = await auth.create_key(created.api_key.user_id)
    await auth.stub.DeleteApiKey(pb.DeleteApiKeyRequest(user_id=created.api_key.user_id, api_key_id=created.api_key.id))

    async def is_gone() -> bool:
        return list(auth.proxy.keys) == [kept.api_key.id] and await auth.count("virtual_key_deletions") == 0

    await eventually(is_gone, what="the deletion of the virtual key")


@pytest.mark.parametrize("status", [401, 404, 500])
async def test_a_deletion_that_fails_is_tried_again_later_and_later(auth_with_proxy: Auth, status: int) -> None:
    """Also where something that is no LiteLLM answers 404: it has said nothing about the virtual key."""
    auth = auth_with_proxy
    created = await auth.create_key(await auth.user_id())
    auth.proxy.refuses_with = status
    await auth.stub.DeleteApiKey(pb.DeleteApiKeyRequest(user_id=created.api_key.user_id, api_key_id=created.api_key.id))
    relay = virtual(auth).deletions
    for wait_s in (0, 1, 2, 4):
        auth.clock.now += timedelta(seconds=wait_s)
        (due,) = await relay._claim()
        assert await relay._claim() == []
        assert not await relay.deliver(due)
    assert len(auth.proxy.keys) == 1
    auth.proxy.refuses_with = None
    auth.clock.now += timedelta(seconds=8)
    auth.start_relays()
    await eventually(lambda: gone(auth), what="the deletion of the virtual key")


async def test_a_proxy_that_is_away_refuses_and_keeps_deletions_waiting() -> None:
    async with httpx.AsyncClient(base_url="http://127.0.0.1:1") as client:
        proxy = Proxy(client, [MASTER_KEY])
        with pytest.raises(VirtualKeyRefused):
            await proxy.generate(uuid4(), user_id=uuid4(), monthly_limit_nanos=None)
        assert not await proxy.update(uuid4(), "sk-virtual", monthly_limit_nanos=None)
        assert not await proxy.delete(uuid4())


async def test_a_key_made_without_a_virtual_key_has_none_when_they_are_switched_on(start: Start) -> None:
    async with start(virtual_keys=True) as auth:
        created = await auth.create_key(await auth.user_id())
        await auth.admin.execute("UPDATE auth.api_keys SET virtual_key_sealed = NULL")
        (resolved,) = (await auth.resolve(created.secret)).resolved
        assert (resolved.outcome, resolved.virtual_key) == (pb.RESOLVE_OUTCOME_ACTIVE, "")


async def test_a_virtual_key_moved_to_another_api_key_cannot_be_opened(auth_with_proxy: Auth) -> None:
    auth = auth_with_proxy
    user_id = await auth.user_id()
    first, second = await auth.create_key(user_id), await auth.create_key(user_id)
    await auth.admin.execute(
        "UPDATE auth.api_keys SET virtual_key_sealed = (SELECT virtual_key_sealed FROM auth.api_keys WHERE id = $1)",
        first.api_key.id,
    )
    answer = await auth.resolve(first.secret, second.secret)
    assert [one.virtual_key for one in answer.resolved] == [auth.proxy.keys[first.api_key.id], ""]


def test_a_seal_of_another_secret_is_no_virtual_key() -> None:
    key_id = UUID(int=1)
    sealed = Seals(Sealer(b"a" * 32)).seal("sk-virtual", key_id)
    assert Seals(Sealer(b"a" * 32)).open(sealed, key_id) == "sk-virtual"
    assert Seals(Sealer(b"b" * 32)).open(sealed, key_id) == ""
    assert Seals(Sealer(b"a" * 32)).open(None, key_id) == ""
