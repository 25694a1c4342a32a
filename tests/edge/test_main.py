"""The edge as a process: its ports, what it says when it cannot run, and how it stops."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge.__main__ import main
from edge.settings import EdgeSettings
from kit import starting
from tests.edge.process import Process, chat, edge, key_of_a_new_user, serving
from tests.support.services import JWT_SECRET, RunningServices
from tests.support.waiting import eventually


@pytest.fixture
async def running(services: RunningServices, tmp_path: Path) -> AsyncIterator[Process]:
    async with serving(services, tmp_path) as process:
        yield process


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
