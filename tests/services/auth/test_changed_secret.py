"""APP_SECRET_KEY changes: what is stored under the one before it is read, and brought over."""

import asyncpg

from services.auth import virtual_keys
from services.auth.api_keys import Digester
from tests.services.auth.conftest import Auth, Start
from tests.support.databases import APP_SECRET, Databases

NEW = "the secret that comes after the one of all tests"


async def stored(admin: "asyncpg.Connection[asyncpg.Record]") -> tuple[bytes, bytes]:
    """Digest and sealed virtual key of the only API key."""
    row = await admin.fetchrow("SELECT secret_digest, virtual_key_sealed FROM auth.api_keys")
    assert row is not None
    return row[0], row[1]


async def virtual_key(auth: Auth, secret: str) -> str:
    return (await auth.resolve(secret)).resolved[0].virtual_key


async def test_keys_and_virtual_keys_work_on_and_are_under_the_new_secret_afterwards(
    start: Start, databases: Databases
) -> None:
    url = await databases.fresh("auth")
    async with start(virtual_keys=True, url=url) as auth:
        key = await auth.create_key(await auth.user_id())
        made = await virtual_key(auth, key.secret)
        assert made
    async with start(virtual_keys=True, url=url, app_secret=NEW, previous=APP_SECRET) as auth:
        assert await virtual_key(auth, key.secret) == made
        digest, sealed = await stored(auth.admin)
        assert digest == Digester(NEW).digest(key.secret)
        await virtual_keys.renew_seals(auth.database, auth.parts.seals)
        renewed = (await stored(auth.admin))[1]
        assert renewed != sealed
        await virtual_keys.renew_seals(auth.database, auth.parts.seals)
        assert (await stored(auth.admin))[1] == renewed
    async with start(virtual_keys=True, url=url, app_secret=NEW) as auth:
        assert await virtual_key(auth, key.secret) == made


async def test_a_key_that_nobody_has_used_meanwhile_ends_with_the_secret_before(
    start: Start, databases: Databases
) -> None:
    url = await databases.fresh("auth")
    async with start(url=url) as auth:
        key = await auth.create_key(await auth.user_id())
    async with start(url=url, app_secret=NEW, previous=APP_SECRET) as auth:
        other = await auth.create_key(key.api_key.user_id)
        assert await auth.outcome(other.secret) == "ACTIVE"
    async with start(url=url, app_secret=NEW) as auth:
        assert [await auth.outcome(one.secret) for one in (key, other)] == ["UNKNOWN", "ACTIVE"]
