"""Nobody spends more than they have, however many requests come at once; and the proof would notice."""

from pathlib import Path

import asyncpg
import pytest

from tests.e2e.rush import BODY_BYTES, body, hold_up, prepare, rush
from tests.support.customers import Customer, customer
from tests.support.processes import fake_upstream
from tests.support.stack import running_stack

# Loaded by every Python process of the stack that finds it on its path; changes billing alone.
WITHOUT_GUARD = """
import sys

if "services.billing" in sys.orig_argv:
    from services.billing import books, store

    store.SAVE_ACCOUNTS = store.SAVE_ACCOUNTS.replace(store.GUARD, "true")
    books.Account.available_nanos = property(lambda account: 10**12)
"""


def test_the_request_is_as_long_as_it_is_held_for() -> None:
    assert len(body()) == BODY_BYTES


@pytest.mark.timeout(180)
async def test_two_hundred_requests_on_the_money_for_fifty(bob: Customer, upstream: str) -> None:
    await prepare(bob)
    seen = await rush(bob, upstream)
    hold_up(seen)


@pytest.mark.timeout(180)
async def test_the_same_without_the_guard_is_noticed(tmp_path: Path) -> None:
    """Three lines hold a balance: the rule on locked rows, the guard of the statement, a CHECK. Here are none."""
    (tmp_path / "mutant").mkdir()
    (tmp_path / "mutant" / "sitecustomize.py").write_text(WITHOUT_GUARD)
    with fake_upstream() as upstream:
        settings = {"UPSTREAM_KIND": "openai", "UPSTREAM_BASE_URL": upstream, "PYTHONPATH": str(tmp_path / "mutant")}
        with running_stack(tmp_path / "home", **settings) as stack, customer(stack) as someone:
            await prepare(someone)
            connection = await asyncpg.connect(stack.places.database_url)
            for check in ("accounts_available_check", "accounts_posted_check"):
                await connection.execute(f"ALTER TABLE billing.accounts DROP CONSTRAINT {check}")
            await connection.close()
            seen = await rush(someone, upstream)
            with pytest.raises(AssertionError, match="available fell to -"):
                hold_up(seen)
