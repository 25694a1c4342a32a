"""What is long over is deleted, and what somebody may still ask for is not."""

from datetime import datetime, timedelta
from uuid import UUID

from kit.ids import lowest_id
from privaterouter.auth.v1 import auth_pb2 as pb
from services.auth import retention
from services.auth.retention import KEPT
from services.auth.sessions import LIFETIME
from tests.services.auth.conftest import NOW, Auth

DAY = timedelta(days=1)


async def add_session(auth: Auth, user_id: str, begun: datetime, *, ended: datetime | None = None) -> UUID:
    session_id = UUID(int=lowest_id(begun).int + (1 if ended else 0))
    await auth.admin.execute(
        "INSERT INTO auth.sessions (id, user_id, create_time, expire_time, end_time) VALUES ($1, $2, $3, $4, $5)",
        session_id,
        UUID(user_id),
        begun,
        begun + LIFETIME,
        ended,
    )
    return session_id


async def revoke_one(auth: Auth, user_id: str) -> None:
    key = (await auth.create_key(user_id)).api_key
    await auth.stub.DeleteApiKey(pb.DeleteApiKeyRequest(user_id=user_id, api_key_id=key.id))


async def delete_sessions(auth: Auth) -> int:
    async with auth.database.transaction() as connection:
        return await retention.delete_sessions(connection, NOW)


async def delete_revocations(auth: Auth, now: datetime) -> int:
    async with auth.database.transaction() as connection:
        return await retention.delete_revocations(connection, now)


async def test_sessions_go_35_days_after_their_time_ended_or_not(auth: Auth) -> None:
    user_id = await auth.user_id()
    before = await auth.count("sessions")
    oldest = NOW - KEPT - LIFETIME
    for begun in (oldest - DAY, oldest - timedelta(milliseconds=1)):
        await add_session(auth, user_id, begun)
        await add_session(auth, user_id, begun, ended=begun + DAY)
    kept = {
        await add_session(auth, user_id, oldest + timedelta(milliseconds=1)),
        await add_session(auth, user_id, oldest + DAY, ended=oldest + 2 * DAY),
        await add_session(auth, user_id, NOW - DAY),
    }
    assert await delete_sessions(auth) == 4
    assert await delete_sessions(auth) == 0
    assert await auth.count("sessions") == before + len(kept)
    left = {row["id"] for row in await auth.admin.fetch("SELECT id FROM auth.sessions")}
    assert kept <= left


async def test_a_session_that_somebody_holds_is_left_for_the_next_round(auth: Auth) -> None:
    user_id = await auth.user_id()
    session_id = await add_session(auth, user_id, NOW - KEPT - LIFETIME - DAY)
    async with auth.admin.transaction():
        await auth.admin.execute("SELECT FROM auth.sessions WHERE id = $1 FOR UPDATE", session_id)
        assert await delete_sessions(auth) == 0
    assert await delete_sessions(auth) == 1


async def test_the_last_revocation_stays_and_the_next_one_counts_from_it(auth: Auth) -> None:
    user_id = await auth.user_id()
    for _ in range(3):
        await revoke_one(auth, user_id)
    assert [change.sequence for change in await auth.revocations()] == [1, 2, 3]
    assert await delete_revocations(auth, NOW + KEPT) == 0
    assert await delete_revocations(auth, NOW + KEPT + DAY) == 2
    assert [change.sequence for change in await auth.revocations()] == [3]
    await revoke_one(auth, user_id)
    # Whoever asks from before the deleted ones on gets what is left.
    assert [change.sequence for change in await auth.revocations(after=1)] == [3, 4]
