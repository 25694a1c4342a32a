"""Every service, and the seeding, waits at its start and refuses a newer schema: the same words from each."""

import importlib
from typing import Any

import pytest

from kit import starting
from tests.support.databases import APP_SECRET, Databases

PROGRAMS = {
    "services.auth.__main__": ("auth", "services.auth.settings:AuthSettings"),
    "services.catalog.__main__": ("catalog", "services.catalog.settings:CatalogSettings"),
    "services.billing.__main__": ("billing", "services.billing.settings:BillingSettings"),
    "services.usage.__main__": ("usage", "services.usage.settings:UsageSettings"),
    "services.catalog.seed": ("catalog", "services.catalog.settings:SeedSettings"),
}


async def ended(program: str, url: str, redis_url: str, **settings: Any) -> object:
    """Runs it until it ends by itself; its exit status."""
    service, place = PROGRAMS[program]
    module, _, name = place.partition(":")
    values = {
        f"{service}_database_url": url,
        f"{service}_listen": "unused",
        "redis_url": redis_url,
        "app_secret_key": APP_SECRET,
        "billing_addr": "127.0.0.1:1",
        "catalog_addr": "127.0.0.1:1",
        "upstream_kind": "openai",
        "upstream_base_url": "http://127.0.0.1:1",
        "start_within_s": 0,
    }
    made = getattr(importlib.import_module(module), name).model_validate(values | settings)
    with pytest.raises(SystemExit) as caught:
        await importlib.import_module(program).main(made)
    return caught.value.code


@pytest.mark.parametrize("program", PROGRAMS)
async def test_it_gives_up_on_a_database_that_stays_away_or_old_and_refuses_a_newer_one(
    program: str, databases: Databases, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    service, _ = PROGRAMS[program]
    assert await ended(program, "postgresql://someone:hidden@127.0.0.1:1/x", redis_url) == starting.IN_VAIN
    assert capsys.readouterr().err.startswith("Gave up after 0 s: PostgreSQL at 127.0.0.1:1 cannot be reached")
    url = await databases.fresh(service)
    own, admin = databases.url_for(service, url), await databases.admin(url)
    await admin.execute(f"UPDATE {service}.alembic_version SET version_num = '20991231_{service}_1'")
    assert await ended(program, own, redis_url) == starting.REFUSED
    assert f"{service} is at 20991231_{service}_1, which this release does not know" in capsys.readouterr().err
    await admin.execute(f"DROP TABLE {service}.alembic_version")
    assert await ended(program, own, redis_url) == starting.IN_VAIN
    assert "Run `privaterouter migrate` of this release." in capsys.readouterr().err


@pytest.mark.parametrize("program", [program for program in PROGRAMS if program != "services.usage.__main__"])
async def test_it_gives_up_on_a_valkey_that_stays_away(
    program: str, databases: Databases, capsys: pytest.CaptureFixture[str]
) -> None:
    service, _ = PROGRAMS[program]
    url = databases.url_for(service, await databases.fresh(service))
    assert await ended(program, url, "redis://:hidden@127.0.0.1:1/0") == starting.IN_VAIN
    line = capsys.readouterr().err
    assert line.startswith("Gave up after 0 s: Valkey at 127.0.0.1:1 cannot be reached")
    assert "hidden" not in line
