"""What edges ask: what a secret or a key is, what has been revoked, and noting when keys were used."""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from kit import timestamps
from kit.tokens import make_token
from privaterouter.auth.v1 import auth_pb2 as pb
from services.auth import store_api_keys
from tests.services.auth.conftest import NOW, Auth, Start, refusal, someone_waits_for_a_lock
from tests.support.waiting import eventually


async def set_status(auth: Auth, user_id: str, status: pb.UserStatus.ValueType) -> None:
    mask = FieldMask(paths=["status"])
    await auth.stub.UpdateUser(pb.UpdateUserRequest(user=pb.User(id=user_id, status=status), update_mask=mask))


async def update(auth: Auth, key: pb.ApiKey, **values: Any) -> None:
    await auth.stub.UpdateApiKey(
        pb.UpdateApiKeyRequest(
            user_id=key.user_id, api_key=pb.ApiKey(id=key.id, **values), update_mask=FieldMask(paths=list(values))
        )
    )


async def test_a_key_is_resolved_with_all_that_the_edge_needs(auth: Auth) -> None:
    user_id = await auth.user_id()
    created = await auth.create_key(
        user_id,
        monthly_limit_nanos=7,
        rpm_limit=9,
        tpm_limit=11,
        max_in_flight=13,
        keeps_answers=True,
        allowed_models=["privaterouter/fast"],
        expire_time=timestamps.to_proto(NOW + timedelta(hours=1)),
    )
    answer = await auth.resolve(created.secret)
    assert answer == pb.ResolveApiKeysResponse(
        resolved=[
            pb.ResolvedApiKey(
                outcome=pb.RESOLVE_OUTCOME_ACTIVE, api_key=created.api_key, account_id=user_id, virtual_key=""
            )
        ],
        revocation_sequence=0,
    )


async def test_a_batch_is_answered_in_its_order(auth: Auth) -> None:
    user_id = await auth.user_id()
    first, second = await auth.create_key(user_id), await auth.create_key(user_id)
    unknown = make_token("sk-pr-live-", bytes)
    answer = await auth.resolve(second.secret, unknown, first.secret, "garbage", second.secret)
    assert [one.api_key.id for one in answer.resolved] == [
        second.api_key.id,
        "",
        first.api_key.id,
        "",
        second.api_key.id,
    ]
    assert [one.outcome for one in answer.resolved] == [1, 2, 1, 2, 1]


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "sk-pr-live-",
        "Bearer x",
        "' OR '1'='1",
        "eyJhbGciOiJIUzI1NiJ9.e30.x",
        "sk-pr-live-\x00",
        "x" * 100_000,
        "sk-pr-live-" + "0" * 38,
    ],
)
async def test_what_is_no_key_is_unknown(auth: Auth, secret: str) -> None:
    assert await auth.outcome(secret) == "UNKNOWN"


async def test_every_reason_not_to_work_has_its_own_outcome_and_gives_nothing_away(auth: Auth) -> None:
    alice, bob = await auth.user_id(), await auth.user_id("bob@example.com")
    disabled, deleted = await auth.create_key(alice), await auth.create_key(alice)
    expired = await auth.create_key(alice, expire_time=timestamps.to_proto(NOW + timedelta(hours=1)))
    orphan = await auth.create_key(bob)
    await update(auth, disabled.api_key, status=pb.API_KEY_STATUS_DISABLED)
    await auth.stub.DeleteApiKey(pb.DeleteApiKeyRequest(user_id=alice, api_key_id=deleted.api_key.id))
    await set_status(auth, bob, pb.USER_STATUS_DISABLED)
    auth.clock.now += timedelta(hours=1)
    answer = await auth.resolve(disabled.secret, deleted.secret, expired.secret, orphan.secret)
    assert list(answer.resolved) == [
        pb.ResolvedApiKey(outcome=pb.RESOLVE_OUTCOME_DISABLED),
        pb.ResolvedApiKey(outcome=pb.RESOLVE_OUTCOME_UNKNOWN),
        pb.ResolvedApiKey(outcome=pb.RESOLVE_OUTCOME_EXPIRED),
        pb.ResolvedApiKey(outcome=pb.RESOLVE_OUTCOME_OWNER_DISABLED),
    ]
    assert answer.revocation_sequence == 3


async def test_what_was_switched_off_can_be_switched_on_again(auth: Auth) -> None:
    user_id = await auth.user_id()
    created = await auth.create_key(user_id)
    await update(auth, created.api_key, status=pb.API_KEY_STATUS_DISABLED)
    await update(auth, created.api_key, status=pb.API_KEY_STATUS_ACTIVE)
    assert await auth.outcome(created.secret) == "ACTIVE"
    await set_status(auth, user_id, pb.USER_STATUS_DISABLED)
    assert await auth.outcome(created.secret) == "OWNER_DISABLED"
    await set_status(auth, user_id, pb.USER_STATUS_ACTIVE)
    assert await auth.outcome(created.secret) == "ACTIVE"
    assert [revocation.sequence for revocation in await auth.revocations()] == [1, 2, 3, 4]


