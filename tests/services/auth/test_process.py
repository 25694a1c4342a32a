"""The process itself: its settings, its start and stop, and its migrations."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import CheckConstraint

from deploy.local.valkey import Valkey
from kit import migrations
from kit.client import channel
from kit.errors import RemoteError
from kit.health import is_serving
from kit.settings import load
from privaterouter.auth.v1 import auth_pb2 as pb
from privaterouter.auth.v1.auth_pb2_grpc import AuthServiceStub
from services.auth.settings import AuthSettings
from services.auth.tables import metadata
from tests.support.databases import APP_SECRET, Databases
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[3]
SETTINGS = {
    "AUTH_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
    "AUTH_LISTEN": "127.0.0.1:0",
    "BILLING_ADDR": "127.0.0.1:1",
    "REDIS_URL": "redis://127.0.0.1:1",
    "APP_SECRET_KEY": APP_SECRET,
}


@pytest.fixture
def short_lived_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A server that a test may stop."""
    with Valkey(tmp_path / "valkey") as server:
        yield server


async def test_it_serves_without_billing_and_valkey_and_stops_on_sigterm(
    databases: Databases, tmp_path: Path, short_lived_valkey: Valkey
) -> None:
    listen = f"unix:{tmp_path}/auth"
    url = await databases.fresh("auth")
    settings = SETTINGS | {
        "AUTH_DATABASE_URL": databases.url_for("auth", url),
        "AUTH_LISTEN": listen,
        "REDIS_URL": short_lived_valkey.url,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.auth"),
        cwd=ROOT,
        env=os.environ | settings,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with channel(listen, pb.DESCRIPTOR.services_by_name["AuthService"]) as client:
            await eventually(lambda: is_serving(client), within_s=20, what="the server")
            short_lived_valkey.stop()
            stub = AuthServiceStub(client)
            request = pb.SignUpRequest(email="alice@example.com", password="kf83hsz7-secret-words")
            signed_up = await stub.SignUp(request)
            created = await stub.CreateApiKey(pb.CreateApiKeyRequest(user_id=signed_up.user.id, name="laptop"))
            deletion = pb.DeleteApiKeyRequest(user_id=signed_up.user.id, api_key_id=created.api_key.id)
            await stub.DeleteApiKey(deletion)
            with pytest.raises(RemoteError, match="API_KEY_NOT_FOUND"):
                await stub.DeleteApiKey(deletion)
        process.send_signal(signal.SIGTERM)
        _, err = await asyncio.wait_for(process.communicate(), 20)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    events = [json.loads(line)["event"] for line in err.splitlines() if line.startswith(b"{")]
    assert "account_not_opened_yet" in events
    assert "bus_publish_failed" in events
    assert events[-1] == "stopped"
    for secret in (created.secret, request.password, request.email, APP_SECRET):
        assert secret.encode() not in err


@pytest.mark.parametrize("missing", ["LITELLM_BASE_URL", "LITELLM_MASTER_KEY"])
def test_virtual_keys_need_a_proxy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    proxy = {
        "LITELLM_VIRTUAL_KEYS": "on",
        "LITELLM_BASE_URL": "http://127.0.0.1:4000",
        "LITELLM_MASTER_KEY": "sk-1234",
    }
    monkeypatch.chdir(tmp_path)
    for name, value in (SETTINGS | proxy).items():
        monkeypatch.setenv(name, value)
    assert load(AuthSettings).litellm_virtual_keys
    monkeypatch.delenv(missing)
    with pytest.raises(SystemExit):
        load(AuthSettings)
    assert "LITELLM_BASE_URL and LITELLM_MASTER_KEY" in capsys.readouterr().err
    monkeypatch.setenv("LITELLM_VIRTUAL_KEYS", "off")
    assert not load(AuthSettings).litellm_virtual_keys


async def test_the_tables_are_what_the_migrations_make(databases: Databases) -> None:
    url = await databases.fresh("auth")
    assert await migrations.check("auth", url) == []
    assert await migrations.current("auth", url) == migrations.head("auth")


async def test_the_checks_of_the_tables_are_what_the_migrations_make(databases: Databases) -> None:
    """Alembic does not compare CHECK constraints, so their names are held against `tables.py` here."""
    admin = await databases.admin(await databases.fresh("auth"))
    rows = await admin.fetch(
        "SELECT conname FROM pg_constraint WHERE contype = 'c' AND connamespace = 'auth'::regnamespace"
    )
    declared = {
        str(constraint.name)
        for table in metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    assert {row["conname"] for row in rows} == declared


async def test_the_migrations_can_be_undone(databases: Databases) -> None:
    url = await databases.fresh("auth")
    admin = await databases.admin(url)
    await asyncio.to_thread(_downgrade, url)
    left = await admin.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'auth'")
    assert [row["tablename"] for row in left] == ["alembic_version"]
    await migrations.upgrade("auth", url)
    assert await migrations.check("auth", url) == []


def _downgrade(url: str) -> None:
    with migrations._alembic_is_global:
        command.downgrade(migrations._config("auth", url), "base")
