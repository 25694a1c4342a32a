"""The proof can fail: each promise is broken once on purpose, and the verdict says so."""

import asyncio
from pathlib import Path

import pytest

from tests.faults.cluster import Cluster, running_cluster
from tests.faults.driver import LONG, Run
from tests.faults.office import Office
from tests.faults.test_edges import LITTLE_NANOS, _race
from tests.faults.verdict import judge

WITHOUT_GUARD = """
import sys

if "services.billing" in sys.orig_argv:
    from services.billing import books, store

    store.SAVE_ACCOUNTS = store.SAVE_ACCOUNTS.replace(store.GUARD, "true")
    books.Account.available_nanos = property(lambda account: 10**12)
"""
LATE_JOURNAL = """
import sys

if "edge" in sys.orig_argv:
    import asyncio
    from edge.money.path import MoneyPath

    finish = MoneyPath.finish
    late = set()

    async def after_the_last_byte(*arguments):
        await asyncio.sleep(0.3)
        await finish(*arguments)

    async def finish_later(*arguments):
        late.add(asyncio.create_task(after_the_last_byte(*arguments)))

    MoneyPath.finish = finish_later
"""
"""Loaded by every Python process of the cluster; each changes one of them."""

pytestmark = [
    pytest.mark.timeout(600),
    LONG,
]


async def test_commits_that_are_not_waited_for_are_noticed_when_postgres_dies() -> None:
    async with running_cluster() as cluster, Office(cluster) as office:
        run = await _opened(cluster, office, "CONTROL: commits not waited for")
        await _execute(
            cluster,
            "ALTER DATABASE privaterouter SET synchronous_commit = off",
            "ALTER SYSTEM SET wal_writer_delay = '10s'",
            "ALTER SYSTEM SET wal_writer_flush_after = '1GB'",
            "SELECT pg_reload_conf()",
            "CHECKPOINT",
        )
        for service in ("usage", "billing"):
            await run.kill(service)
        run.begin()
        await asyncio.sleep(2)
        await run.kill("postgres")
        await run.rest()
        verdict = await judge(cluster, run.customers, run.seen, within_s=20)
        assert verdict.lost > 0
        with pytest.raises(AssertionError, match="lost"):
            verdict.hold()


async def test_a_final_record_that_is_journaled_after_the_last_byte_is_noticed(tmp_path: Path) -> None:
    async with running_cluster(PYTHONPATH=_mutant(tmp_path, LATE_JOURNAL)) as cluster, Office(cluster) as office:
        run = await _opened(cluster, office, "CONTROL: journaled too late")
        run.begin()
        await asyncio.sleep(1.5)
        await run.kill("edge-a")
        await run.rest()
        verdict = await judge(cluster, run.customers, run.seen)
        with pytest.raises(AssertionError, match="answered in full, but"):
            verdict.hold()


async def test_a_ledger_that_does_not_know_what_it_has_booked_is_noticed() -> None:
    async with running_cluster() as cluster, Office(cluster) as office:
        run = await _opened(cluster, office, "CONTROL: no unique index")
        await _execute(
            cluster, "ALTER TABLE billing.ledger_transactions DROP CONSTRAINT ledger_transactions_request_key"
        )
        cluster.kill("billing")
        await cluster.start("billing", faults="billing.settle.after_commit=drop:2")
        run.begin()
        await asyncio.sleep(1.5)
        await run.rest()
        verdict = await judge(cluster, run.customers, run.seen, within_s=20)
        assert verdict.doubled > 0
        with pytest.raises(AssertionError, match="charges are"):
            verdict.hold()


async def test_a_lease_that_nobody_guards_is_noticed(tmp_path: Path) -> None:
    async with running_cluster(PYTHONPATH=_mutant(tmp_path, WITHOUT_GUARD)) as cluster, Office(cluster) as office:
        await office.lift_rate_limits()
        await _execute(
            cluster,
            "ALTER TABLE billing.accounts DROP CONSTRAINT accounts_available_check",
            "ALTER TABLE billing.accounts DROP CONSTRAINT accounts_posted_check",
        )
        customer = await office.customer(LITTLE_NANOS)
        verdict = await judge(cluster, [customer], await _race(cluster, customer, "a race"), within_s=20)
        with pytest.raises(AssertionError, match="overspent by"):
            verdict.hold()


async def _opened(cluster: Cluster, office: Office, name: str) -> Run:
    await office.lift_rate_limits()
    run = Run(cluster, office, name)
    await run.open()
    return run


async def _execute(cluster: Cluster, *statements: str) -> None:
    connection = await cluster.connect()
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


def _mutant(directory: Path, code: str) -> str:
    (directory / "sitecustomize.py").write_text(code)
    return str(directory)
