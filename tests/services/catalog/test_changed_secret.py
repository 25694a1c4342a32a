"""APP_SECRET_KEY changes: credentials of upstreams are read, and sealed anew."""

from services.catalog import store_upstreams
from services.catalog.upstreams import Credentials, renew_seals
from tests.services.catalog.conftest import Catalog
from tests.support.databases import APP_SECRET

NEW = "the secret that comes after the one of all tests"
UPSTREAM = {
    "UPSTREAM_KIND": "openai",
    "UPSTREAM_BASE_URL": "http://vllm:8000",
    "UPSTREAM_API_KEY": "sk-of-the-upstream",
}


async def credential(catalog: Catalog, credentials: Credentials) -> str:
    """What can be read of the only upstream's."""
    async with catalog.database.reader() as connection:
        (stored,) = await store_upstreams.upstreams(connection)
    return credentials.open(stored).credential


async def test_a_credential_is_sealed_under_the_new_secret_once(catalog: Catalog) -> None:
    await catalog.seed(**UPSTREAM)
    both, new = Credentials(NEW, previous=APP_SECRET), Credentials(NEW)
    assert await credential(catalog, both) == "sk-of-the-upstream"
    assert await credential(catalog, new) == ""
    async with catalog.database.transaction() as connection:
        assert await renew_seals(connection, both) == 1
        assert await renew_seals(connection, both) == 0
    assert await credential(catalog, new) == "sk-of-the-upstream"


async def test_what_nobody_can_read_is_left_as_it_is(catalog: Catalog) -> None:
    await catalog.seed(**UPSTREAM)
    async with catalog.database.transaction() as connection:
        assert await renew_seals(connection, Credentials(NEW, previous="neither this one nor that")) == 0
    assert await credential(catalog, Credentials(APP_SECRET)) == "sk-of-the-upstream"
