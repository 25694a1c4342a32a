"""The Valkey of the component, as its manifest starts it: the real server wants the password of the Secrets."""

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from deploy.local.valkey import server_program
from tests.deploy.k8s.conftest import Rendering
from tests.deploy.k8s.rules_wiring import MADE
from tests.support.waiting import eventually

PASSWORD = MADE["edge"]["redis_url"].removeprefix("redis://:").partition("@")[0]


@pytest.fixture
async def address(overlay: Rendering, tmp_path: Path) -> AsyncIterator[Path]:
    """The socket of a server with the flags of the manifest."""
    (tmp_path / "users.acl").write_text(MADE["valkey"]["users.acl"])
    program, *flags = overlay("production").workload("valkey").main["command"]
    assert program == "valkey-server"
    flags[flags.index("--aclfile") + 1] = str(tmp_path / "users.acl")
    socket = tmp_path / "s"

    async def listens() -> bool:
        return socket.exists()

    with subprocess.Popen(
        [server_program(), *flags, "--port", "0", "--unixsocket", socket, "--dir", tmp_path], stdout=subprocess.DEVNULL
    ) as server:
        try:
            await eventually(listens, within_s=10, what="Valkey")
            yield socket
        finally:
            server.terminate()


async def test_it_lets_in_who_has_the_address_of_the_secrets_and_nobody_else(address: Path) -> None:
    async with Redis(unix_socket_path=str(address), password=PASSWORD) as one_of_us:
        assert await one_of_us.set("key", "value", px=60_000)
        assert await one_of_us.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-ttl"}
        assert await one_of_us.config_get("save") == {"save": ""}
    for password in (None, "0" * 64):
        other = Redis(unix_socket_path=str(address), password=password, retry=Retry(NoBackoff(), 0))
        with pytest.raises(RedisError):
            await other.get("key")
        await other.aclose()