@pytest.mark.parametrize("count", [0, 1_001])
async def test_a_batch_has_1_to_1000_secrets(auth: Auth, count: int) -> None:
    assert (await refusal(auth.resolve(*["x"] * count)))[2] == {"field": "secrets"}
    assert len((await auth.resolve(*["x"] * 1_000)).resolved) == 1_000


async def test_revocations_are_listed_after_a_sequence_number(auth: Auth) -> None:
    user_id = await auth.user_id()
    key = (await auth.create_key(user_id)).api_key
    for name in ("one", "two"):
        await update(auth, key, name=name)
    await set_status(auth, user_id, pb.USER_STATUS_DISABLED)
    everything = [
        pb.Revocation(sequence=1, api_key_id=key.id, user_id=user_id),
        pb.Revocation(sequence=2, api_key_id=key.id, user_id=user_id),
        pb.Revocation(sequence=3, user_id=user_id),
    ]
    for after, expected in ((0, everything), (2, everything[2:]), (3, []), (99, []), (-1, [])):
        answer = await auth.stub.ListRevocations(pb.ListRevocationsRequest(after_sequence=after))
        assert answer == pb.ListRevocationsResponse(revocations=expected, last_sequence=3)


async def test_an_empty_list_of_revocations_ends_at_zero(auth: Auth) -> None:
    answer = await auth.stub.ListRevocations(pb.ListRevocationsRequest(after_sequence=-1))
    assert answer == pb.ListRevocationsResponse(last_sequence=0)


async def test_at_most_1000_revocations_come_at_once(auth: Auth) -> None:
    await auth.admin.execute(
        "INSERT INTO auth.revocations SELECT n, NULL, gen_random_uuid(), now() FROM generate_series(1, 1001) n"
    )
    answer = await auth.stub.ListRevocations(pb.ListRevocationsRequest())
    assert ([one.sequence for one in answer.revocations], answer.last_sequence) == (list(range(1, 1001)), 1001)
    rest = await auth.stub.ListRevocations(pb.ListRevocationsRequest(after_sequence=1000))
    assert [one.sequence for one in rest.revocations] == [1001]


class Undo(Exception):
    """Rolls a transaction back."""


async def test_a_sequence_number_is_visible_only_when_all_lower_ones_are(auth: Auth) -> None:
    """A second revocation waits for the first to commit; where the first is rolled back, its number is given again."""
    user_id = await auth.user_id()
    created = await auth.create_key(user_id)

    with suppress(Undo):
        async with auth.database.transaction() as c:
            await store_api_keys.add_revocation(c, user_id=uuid4(), api_key_id=None, now=NOW)
            second = asyncio.create_task(update(auth, created.api_key, name="second"))
            await eventually(lambda: someone_waits_for_a_lock(auth), what="the second to wait")
            assert await auth.revocations() == []
            raise Undo
    await second
    assert await auth.revocations() == [pb.Revocation(sequence=1, api_key_id=created.api_key.id, user_id=user_id)]


async def test_many_changes_at_once_leave_no_gap(auth: Auth) -> None:
    user_id = await auth.user_id()
    keys = [(await auth.create_key(user_id)).api_key for _ in range(8)]
    seen: list[int] = []

    async def watch() -> None:
        while len(seen) < len(keys) * 4:
            seen.extend(one.sequence for one in await auth.revocations(seen[-1] if seen else 0))

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(update(auth, key, name=f"name {n}") for key in keys for n in range(4)))
    await asyncio.wait_for(watching, 10)
    assert seen == list(range(1, len(keys) * 4 + 1))


async def report(auth: Auth, *uses: tuple[str, datetime]) -> None:
    await auth.stub.ReportApiKeyUse(
        pb.ReportApiKeyUseRequest(
            uses=[pb.ApiKeyUse(api_key_id=id_, last_use_time=timestamps.to_proto(time)) for id_, time in uses]
        )
    )


async def last_use(auth: Auth, key: pb.ApiKey) -> datetime | None:
    for found in await auth.list_keys(key.user_id):
        if found.id == key.id and found.HasField("last_use_time"):
            return timestamps.from_proto(found.last_use_time)
    return None


async def test_the_latest_use_is_noted_and_an_older_one_changes_nothing(auth: Auth) -> None:
    user_id = await auth.user_id()
    first, second = (await auth.create_key(user_id)).api_key, (await auth.create_key(user_id)).api_key
    early, late = NOW - timedelta(minutes=2), NOW - timedelta(minutes=1)
    await report(auth, (first.id, late), (str(uuid4()), late), (first.id, early))
    await report(auth, (first.id, early))
    assert await last_use(auth, first) == late
    assert await last_use(auth, second) is None
    assert await auth.revocations() == []


