"""An edge as a process, with a key and calls for it."""

import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.services import RunningServices
from tests.support.waiting import eventually

PASSWORD = "correct-horse-battery-staple"


@dataclass
class Process:
    """A running edge."""

    process: "subprocess.Popen[bytes]"
    ports: dict[str, int]
    log: Path

    def url(self, port: str = "api_port") -> str:
        return f"http://127.0.0.1:{self.ports[port]}"


@contextmanager
def edge(services: RunningServices, directory: Path, **settings: str) -> Iterator["subprocess.Popen[bytes]"]:
    environment = services.environment | {
        "EDGE_PORT": "0",
        "DASHBOARD_PORT": "0",
        "METRICS_PORT": "0",
        "EDGE_PORTS_FILE": str(directory / "ports.json"),
        "EDGE_JOURNAL_DIR": str(directory / "journal"),
    }
    with (
        (directory / "edge.log").open("wb") as log,
        subprocess.Popen([sys.executable, "-m", "edge"], env=environment | settings, stderr=log) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


@asynccontextmanager
async def serving(services: RunningServices, directory: Path, **settings: str) -> AsyncIterator[Process]:
    """An edge that answers, with a dashboard of one page."""
    dashboard = directory / "dashboard"
    dashboard.mkdir()
    (dashboard / "index.html").write_text("the dashboard")
    with edge(services, directory, DASHBOARD_DIR=str(dashboard), **settings) as process:
        log = directory / "edge.log"

        async def ports() -> dict[str, int]:
            assert process.poll() is None, log.read_text()
            file = directory / "ports.json"
            found: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
            return found

        yield Process(process, await eventually(ports, within_s=20, what="the ports"), log)


async def key_of_a_new_user(client: httpx.AsyncClient) -> tuple[str, dict[str, str]]:
    """An API key, and the headers of its owner's session."""
    email = f"main-{time.time_ns()}@example.com"
    answer = await client.post("/api/auth/signup", json={"email": email, "password": PASSWORD})
    client.cookies.clear()
    session = {"authorization": f"Bearer {answer.json()['access_token']}"}

    async def opened() -> bool:
        return (await client.get("/api/billing/balance", headers=session)).status_code == 200

    await eventually(opened)
    return (await client.post("/api/keys", json={"name": "k"}, headers=session)).json()["key"], session


def chat(**script: Any) -> dict[str, Any]:
    return {
        "model": "privaterouter/fast",
        "messages": [{"role": "user", "content": "Hi."}],
        "max_tokens": 50,
        "user": json.dumps(script),
    }
