"""Waiting at a start: for what may come, with a line now and then, and not for what will not."""

import asyncio
import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest

from kit import migrations, starting
from kit.starting import Need, wait_for
from tests.support.databases import Databases
from tests.support.waiting import eventually

NOWHERE = "postgresql://someone:hidden@127.0.0.1:1/nothing"
Said = list[tuple[str, str]]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Said:
    """What is said while waiting: of what, and what is missing."""
    heard: Said = []
    monkeypatch.setattr(starting, "ASK_EVERY_S", 0.02)
    monkeypatch.setattr(starting, "SAY_EVERY_S", 0.1)
    return heard


async def waited(said: Said, *needs: Need, within_s: float = 10.0) -> None:
    await wait_for(*needs, within_s=within_s, say=lambda need, missing, _: said.append((need.what, missing)))


async def test_what_is_there_is_not_waited_for(
    databases: Databases, things_url: str, redis_url: str, said: Said
) -> None:
    own = databases.url_for("sample", things_url)
    await waited(said, starting.schema("sample", own, allow_newer=False), starting.valkey(redis_url), within_s=0)
    await waited(said, starting.postgres(things_url), within_s=0)
    assert said == []


async def test_an_old_schema_is_waited_for_until_somebody_has_migrated_it(
    databases: Databases, things_url: str, said: Said
) -> None:
    admin = await databases.admin(things_url)
    await admin.execute("UPDATE sample.alembic_version SET version_num = '1'; DROP TABLE sample.events")
    own = databases.url_for("sample", things_url)
    waiting = asyncio.create_task(waited(said, starting.schema("sample", own, allow_newer=False)))

    async def told_twice() -> bool:
        return len(said) >= 2

    await eventually(told_twice)
    assert not waiting.done()
    assert said[0][1] == (
        "has an old schema: sample is at 1 and this release needs 2. Run `privaterouter migrate` of this release."
    )
    await migrations.upgrade("sample", things_url)
    await waiting


@pytest.mark.parametrize(
    "spoil",
    [
        "DROP TABLE sample.alembic_version",
        "REVOKE SELECT ON sample.alembic_version FROM privaterouter_sample",
        "REVOKE USAGE ON SCHEMA sample FROM privaterouter_sample",
        "DROP SCHEMA sample CASCADE",
        "DELETE FROM sample.alembic_version",
    ],
)
async def test_a_schema_that_is_not_there_is_given_up_in_time_with_what_to_run(
    databases: Databases, things_url: str, said: Said, capsys: pytest.CaptureFixture[str], spoil: str
) -> None:
    await (await databases.admin(things_url)).execute(spoil)
    need = starting.schema("sample", databases.url_for("sample", things_url), allow_newer=False)
    with pytest.raises(SystemExit) as ended:
        await waited(said, need, within_s=0.25)
    assert ended.value.code == starting.IN_VAIN
    (line,) = capsys.readouterr().err.splitlines()
    assert re.sub(r"\d+ s", "0 s", line).startswith(
        f"Gave up after 0 s: {need.what} has an old schema: sample is not there"
    )
    assert line.endswith("Run `privaterouter migrate` of this release.")


async def test_a_newer_schema_is_refused_at_once_unless_that_is_allowed(
    databases: Databases, things_url: str, said: Said, capsys: pytest.CaptureFixture[str]
) -> None:
    await (await databases.admin(things_url)).execute("UPDATE sample.alembic_version SET version_num = '3'")
    own = databases.url_for("sample", things_url)
    with pytest.raises(SystemExit) as ended:
        await waited(said, starting.schema("sample", own, allow_newer=False))
    assert ended.value.code == starting.REFUSED
    (line,) = capsys.readouterr().err.splitlines()
    assert "has a newer schema: sample is at 3, which this release does not know" in line
    assert "ALLOW_NEWER_SCHEMA=true" in line
    await waited(said, starting.schema("sample", own, allow_newer=True), within_s=0)
    assert said == []