async def test_a_use_is_never_noted_in_the_future(auth: Auth) -> None:
    key = (await auth.create_key(await auth.user_id())).api_key
    await report(auth, (key.id, NOW + timedelta(days=1)))
    assert await last_use(auth, key) == NOW


async def test_a_report_locks_keys_in_the_order_of_their_ids_so_that_reports_cannot_deadlock(auth: Auth) -> None:
    user_id = await auth.user_id()
    ids = [(await auth.create_key(user_id)).api_key.id for _ in range(20)]
    # An updated row moves to the end of the table, so the order of ids is not the one in which rows are found.
    await auth.admin.execute("UPDATE auth.api_keys SET name = 'moved' WHERE id = $1", ids[0])
    async with auth.admin.transaction():
        await auth.admin.execute("SELECT 1 FROM auth.api_keys WHERE id = $1 FOR UPDATE", ids[0])
        reporting = asyncio.create_task(report(auth, *((id_, NOW) for id_ in reversed(ids))))
        await eventually(lambda: someone_waits_for_a_lock(auth), what="the report to wait for the first key")
        free = await auth.admin.fetch("SELECT id FROM auth.api_keys FOR UPDATE SKIP LOCKED")
        assert {str(row["id"]) for row in free} == set(ids)
    await reporting
    assert await auth.admin.fetchval("SELECT count(*) FROM auth.api_keys WHERE last_use_time = $1", NOW) == 20


async def test_a_bad_report_is_refused_as_a_whole(auth: Auth) -> None:
    key = (await auth.create_key(await auth.user_id())).api_key
    assert (await refusal(report(auth, (key.id, NOW), ("x", NOW))))[2] == {"field": "uses.api_key_id"}
    assert (await refusal(report(auth, *[(key.id, NOW)] * 10_001)))[2] == {"field": "uses"}
    assert await last_use(auth, key) is None
    await report(auth)


async def by_id(auth: Auth, user_id: str, api_key_id: str) -> pb.ResolvedApiKey:
    request = pb.ResolveApiKeyByIdRequest(user_id=user_id, api_key_id=api_key_id)
    return (await auth.stub.ResolveApiKeyById(request)).resolved


async def test_a_key_named_by_its_owner_is_what_its_secret_is(start: Start) -> None:
    async with start(virtual_keys=True) as auth:
        user_id = await auth.user_id()
        created = await auth.create_key(user_id, monthly_limit_nanos=7, rpm_limit=9)
        found = await by_id(auth, user_id, created.api_key.id)
        assert [found] == list((await auth.resolve(created.secret)).resolved)
        assert (found.outcome, found.api_key, found.account_id) == (1, created.api_key, user_id)
        assert found.virtual_key


async def test_a_key_of_another_user_or_of_nobody_is_not_found(auth: Auth) -> None:
    alice, bob = await auth.user_id(), await auth.user_id("bob@example.com")
    key, deleted = (await auth.create_key(alice)).api_key, (await auth.create_key(alice)).api_key
    await auth.stub.DeleteApiKey(pb.DeleteApiKeyRequest(user_id=alice, api_key_id=deleted.id))
    for user_id, api_key_id in ((bob, key.id), (alice, deleted.id), (alice, str(uuid4())), (str(uuid4()), key.id)):
        assert (await refusal(by_id(auth, user_id, api_key_id)))[:2] == ("NOT_FOUND", "API_KEY_NOT_FOUND")
    assert (await refusal(by_id(auth, "x", key.id)))[2] == {"field": "user_id"}
    assert (await refusal(by_id(auth, alice, "x")))[2] == {"field": "api_key_id"}


async def test_a_key_named_by_its_owner_says_why_it_does_not_work_and_nothing_else(auth: Auth) -> None:
    alice, bob = await auth.user_id(), await auth.user_id("bob@example.com")
    disabled, orphan = (await auth.create_key(alice)).api_key, (await auth.create_key(bob)).api_key
    expired = (await auth.create_key(alice, expire_time=timestamps.to_proto(NOW + timedelta(hours=1)))).api_key
    await update(auth, disabled, status=pb.API_KEY_STATUS_DISABLED)
    await set_status(auth, bob, pb.USER_STATUS_DISABLED)
    auth.clock.now += timedelta(hours=1)
    assert [await by_id(auth, key.user_id, key.id) for key in (disabled, expired, orphan)] == [
        pb.ResolvedApiKey(outcome=pb.RESOLVE_OUTCOME_DISABLED),
        pb.ResolvedApiKey(outcome=pb.RESOLVE_OUTCOME_EXPIRED),
        pb.ResolvedApiKey(outcome=pb.RESOLVE_OUTCOME_OWNER_DISABLED),
    ]
