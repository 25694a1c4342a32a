"""API keys as their owners see them: made once, shown once, changed, deleted, and never another user's."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from kit import timestamps
from kit.tokens import has_valid_form
from privaterouter.auth.v1 import auth_pb2 as pb
from services.auth.api_keys import MAX_KEYS
from tests.services.auth.conftest import NOW, Auth, refusal
from tests.support.waiting import eventually

LATER = timestamps.to_proto(NOW + timedelta(days=1))
LIMITS: dict[str, Any] = {
    "monthly_limit_nanos": 5_000_000_000,
    "allowed_models": ["privaterouter/embed", "privaterouter/fast"],
    "rpm_limit": 30,
    "expire_time": LATER,
    "tpm_limit": 50_000_000_000,
    "max_in_flight": 4,
    "keeps_answers": True,
}


async def update(auth: Auth, key: pb.ApiKey, *paths: str, **values: Any) -> pb.ApiKey:
    request = pb.UpdateApiKeyRequest(
        user_id=key.user_id,
        api_key=pb.ApiKey(id=key.id, **values),
        update_mask=FieldMask(paths=paths or list(values)),
    )
    return (await auth.stub.UpdateApiKey(request)).api_key


async def delete(auth: Auth, user_id: str, key_id: str) -> None:
    await auth.stub.DeleteApiKey(pb.DeleteApiKeyRequest(user_id=user_id, api_key_id=key_id))


@pytest.fixture
async def hints(redis_url: str) -> AsyncIterator[PubSub]:
    """What is published on the bus about keys."""
    async with Redis.from_url(redis_url, decode_responses=True) as redis, redis.pubsub() as pubsub:
        await pubsub.subscribe("api_keys")
        await eventually(lambda: pubsub.get_message(timeout=0.1), what="the subscription")
        yield pubsub


async def hint(pubsub: PubSub) -> dict[str, str]:
    message = await eventually(lambda: pubsub.get_message(ignore_subscribe_messages=True, timeout=0.1), what="a hint")
    payload: dict[str, str] = json.loads(message["data"])
    return payload


async def test_a_key_is_shown_with_its_secret_once(auth: Auth) -> None:
    user_id = await auth.user_id()
    answer = await auth.create_key(user_id)
    key = answer.api_key
    assert len(answer.secret) == 49
    assert has_valid_form("sk-pr-live-", answer.secret)
    assert key == pb.ApiKey(
        id=key.id,
        user_id=user_id,
        name="laptop",
        key_prefix=answer.secret[:15],
        status=pb.API_KEY_STATUS_ACTIVE,
        create_time=timestamps.to_proto(NOW),
    )
    assert await auth.list_keys(user_id) == [key]


async def test_neither_the_secret_nor_a_plain_digest_of_it_is_stored(auth: Auth) -> None:
    answer = await auth.create_key(await auth.user_id())
    row = await auth.admin.fetchrow("SELECT *, api_keys::text AS all_of_it FROM auth.api_keys")
    assert row is not None
    assert answer.secret[15:] not in row["all_of_it"]
    assert len(row["secret_digest"]) == 32
    plain = await auth.admin.fetchval("SELECT sha256($1::bytea)", answer.secret.encode())
    assert row["secret_digest"] != plain


async def test_a_key_may_be_made_with_limits_and_switched_off(auth: Auth) -> None:
    user_id = await auth.user_id()
    answer = await auth.create_key(user_id, status=pb.API_KEY_STATUS_DISABLED, **LIMITS)
    key = answer.api_key
    assert key == pb.ApiKey(
        id=key.id,
        user_id=user_id,
        name="laptop",
        key_prefix=answer.secret[:15],
        status=pb.API_KEY_STATUS_DISABLED,
        create_time=timestamps.to_proto(NOW),
        **LIMITS,
    )
    assert await auth.list_keys(user_id) == [key]


async def test_a_limit_of_nothing_is_not_no_limit(auth: Auth) -> None:
    user_id = await auth.user_id()
    key = (await auth.create_key(user_id, monthly_limit_nanos=0)).api_key
    assert key.HasField("monthly_limit_nanos")
    assert (await auth.list_keys(user_id))[0].HasField("monthly_limit_nanos")
    assert not (await auth.create_key(user_id)).api_key.HasField("monthly_limit_nanos")


BAD: list[Any] = [
    pytest.param({"name": ""}, "name", id="no name"),
    pytest.param({"name": " "}, "name", id="blank name"),
    pytest.param({"name": "x" * 101}, "name", id="long name"),
    pytest.param({"name": "a\x00"}, "name", id="zero byte in the name"),
    pytest.param({"status": 9}, "status", id="unknown status"),
    pytest.param({"monthly_limit_nanos": -1}, "monthly_limit_nanos", id="negative limit"),
    pytest.param({"allowed_models": [""]}, "allowed_models", id="model without a name"),
    pytest.param({"allowed_models": ["a\x00"]}, "allowed_models", id="zero byte in a model"),
    pytest.param({"allowed_models": [f"m{n}" for n in range(101)]}, "allowed_models", id="too many models"),
    pytest.param({"rpm_limit": 0}, "rpm_limit", id="no requests"),
    pytest.param({"rpm_limit": -5}, "rpm_limit", id="negative requests"),
    pytest.param({"tpm_limit": 0}, "tpm_limit", id="no tokens"),
    pytest.param({"tpm_limit": -1}, "tpm_limit", id="negative tokens"),
    pytest.param({"tpm_limit": 10**12 + 1}, "tpm_limit", id="too many tokens"),
    pytest.param({"max_in_flight": 0}, "max_in_flight", id="nothing at the same time"),
    pytest.param({"max_in_flight": -1}, "max_in_flight", id="less than nothing at the same time"),
    pytest.param({"max_in_flight": 1_000_001}, "max_in_flight", id="too much at the same time"),
    pytest.param({"expire_time": timestamps.to_proto(NOW)}, "expire_time", id="expired"),
    pytest.param({"expire_time": Timestamp(seconds=2**60)}, "expire_time", id="after the end of time"),
]


@pytest.mark.parametrize("values, field", BAD)
async def test_a_bad_key_is_not_made(auth: Auth, values: dict[str, Any], field: str) -> None:
    user_id = await auth.user_id()
    refused = await refusal(auth.create_key(user_id, **values))
    assert refused == ("INVALID_ARGUMENT", "INVALID_ARGUMENT", {"field": field})
    assert await auth.list_keys(user_id) == []


@pytest.mark.parametrize("values, field", [*BAD, pytest.param({"status": 0}, "status", id="status unset")])
async def test_a_bad_change_is_not_made(auth: Auth, values: dict[str, Any], field: str) -> None:
    user_id = await auth.user_id()
    key = (await auth.create_key(user_id)).api_key
    assert await refusal(update(auth, key, **values)) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT", {"field": field})
    assert await auth.list_keys(user_id) == [key]
    assert await auth.revocations() == []


@pytest.mark.parametrize("paths", [["key_prefix"], ["user_id"], ["name", "secret"], ["create_time"], []])
async def test_only_what_the_owner_may_change_is_changed(auth: Auth, paths: list[str]) -> None:
    key = (await auth.create_key(await auth.user_id())).api_key
    request = pb.UpdateApiKeyRequest(
        user_id=key.user_id, api_key=pb.ApiKey(id=key.id, name="x"), update_mask=FieldMask(paths=paths)
    )
    assert (await refusal(auth.stub.UpdateApiKey(request)))[2] == {"field": "update_mask"}


async def test_a_change_touches_the_named_fields_only_and_clears_what_is_unset(auth: Auth) -> None:
    user_id = await auth.user_id()
    key = (await auth.create_key(user_id, **LIMITS)).api_key
    other = (await auth.create_key(user_id, name="other", **LIMITS)).api_key

    renamed = await update(auth, key, "name", name="desktop", rpm_limit=999)
    key.name = "desktop"
    assert renamed == key

    assert (await update(auth, key, status=pb.API_KEY_STATUS_DISABLED)).status == pb.API_KEY_STATUS_DISABLED
    cleared = await update(auth, key, *LIMITS, name="not named")
    assert cleared == pb.ApiKey(
        id=key.id,
        user_id=user_id,
        name="desktop",
        key_prefix=key.key_prefix,
        status=pb.API_KEY_STATUS_DISABLED,
        create_time=key.create_time,
    )
    assert await update(auth, key, **LIMITS) == pb.ApiKey(
        id=key.id,
        user_id=user_id,
        name="desktop",
        key_prefix=key.key_prefix,
        status=pb.API_KEY_STATUS_DISABLED,
        create_time=key.create_time,
        **LIMITS,
    )
    assert (await auth.list_keys(user_id))[0] == other


async def test_models_are_kept_once_each_in_order(auth: Auth) -> None:
    key = (await auth.create_key(await auth.user_id(), allowed_models=["b", "a", "b"])).api_key
    assert list(key.allowed_models) == ["a", "b"]


async def test_a_deleted_key_is_gone_and_cannot_be_deleted_again(auth: Auth) -> None:
    user_id = await auth.user_id()
    answer = await auth.create_key(user_id)
    kept = await auth.create_key(user_id, name="kept")
    await delete(auth, user_id, answer.api_key.id)
    assert (await refusal(delete(auth, user_id, answer.api_key.id)))[:2] == ("NOT_FOUND", "API_KEY_NOT_FOUND")
    assert await auth.list_keys(user_id) == [kept.api_key]
    assert [revocation.api_key_id for revocation in await auth.revocations()] == [answer.api_key.id]


async def test_the_key_of_another_user_does_not_exist(auth: Auth) -> None:
    alice, bob = await auth.user_id(), await auth.user_id("bob@example.com")
    key = (await auth.create_key(alice)).api_key
    theirs = pb.ApiKey(id=key.id, user_id=bob)
    for call in (update(auth, theirs, name="mine"), delete(auth, bob, key.id)):
        assert (await refusal(call))[:2] == ("NOT_FOUND", "API_KEY_NOT_FOUND")
    assert await auth.list_keys(bob) == []
    assert await auth.list_keys(alice) == [key]
    assert await auth.revocations() == []


async def test_ids_that_are_none_are_refused(auth: Auth) -> None:
    user_id = await auth.user_id()
    for call, field in (
        (auth.create_key("x"), "user_id"),
        (auth.list_keys(""), "user_id"),
        (delete(auth, user_id, "' OR true --"), "api_key_id"),
        (update(auth, pb.ApiKey(id="x", user_id=user_id), name="x"), "api_key.id"),
    ):
        assert (await refusal(call))[2] == {"field": field}
    assert (await refusal(auth.create_key(str(uuid4()))))[:2] == ("NOT_FOUND", "USER_NOT_FOUND")


async def test_keys_are_listed_newest_first_in_pages(auth: Auth) -> None:
    user_id = await auth.user_id()
    for number in range(3):
        await auth.create_key(user_id, name=f"key {number}")
    answer = await auth.stub.ListApiKeys(pb.ListApiKeysRequest(user_id=user_id, limit=2, offset=1))
    assert ([key.name for key in answer.api_keys], answer.total) == (["key 1", "key 0"], 3)
    for bad in ({"limit": 201}, {"offset": -1}):
        refused = await refusal(auth.stub.ListApiKeys(pb.ListApiKeysRequest(user_id=user_id, **bad)))
        assert refused[2] == {"field": next(iter(bad))}


async def test_a_user_has_at_most_a_hundred_keys_also_when_all_are_made_at_once(auth: Auth) -> None:
    user_id, bob = await auth.user_id(), await auth.user_id("bob@example.com")
    answers = await asyncio.gather(*(auth.create_key(user_id) for _ in range(MAX_KEYS + 5)), return_exceptions=True)
    assert sum(isinstance(answer, pb.CreateApiKeyResponse) for answer in answers) == MAX_KEYS
    assert await auth.count("api_keys") == MAX_KEYS
    refused = await refusal(auth.create_key(user_id))
    assert refused == ("RESOURCE_EXHAUSTED", "TOO_MANY_API_KEYS", {"limit": "100"})
    await auth.create_key(bob)
    await delete(auth, user_id, (await auth.list_keys(user_id))[0].id)
    await auth.create_key(user_id)


async def test_caches_hear_of_every_change_after_it_is_visible(auth: Auth, hints: PubSub) -> None:
    user_id = await auth.user_id()
    key = (await auth.create_key(user_id)).api_key
    await update(auth, key, name="desktop")
    assert await hint(hints) == {"api_key_id": key.id, "user_id": user_id}
    await delete(auth, user_id, key.id)
    assert await hint(hints) == {"api_key_id": key.id, "user_id": user_id}
    disabling = pb.UpdateUserRequest(
        user=pb.User(id=user_id, status=pb.USER_STATUS_DISABLED), update_mask=FieldMask(paths=["status"])
    )
    await auth.stub.UpdateUser(disabling)
    assert await hint(hints) == {"api_key_id": "", "user_id": user_id}
    assert await hints.get_message(ignore_subscribe_messages=True, timeout=0.1) is None


@pytest.mark.parametrize(
    "column, value",
    [
        ("name", "''"),
        ("status", "'gone'"),
        ("monthly_limit_nanos", "-1"),
        ("rpm_limit", "0"),
        ("tpm_limit", "0"),
        ("max_in_flight", "0"),
        ("keeps_answers", "NULL"),
        ("key_prefix", "'sk'"),
        ("secret_digest", "'\\x00'"),
        ("user_id", "gen_random_uuid()"),
        ("allowed_models", "array_fill('m'::text, ARRAY[101])"),
    ],
)
async def test_the_database_itself_refuses_impossible_keys(auth: Auth, column: str, value: str) -> None:
    await auth.create_key(await auth.user_id())
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await auth.admin.execute(f"UPDATE auth.api_keys SET {column} = {value}")
