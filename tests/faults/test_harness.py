"""The harness itself: links harm as they say, and the same seed makes the same schedule."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.faults.clients import any_wish
from tests.faults.cluster import Cluster
from tests.faults.driver import randomness
from tests.faults.links import Link
from tests.faults.office import Customer


@asynccontextmanager
async def linked(directory: Path) -> AsyncIterator[tuple[Link, list[bytes]]]:
    """A link in front of a server that repeats what it is told, and what that was told."""
    told: list[bytes] = []
    repeating: set[asyncio.Task[None] | None] = set()

    async def repeat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        repeating.add(asyncio.current_task())
        with suppress(ConnectionError):
            while piece := await reader.read(100):
                told.append(piece)
                writer.write(piece)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_unix_server(repeat, directory / "server.sock")
    link = Link("a link", f"unix:{directory}/link.sock", lambda: f"unix:{directory}/server.sock")
    await link.start()
    yield link, told
    await link.close()
    await asyncio.gather(*filter(None, repeating))
    server.close()


async def say(link: Link, text: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_unix_connection(link.address.removeprefix("unix:"))
    writer.write(text)
    return reader, writer


async def test_a_healthy_link_passes_everything_on(tmp_path: Path) -> None:
    async with linked(tmp_path) as (link, _):
        reader, writer = await say(link, b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()


async def test_what_is_held_arrives_once_the_link_resumes(tmp_path: Path) -> None:
    async with linked(tmp_path) as (link, told):
        link.hold()
        reader, writer = await say(link, b"hello")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(5), 0.1)
        assert told == []
        link.resume()
        assert await reader.readexactly(5) == b"hello"
        writer.close()


async def test_a_cut_passes_on_exactly_so_many_bytes(tmp_path: Path) -> None:
    async with linked(tmp_path) as (link, _):
        link.cut_after = 3
        reader, writer = await say(link, b"hello")
        assert await reader.readexactly(3) == b"hel"
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()


async def test_a_reset_ends_open_connections_and_a_refusal_new_ones(tmp_path: Path) -> None:
    async with linked(tmp_path) as (link, _):
        reader, writer = await say(link, b"hello")
        await reader.readexactly(5)
        link.reset()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
        link.refusing = True
        reader, writer = await say(link, b"hello")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()


async def test_a_delay_and_a_narrow_link_take_their_time(tmp_path: Path) -> None:
    async with linked(tmp_path) as (link, _):
        for link.delay_s, link.bytes_per_s in ((0.05, None), (0.0, 100)):
            begun_s = asyncio.get_running_loop().time()
            reader, writer = await say(link, b"hello")
            await reader.readexactly(5)
            assert asyncio.get_running_loop().time() - begun_s >= 0.09
            writer.close()


@pytest.mark.asyncio(loop_scope="package")
async def test_what_a_test_leaves_altered_is_put_back(cluster: Cluster, tmp_path: Path) -> None:
    """An edge with another journal, a service that fails: a test may break off between the two."""
    edges, others = cluster.journal_dir("edge-b"), ("edge-a", "billing")
    await cluster.stop("edge-b")
    await cluster.start("edge-b", EDGE_JOURNAL_DIR=str(tmp_path))
    cluster.kill("usage")
    await cluster.start("usage", faults="usage.record.before_commit=raise:2")
    untouched = [cluster.pid(name) for name in others]
    assert [len([*where.glob("*.journal")]) for where in (edges, tmp_path)] == [1, 1]
    await cluster.restore()
    assert [len([*where.glob("*.journal")]) for where in (edges, tmp_path)] == [2, 0]
    again = [cluster.pid(name) for name in ("edge-b", "usage")]
    await cluster.restore()
    assert [cluster.pid(name) for name in ("edge-b", "usage")] == again
    assert [cluster.pid(name) for name in others] == untouched


def test_the_same_seed_makes_the_same_requests() -> None:
    customer = Customer("an account", 0, ["a secret", "another"], ["a key", "another"])

    def day(seed: str) -> list[object]:
        rng = random.Random(seed)  # noqa: S311 (a schedule that can be repeated)
        return [any_wish(rng, str(number), customer) for number in range(100)]

    assert day("1") == day("1") != day("2")
    assert randomness("a run").random() == randomness("a run").random() != randomness("another").random()
