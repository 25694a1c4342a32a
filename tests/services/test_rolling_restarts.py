"""Each service is replaced under load by a new process: each request is answered, and paid once."""

import asyncio
import json
import random
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from tests.support.databases import Cluster
from tests.support.processes import fake_upstream
from tests.support.services import NAMES, seeded_database
from tests.support.waiting import eventually

VISITORS = 3
CHATS = 5
PAUSE_S = 0.01
"""Between the requests of a visitor: the test is about what happens at the restarts, not about throughput."""
PATIENT = json.dumps({"ask_timeout_s": 20})
"""The edge asks for credit with a deadline that is short for a machine that runs many tests at once."""


@dataclass
class Replica:
    """One process of a service, or the edge; `listen` is its address."""

    module: str
    environment: dict[str, str]
    directory: Path
    listen: str
    process: "subprocess.Popen[bytes] | None" = None

    async def start(self) -> None:
        """Start it, and return when it is ready."""
        log = self.directory / f"{self.module}.{self.listen}.log"
        variable = f"{self.module.rpartition('.')[2].upper()}_LISTEN"
        with log.open("wb") as opened:
            environment = self.environment | {variable: self.listen}
            self.process = subprocess.Popen([sys.executable, "-m", self.module], env=environment, stderr=opened)

        async def listening() -> bool:
            assert self.process
            assert self.process.poll() is None, log.read_text()
            return '"listening"' in log.read_text()

        await eventually(listening, within_s=60, what=self.module)

    async def stop(self) -> None:
        """SIGTERM; it ends by itself, with all calls answered."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(self.process.wait, 30) == 0

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()


@dataclass
class Fleet:
    """An edge in front of a process of each service, with a second one that is not started yet."""

    pairs: list[tuple[Replica, Replica]]
    client: httpx.AsyncClient
    database_url: str


@dataclass
class Visits:
    """What visitors have done."""

    finished: int = 0
    chats: int = 0
    is_over: bool = False


@asynccontextmanager
async def running(cluster: Cluster, redis_url: str, directory: Path) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        settings = {
            "EDGE_PORT": "0",
            "DASHBOARD_PORT": "0",
            "EDGE_PORTS_FILE": str(directory / "ports.json"),
            "EDGE_JOURNAL_DIR": str(directory / "journal"),
            "EDGE_PACE": PATIENT,
        }
        upstream = stack.enter_context(fake_upstream())
        environment, url = stack.enter_context(
            seeded_database(cluster, redis_url, directory, upstream_url=upstream, **settings)
        )
        await execute(url, "UPDATE catalog.plans SET rpm = 1000000")
        pairs = []
        for service in NAMES:
            addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
            environment[f"{service.upper()}_ADDR"] = "ipv4:" + ",".join(addresses)
            old, new = (Replica(f"services.{service}", environment, directory, address) for address in addresses)
            stack.callback(old.kill)
            stack.callback(new.kill)
            pairs.append((old, new))
        await asyncio.gather(*(old.start() for old, _ in pairs))
        edge = Replica("edge", environment, directory, "")
        stack.callback(edge.kill)
        await edge.start()
        port = json.loads((directory / "ports.json").read_text())["api_port"]
        yield Fleet(
            pairs,
            await stack.enter_async_context(httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30)),
            url,
        )


async def signed_up(fleet: Fleet) -> str:
    """The session of a new user with some credit. This takes a password's time and waits for nothing that restarts."""
    account = {"email": f"{uuid4().hex}@example.com", "password": "correct-horse-battery-staple"}

    async def session() -> str:
        answer = await fleet.client.post("/api/auth/signup", json=account)
        return str(answer.json()["access_token"]) if answer.is_success else ""

    token = await eventually(session, within_s=60, what="a sign-up")
    fleet.client.cookies.clear()

    async def credit() -> bool:
        headers = {"authorization": f"Bearer {token}", "idempotency-key": account["email"]}
        return (await fleet.client.post("/api/billing/topup", json={"amount_usd": 50}, headers=headers)).is_success

    await eventually(credit, within_s=60, what="credit")
    return token


async def visit(fleet: Fleet, visits: Visits, session: str) -> None:
    """Make a key, call with it, look at the bill, top up, delete the key; again, until it is over."""
    while not visits.is_over:
        made = await expect(fleet, "POST", "/api/keys", {"name": "k"}, token=session)
        for _ in range(CHATS):
            messages = [{"role": "user", "content": "Hi."}]
            body = {"model": "privaterouter/fast", "messages": messages, "max_tokens": 20}
            await expect(fleet, "POST", "/v1/chat/completions", body, token=made["key"])
            visits.chats += 1
        await expect(fleet, "GET", "/api/usage", token=session)
        await expect(fleet, "POST", "/api/billing/topup", {"amount_usd": 10}, token=session)
        await expect(fleet, "GET", "/api/auth/me", token=session)
        await expect(fleet, "DELETE", f"/api/keys/{made['api_key']['id']}", token=session)
        visits.finished += 1


async def expect(fleet: Fleet, method: str, path: str, body: object = None, *, token: str) -> dict[str, Any]:
    """The answer, which must be a good one."""
    answer = await fleet.client.request(method, path, json=body, headers={"authorization": f"Bearer {token}"})
    assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
    await asyncio.sleep(PAUSE_S)
    said: dict[str, Any] = answer.json() if answer.content else {}
    return said


@pytest.mark.timeout(180)
async def test_replacing_all_services_is_noticed_by_nobody(cluster: Cluster, redis_url: str, tmp_path: Path) -> None:
    visits = Visits()
    async with running(cluster, redis_url, tmp_path) as fleet:
        sessions = [await signed_up(fleet) for _ in range(VISITORS)]
        # The first visitor who is disappointed ends all of it.
        async with asyncio.TaskGroup() as visitors:
            for session in sessions:
                visitors.create_task(visit(fleet, visits, session))
            for old, new in fleet.pairs:
                await some_more(visits)
                await new.start()
                await old.stop()
            await some_more(visits)
            visits.is_over = True
        await eventually(lambda: charges(fleet, visits.chats), within_s=30, what="a charge for each call")


async def some_more(visits: Visits) -> None:
    """Waits for as many whole visits as there are visitors."""
    enough = visits.finished + VISITORS

    async def done() -> bool:
        return visits.finished >= enough

    await eventually(done, within_s=60, what="visits")


def free_port() -> int:
    """A port that stays free until a process starts there: below those that systems give to connections."""
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311 (no secret)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


async def charges(fleet: Fleet, expected: int) -> bool:
    """Whether there are so many; more would be too many."""
    made = await execute(fleet.database_url, "SELECT count(*) FROM billing.ledger_transactions WHERE kind = 'charge'")
    assert made <= expected
    return bool(made == expected)


async def execute(url: str, statement: str) -> int:
    """What the statement answers."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement) or 0
    finally:
        await connection.close()
