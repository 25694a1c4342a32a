"""Several workers behind one port: each serves, one that dies is replaced, and they stop as one edge does."""

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from edge.workers import Workers
from tests.edge.process import Process, chat, edge, key_of_a_new_user, serving
from tests.support.services import RunningServices
from tests.support.waiting import eventually

WORKERS = 2
FRESH = httpx.Limits(max_keepalive_connections=0)
"""A connection for each request, so that the kernel deals them out."""


@pytest.fixture
async def running(services: RunningServices, tmp_path: Path) -> AsyncIterator[Process]:
    async with serving(services, tmp_path, EDGE_WORKERS=str(WORKERS)) as process:
        yield process


def workers_of(process: Process) -> list[int]:
    pid = process.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def answered(process: Process) -> list[int]:
    """How many requests for /health each worker answered, by what its own metrics say."""
    ports = re.findall(r'"metrics_port": (\d+)', process.log.read_text())
    counts = []
    async with httpx.AsyncClient() as client:
        for port in ports:
            exposed = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
            found = re.search(r'edge_http_requests_total\{method="GET",route="/health",status="200"\} (\d+)', exposed)
            counts.append(int(found[1]) if found else 0)
    return counts


async def test_all_workers_answer_on_the_same_port(running: Process) -> None:
    assert len(workers_of(running)) == WORKERS
    async with httpx.AsyncClient(base_url=running.url(), limits=FRESH) as client:
        for _ in range(64):
            assert (await client.get("/health")).status_code == 200
    counts = await answered(running)
    assert (len(counts), sum(counts)) == (WORKERS, 64)
    assert min(counts) > 0


async def test_calls_go_on_when_a_worker_is_killed_and_each_is_charged_once(running: Process) -> None:
    async with httpx.AsyncClient(base_url=running.url(), limits=FRESH, timeout=30) as client:
        key, session = await key_of_a_new_user(client)
        headers = {"authorization": f"Bearer {key}"}
        done: dict[str, str] = {}

        async def call() -> None:
            answer = await client.post("/v1/chat/completions", json=chat(tokens=2), headers=headers)
            assert answer.status_code == 200, answer.text
            done[answer.headers["x-request-id"]] = answer.headers["x-privaterouter-cost-usd"]

        await asyncio.gather(*(call() for _ in range(9)))
        killed, kept = workers_of(running)
        os.kill(killed, signal.SIGKILL)

        async def replaced() -> bool:
            return killed not in workers_of(running) and len(workers_of(running)) == WORKERS

        await eventually(replaced, within_s=20, what="another worker")
        assert kept in workers_of(running)

        async def serves() -> bool:
            return running.log.read_text().count('"event": "listening"') == WORKERS + 1

        await eventually(serves, within_s=20, what="it to serve")
        await asyncio.gather(*(call() for _ in range(9)))

        async def charged() -> dict[str, str] | None:
            listed = (await client.get("/api/usage", params={"limit": 100}, headers=session)).json()["items"]
            costs = {event["id"]: event["cost_usd"] for event in listed}
            return costs if len(listed) >= len(done) else None

        assert await eventually(charged, within_s=60, what="the usage of both") == done
    assert json.dumps("worker_died") in running.log.read_text()


async def test_streams_that_run_at_the_stop_are_finished_first(running: Process) -> None:
    async with httpx.AsyncClient(base_url=running.url(), limits=FRESH, timeout=30) as client:
        key, _ = await key_of_a_new_user(client)
        body = chat(tokens=20, before_token_s=0.1) | {"stream": True}

        async def stream(begun: asyncio.Event) -> str:
            headers = {"authorization": f"Bearer {key}"}
            async with client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer:
                lines = answer.aiter_lines()
                assert (await anext(lines)).startswith("data: {")
                begun.set()
                return [line async for line in lines if line][-1]

        begun = [asyncio.Event() for _ in range(8)]
        streams = [asyncio.create_task(stream(each)) for each in begun]
        await asyncio.gather(*(each.wait() for each in begun))
        running.process.send_signal(signal.SIGTERM)
        assert set(await asyncio.gather(*streams)) == {"data: [DONE]"}
    assert await asyncio.to_thread(running.process.wait, 20) == 0
    assert list((running.log.parent / "journal").glob("*.journal*")) == [], "everything has been shipped"


async def test_no_worker_outlives_its_parent(running: Process) -> None:
    workers = workers_of(running)
    running.process.kill()

    async def gone() -> bool:
        return not any(Path(f"/proc/{pid}/stat").exists() for pid in workers)

    await eventually(gone, within_s=20, what="the workers to end")


def test_a_start_that_fails_is_said_and_ends_all(services: RunningServices, tmp_path: Path) -> None:
    redis = "redis://127.0.0.1:1/0"
    with edge(services, tmp_path, EDGE_WORKERS="2", REDIS_URL=redis, START_WITHIN_S="0") as process:
        assert process.wait(20) != 0
    said = (tmp_path / "edge.log").read_text()
    assert "Valkey at 127.0.0.1:1 cannot be reached" in said
    assert "Traceback" not in said


async def test_ports_are_not_shared_with_another_edge(
    services: RunningServices, running: Process, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    port = running.ports["api_port"]
    with edge(services, other, EDGE_WORKERS="2", EDGE_PORT=str(port)) as process:
        assert process.wait(20) == 1
    assert f"cannot listen on port {port} of 127.0.0.1: Address already in use." in (other / "edge.log").read_text()


def test_nobody_is_started_once_all_are_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal may come between the look at who is due and the fork."""
    workers = Workers(2, lambda ports: None)
    workers._stop()
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("a process was forked"))
    assert workers._fork(0) is None
