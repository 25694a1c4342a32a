"""The four services as real processes on one database, seeded: what the edge stands in front of."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc

from kit import client, dsn, migrations
from kit.health import is_serving
from tests.support.certificates import HERE, free_port
from tests.support.databases import APP_SECRET, Cluster
from tests.support.waiting import eventually

T = TypeVar("T")

NAMES = ("catalog", "billing", "usage", "auth")
JWT_SECRET = "a secret that signs the sessions of tests"


@dataclass(frozen=True)
class RunningServices:
    """Where the services are; `environment` is what an edge in front of them needs, but for ports and journal."""

    environment: dict[str, str]
    processes: "dict[str, subprocess.Popen[bytes]]"
    database_url: str


@contextmanager
def running_services(
    cluster: Cluster,
    redis_url: str,
    directory: Path,
    *,
    upstream_url: str = "http://127.0.0.1:9",
    each: Mapping[str, Mapping[str, str]] | None = None,
    certificates: Path | None = None,
    **settings: str,
) -> Iterator[RunningServices]:
    """Start them on a new database and unix sockets in `directory`; models are routed to `upstream_url`.

    With `certificates`, a folder with a TLS_DIR for each, they listen on ports, and probes have ports of their own.
    `settings` are more variables for all of them, `each` for one of them, by its name. Logs are in `directory`, and all
    data is gone in the end.
    """
    addresses = {service: f"unix:{directory}/{service}.sock" for service in NAMES}
    probed = addresses
    if certificates:
        addresses, probed = ({service: f"{HERE}:{free_port()}" for service in NAMES} for _ in range(2))

    def own(process: str) -> dict[str, str]:
        given = dict((each or {}).get(process, {}))
        if not certificates:
            return given
        return {"TLS_DIR": str(certificates / process), "HEALTH_LISTEN": probed.get(process, ""), **given}

    listen = {f"{service.upper()}_LISTEN": address for service, address in addresses.items()}
    named = {**{f"{service.upper()}_ADDR": address for service, address in addresses.items()}, **listen, **settings}
    with (
        seeded_database(cluster, redis_url, directory, upstream_url=upstream_url, **named) as (environment, url),
        ExitStack() as stack,
    ):
        processes = {
            service: stack.enter_context(_process(service, environment | own(service), directory)) for service in NAMES
        }
        _in_a_thread(_all_ready(probed, directory))
        yield RunningServices(environment | own("edge"), processes, url)


@contextmanager
def seeded_database(
    cluster: Cluster, redis_url: str, directory: Path, *, upstream_url: str, **settings: str
) -> Iterator[tuple[dict[str, str], str]]:
    """A new database for the four services: the environment that they need, with `settings`, and the migrator's DSN."""
    name = f"services_{os.getpid()}_{abs(hash(directory))}"
    _in_a_thread(cluster.copy(_in_a_thread(cluster.template(_TEMPLATE)), name))
    url = cluster.url_of(name)
    environment = {
        "PATH": os.environ["PATH"],
        "APP_SECRET_KEY": APP_SECRET,
        "JWT_SECRET": JWT_SECRET,
        "REDIS_URL": redis_url,
        "UPSTREAM_KIND": "openai",
        "UPSTREAM_BASE_URL": upstream_url,
        **{f"{service.upper()}_DATABASE_URL": dsn.service_url(url, service, APP_SECRET) for service in NAMES},
        **settings,
    }
    try:
        seed = [sys.executable, "-m", "services.catalog.seed"]
        subprocess.run(seed, env=environment, check=True, capture_output=True)
        yield environment, url
    finally:
        _in_a_thread(cluster.execute(f"DROP DATABASE {name} WITH (FORCE)"))


_TEMPLATE = tuple(migrations.services(Path(__file__).parents[2] / "alembic.ini"))


@contextmanager
def _process(service: str, environment: dict[str, str], directory: Path) -> "Iterator[subprocess.Popen[bytes]]":
    with (
        (directory / f"{service}.log").open("wb") as log,
        subprocess.Popen([sys.executable, "-m", f"services.{service}"], env=environment, stderr=log) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


async def _all_ready(addresses: dict[str, str], directory: Path) -> None:
    for name, address in addresses.items():
        async with client.channel(address) as channel:
            log = directory / f"{name}.log"

            async def ready(channel: grpc.aio.Channel = channel) -> bool:
                return await is_serving(channel)

            try:
                await eventually(ready, within_s=30, what=name)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{log.read_text()}") from None


def _in_a_thread(coroutine: Coroutine[None, None, T]) -> T:
    """The result of a coroutine, whether or not a loop runs here: fixtures of a session have none."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()
