"""The real processes of billing and usage export what they have found wrong as metrics."""

import asyncio
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kit.client import channel
from kit.health import is_serving
from tests.services.billing.test_audit import UNGUARDED
from tests.support.databases import APP_SECRET, Databases
from tests.support.money_services import MoneyServices, money_services
from tests.support.waiting import eventually


@contextmanager
def started(service: str, directory: Path, **settings: str) -> Iterator[str]:
    """A real process of the service on a unix socket; the address of its metrics."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        f"{service.upper()}_LISTEN": f"unix:{directory}/{service}",
        "METRICS_PORT": str(port),
        **settings,
    }
    with subprocess.Popen(
        [sys.executable, "-m", f"services.{service}"], env=os.environ | environment, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield f"http://127.0.0.1:{port}/metrics"
        finally:
            process.terminate()


async def exported(url: str, *lines: str) -> None:
    """Waits until the metrics have these lines."""

    def read() -> list[str]:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return str(answer.read().decode()).splitlines()
        except urllib.error.URLError:
            return []

    async def found() -> bool:
        return set(lines) <= set(await asyncio.to_thread(read))

    await eventually(found, within_s=20, what=f"{lines} in the metrics")


async def spoiled(money: MoneyServices) -> None:
    """A balance is off by one, and a record costs something else than was charged."""
    owner = await money.owner()
    await money.record(owner, 3)
    await money.settled()
    await money.close()
    await money.admin.execute(UNGUARDED)
    await money.admin.execute("UPDATE billing.accounts SET posted_nanos = posted_nanos + 1")
    await money.admin.execute("UPDATE usage.usage_records SET cost_nanos = cost_nanos - 1")


async def test_the_processes_export_what_is_wrong_at_once(databases: Databases, redis_url: str, tmp_path: Path) -> None:
    async with money_services(databases) as money:
        await spoiled(money)
        billing_addr = f"unix:{tmp_path}/billing"
        billing = {
            "BILLING_DATABASE_URL": databases.url_for("billing", money.world.url),
            "CATALOG_ADDR": f"unix:{tmp_path}/catalog",
            "REDIS_URL": redis_url,
        }
        usage = {
            "USAGE_DATABASE_URL": databases.url_for("usage", money.world.url),
            "BILLING_ADDR": billing_addr,
            "APP_SECRET_KEY": APP_SECRET,
        }
        with started("billing", tmp_path, **billing) as metrics:
            await exported(
                metrics,
                'billing_mismatches{check="R1"} 0.0',
                'billing_mismatches{check="R2"} 1.0',
                'billing_mismatches{check="R3"} 0.0',
            )
            async with channel(billing_addr) as client:
                await eventually(lambda: is_serving(client), within_s=20, what="billing")
            with started("usage", tmp_path, **usage) as metrics_of_usage:
                await exported(
                    metrics_of_usage,
                    'usage_mismatches{check="R4"} 3.0',
                    'usage_mismatches{check="R5"} 0.0',
                    'usage_mismatches{check="R6"} 0.0',
                    "usage_compared_records 3.0",
                    "usage_outbox_oldest_seconds 0.0",
                    "usage_lost_worker_seconds 0.0",
                )