async def test_a_server_that_stays_away_is_named_every_few_moments_without_its_password(
    said: Said, capsys: pytest.CaptureFixture[str]
) -> None:
    moments: list[float] = []

    async def said_again() -> bool:
        return len(moments) > 3

    need = starting.postgres(NOWHERE)
    waiting = asyncio.create_task(wait_for(need, within_s=60, say=lambda *_: moments.append(time.monotonic())))
    await eventually(said_again)
    waiting.cancel()
    assert moments[3] - moments[0] > 0.25
    with pytest.raises(SystemExit) as ended:
        await waited(said, starting.postgres(NOWHERE), within_s=0.1)
    assert ended.value.code == starting.IN_VAIN
    line = capsys.readouterr().err
    assert re.sub(r"\d+ s", "0 s", line, count=1).startswith(
        "Gave up after 0 s: PostgreSQL at 127.0.0.1:1 cannot be reached: "
    )
    assert "hidden" not in line + str(said)


async def test_a_refused_password_says_so_and_whose(databases: Databases, things_url: str, said: Said) -> None:
    wrong = databases.url_for("sample", things_url).replace("privaterouter_sample:", "privaterouter_sample:not")
    need = starting.schema("sample", wrong, allow_newer=False)
    waiting = asyncio.create_task(waited(said, need, within_s=60))

    async def told() -> bool:
        return bool(said)

    await eventually(told)
    waiting.cancel()
    with pytest.raises(SystemExit):
        await waited(said, need, within_s=0.1)
    assert said[0][1].startswith('refuses us: password authentication failed for user "privaterouter_sample"')


async def test_a_valkey_that_comes_is_taken(said: Said, tmp_path: Path, valkey: str) -> None:
    socket = tmp_path / "valkey.sock"
    waiting = asyncio.create_task(waited(said, starting.valkey(f"unix://{socket}")))

    async def told() -> bool:
        return bool(said)

    await eventually(told)
    assert said[0][0] == f"Valkey at {socket}"
    assert said[0][1].startswith("cannot be reached: ")
    socket.symlink_to(valkey.removeprefix("unix://"))
    await waiting


@pytest.mark.parametrize("need", [starting.postgres("nonsense"), starting.valkey("nonsense")])
async def test_an_address_that_makes_no_sense_is_refused_without_being_shown(
    said: Said, capsys: pytest.CaptureFixture[str], need: Need
) -> None:
    with pytest.raises(SystemExit) as ended:
        await waited(said, need)
    assert ended.value.code == starting.REFUSED
    line = capsys.readouterr().err
    assert "makes no sense" in line
    assert "nonsense" not in line


async def test_a_silent_server_is_one_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, said: Said) -> None:
    monkeypatch.setattr(starting, "ANSWER_WITHIN_S", 0.1)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        for need in (
            starting.postgres(f"postgresql://127.0.0.1:{port}/x"),
            starting.valkey(f"redis://127.0.0.1:{port}"),
        ):
            assert await starting.lacks(need) in {"does not answer", "cannot be reached: Timeout reading from socket"}


async def test_a_process_says_what_it_waits_for_and_ends_at_once_when_it_is_told_to(tmp_path: Path) -> None:
    """As the first process of a container, it would not even hear the signal without this."""
    settings = {
        "USAGE_DATABASE_URL": NOWHERE,
        "USAGE_LISTEN": f"unix:{tmp_path}/usage",
        "BILLING_ADDR": "127.0.0.1:1",
        "APP_SECRET_KEY": "a secret that is long enough and no other has it",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.usage"), env=os.environ | settings, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        line = await asyncio.wait_for(process.stderr.readline(), 20)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 128 + signal.SIGTERM
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert b'"what": "PostgreSQL at 127.0.0.1:1"' in line
    assert b'"event": "waiting_to_start"' in line
    assert b"hidden" not in line
