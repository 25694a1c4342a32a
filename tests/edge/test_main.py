"""The edge as a process: its ports, what it says when it cannot run, and how it stops."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge.__main__ import main
from edge.settings import EdgeSettings
from kit import starting
from tests.support.services import JWT_SECRET, RunningServices
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


@pytest.fixture
async def running(services: RunningServices, tmp_path: Path) -> AsyncIterator[Process]:
    """An edge that answers, with a dashboard of one page."""
    dashboard = tmp_path / "dashboard"
    dashboard.mkdir()
    (dashboard / "index.html").write_text("the dashboard")
    with edge(services, tmp_path, DASHBOARD_DIR=str(dashboard)) as process:
        log = tmp_path / "edge.log"

        async def ports() -> dict[str, int]:
            assert process.poll() is None, log.read_text()
            file = tmp_path / "ports.json"
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


async def test_both_ports_serve_the_same_application_and_metrics_have_their_own(running: Process) -> None:
    async with httpx.AsyncClient() as client:
        for port in ("api_port", "dashboard_port"):
            assert (await client.get(f"{running.url(port)}/health")).json() == {"status": "ok"}
            assert (await client.get(f"{running.url(port)}/keys")).text == "the dashboard"
            assert (await client.get(f"{running.url(port)}/metrics")).status_code == 404

        async def ready() -> bool:
            return (await client.get(f"{running.url()}/health/ready")).status_code == 200

        await eventually(ready, within_s=10, what="ready")
        exposed = (await client.get(f"{running.url('metrics_port')}/metrics")).text
        assert 'edge_http_requests_total{method="GET",route="/health",status="200"} 2.0' in exposed
        assert (await client.get(f"{running.url('metrics_port')}/metrics")).status_code == 200
    assert set(running.ports) == {"api_port", "dashboard_port", "metrics_port"}


async def test_the_description_can_be_exported_without_an_edge(running: Process, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edge.openapi.export"]
    exported = subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, check=True).stdout
    async with httpx.AsyncClient() as client:
        assert json.loads(exported) == (await client.get(f"{running.url()}/api/openapi.json")).json()


async def test_a_call_is_answered_charged_and_listed(running: Process) -> None:
    async with httpx.AsyncClient(base_url=running.url()) as client:
        key, session = await key_of_a_new_user(client)
        answer = await client.post("/v1/chat/completions", json=chat(), headers={"authorization": f"Bearer {key}"})
        assert answer.status_code == 200, answer.text
        request_id, cost = answer.headers["x-request-id"], answer.headers["x-privaterouter-cost-usd"]

        async def listed() -> Any:
            return (await client.get(f"/api/usage/{request_id}", headers=session)).is_success

        await eventually(listed, what="the usage event")
        event = (await client.get("/api/usage", headers=session)).json()["items"][0]
        assert (event["id"], event["cost_usd"], event["status"]) == (request_id, cost, "success")


async def test_a_stream_that_runs_at_the_stop_is_finished_first(running: Process) -> None:
    async with httpx.AsyncClient(base_url=running.url(), timeout=30) as client:
        key, _ = await key_of_a_new_user(client)
        body = chat(tokens=20, before_token_s=0.1) | {"stream": True}
        headers = {"authorization": f"Bearer {key}"}
        async with client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer:
            assert answer.status_code == 200
            lines = answer.aiter_lines()
            assert (await anext(lines)).startswith("data: {")
            running.process.send_signal(signal.SIGTERM)

            async def closed() -> bool:
                with socket.socket() as probe:
                    return probe.connect_ex(("127.0.0.1", running.ports["api_port"])) != 0

            await eventually(closed, what="the port to close")
            rest = [line async for line in lines if line]
            assert rest[-1] == "data: [DONE]"
            assert not any('"error"' in line for line in rest)
    assert await asyncio.to_thread(running.process.wait, 20) == 0
    assert list((running.log.parent / "journal").glob("*.journal*")) == [], "everything has been shipped"


def test_a_taken_port_is_said_in_one_line(services: RunningServices, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with edge(services, tmp_path, DASHBOARD_PORT=str(port)) as process:
            assert process.wait(20) == 1
    said = (tmp_path / "edge.log").read_text()
    assert f"The edge cannot run: cannot listen on port {port} of 127.0.0.1: Address already in use." in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"JWT_SECRET": "changeme"}, "JWT_SECRET: is shorter than 32 characters"),
        ({"JWT_SECRET": ""}, "JWT_SECRET: is not set"),
        ({"EDGE_PORT": "80000"}, "EDGE_PORT: "),
    ],
)
def test_bad_settings_are_said_in_one_line(
    services: RunningServices, tmp_path: Path, settings: dict[str, str], said: str
) -> None:
    with edge(services, tmp_path, **settings) as process:
        assert process.wait(20) == 2
    log = (tmp_path / "edge.log").read_text()
    assert said in log
    assert "Traceback" not in log


async def test_a_valkey_that_stays_away_is_given_up_in_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = EdgeSettings.model_validate(
        {"jwt_secret": JWT_SECRET, "redis_url": "redis://:hidden@127.0.0.1:1/0", "start_within_s": 0}
    )
    with pytest.raises(SystemExit) as ended:
        await main(settings, [], {})
    assert ended.value.code == starting.IN_VAIN
    line = capsys.readouterr().err
    assert line.startswith("Gave up after 0 s: Valkey at 127.0.0.1:1 cannot be reached")
    assert "hidden" not in line
