"""Waiting for servers that the settings name instead of embedded ones."""

import pytest

from deploy.local import given
from deploy.local.given import wait_for_given
from deploy.local.process import StackError
from deploy.local.settings import StackSettings
from tests.support.databases import Cluster

AWAY = {
    "database_url": "postgresql://someone:hidden@127.0.0.1:1/x",
    "redis_url": "redis://:hidden@127.0.0.1:1/0",
}


def settings(**values: object) -> StackSettings:
    return StackSettings.model_validate({"start_within_s": 0, "database_url": "", "redis_url": "", **values})


def nothing() -> None:
    """Nobody has pressed Ctrl-C."""


def test_servers_that_answer_are_not_waited_for(cluster: Cluster, valkey: str) -> None:
    wait_for_given(settings(database_url=cluster.url, redis_url=valkey), check=nothing)
    wait_for_given(settings(), check=nothing)


@pytest.mark.parametrize("name, what", [("database_url", "PostgreSQL"), ("redis_url", "Valkey")])
def test_one_that_stays_away_is_given_up_without_its_password(name: str, what: str) -> None:
    with pytest.raises(StackError, match=f"Gave up after 0 s: {what} at 127.0.0.1:1 cannot be reached") as raised:
        wait_for_given(settings(**{name: AWAY[name]}), check=nothing)
    assert "hidden" not in str(raised.value)


def test_an_address_that_makes_no_sense_is_not_waited_for() -> None:
    with pytest.raises(StackError, match="A database's address makes no sense"):
        wait_for_given(settings(database_url="nonsense", start_within_s=60), check=nothing)


def test_whoever_stops_the_stack_need_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(given, "AGAIN_S", 0.01)

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wait_for_given(settings(**AWAY, start_within_s=60), check=stop)
