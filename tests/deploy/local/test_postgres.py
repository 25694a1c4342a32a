"""The embedded PostgreSQL: durable, private, safe after a crash, and clear about what is wrong."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import asyncpg
import pytest

from deploy.local import postgres
from deploy.local.postgres import Postgres
from deploy.local.process import StackError
from tests.support.stack import until

SERVER_OF_A_PROCESS = """
import sys, time
from pathlib import Path
from deploy.local.postgres import Postgres
server = Postgres(Path(sys.argv[1]), fsync=False)
server.start()
print(server.child.pid, server.url, flush=True)
time.sleep(600)
"""


async def run(url: str, *statements: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        return [str(await connection.fetchval(statement)) for statement in statements]
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory under private ones, as a home is, with a path too long for a socket."""
    directory = tmp_path_factory.mktemp("home") / ("long" * 20) / "postgres"
    directory.parent.mkdir(mode=0o700)
    return directory


async def test_data_survives_a_restart_and_is_written_durably(data: Path) -> None:
    with Postgres(data) as server:
        await run(server.url, "CREATE TABLE kept (word text)", "INSERT INTO kept VALUES ('here')")
        settings = await run(
            server.url, "SHOW fsync", "SHOW synchronous_commit", "SHOW full_page_writes", "SHOW data_checksums"
        )
        assert settings == ["on", "on", "on", "on"]
        assert await run(server.url, "SHOW listen_addresses") == [""]
    with Postgres(data) as server:
        assert await run(server.url, "SELECT word FROM kept") == ["here"]


async def test_settings_of_one_start_overrule_ours_and_are_gone_with_the_next(data: Path) -> None:
    settings = {"wal_level": "minimal", "max_wal_senders": "0", "work_mem": "7MB"}
    with Postgres(data, fsync=False, settings=settings) as server:
        assert await run(server.url, "SHOW wal_level", "SHOW work_mem", "SHOW fsync") == ["minimal", "7MB", "off"]
    with Postgres(data, fsync=False) as server:
        assert await run(server.url, "SHOW wal_level", "SHOW work_mem") == ["replica", "4MB"]


async def test_no_directory_is_opened_to_others_and_none_is_left_behind(data: Path) -> None:
    before = [parent.stat().st_mode for parent in data.parents]
    with Postgres(data, fsync=False) as server:
        sockets = Path(server.url.split("host=")[1].split("&")[0])
        assert sockets.stat().st_mode & 0o777 == 0o700
        assert data.stat().st_mode & 0o777 == 0o700
        assert (data / "cluster").stat().st_uid == os.geteuid()
    assert not sockets.exists()
    assert [parent.stat().st_mode for parent in data.parents] == before


async def test_a_role_needs_its_password_where_the_owner_of_the_directory_needs_none(data: Path) -> None:
    with Postgres(data, fsync=False) as server:
        await run(server.url, "DROP ROLE IF EXISTS somebody", "CREATE ROLE somebody LOGIN PASSWORD 'right'")
        url = server.url.replace("postgres@", "somebody:{}@", 1)
        assert await run(url.format("right"), "SELECT current_user") == ["somebody"]
        with pytest.raises(asyncpg.InvalidPasswordError):
            await run(url.format("wrong"), "SELECT 1")


async def test_the_server_ends_with_a_killed_process_and_starts_again_with_its_data(data: Path) -> None:
    command = [sys.executable, "-c", SERVER_OF_A_PROCESS, str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        pid, url = owner.stdout.readline().split()
        await run(url, "DROP TABLE IF EXISTS survived", "CREATE TABLE survived AS SELECT 7 AS number")
        owner.send_signal(signal.SIGKILL)
    with Postgres(data, fsync=False) as server:
        assert server.child.pid != int(pid)
        assert await run(server.url, "SELECT number FROM survived") == ["7"]


async def test_a_pid_file_that_a_crash_left_is_no_obstacle_though_the_number_is_in_use(data: Path) -> None:
    with Postgres(data, fsync=False):
        pass
    (data / "cluster" / "postmaster.pid").write_text(f"{os.getppid()}\n{data / 'cluster'}\n")
    with Postgres(data, fsync=False) as server:
        assert await run(server.url, "SELECT 1") == ["1"]


def test_a_second_server_on_the_same_data_is_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "LOCK_WITHIN_S", 0.2)
    with Postgres(data, fsync=False), pytest.raises(StackError, match="Another PostgreSQL is running on"):
        Postgres(data, fsync=False).start()


def test_an_unfinished_set_up_is_begun_anew(tmp_path: Path) -> None:
    unfinished = tmp_path / "data" / "cluster.new"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18")
    with Postgres(tmp_path / "data", fsync=False) as server:
        assert server.child.exit_code() is None
    assert not unfinished.exists()


def test_data_of_another_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    cluster = tmp_path / "cluster"
    cluster.mkdir()
    (cluster / "PG_VERSION").write_text("12\n")
    with pytest.raises(StackError, match=r"made by PostgreSQL 12; this is PostgreSQL \d+\. Move it"):
        Postgres(tmp_path).start()
    assert [path.name for path in cluster.iterdir()] == ["PG_VERSION"]


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StackError, match=f"cannot listen on port {port} of 127.0.0.1: Address already in use"):
            Postgres(tmp_path / "data", port=port).start()
    assert not (tmp_path / "data").exists()


def test_a_full_disk_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "LEAST_FREE_BYTES", 2**62)
    with pytest.raises(StackError, match="The disk is full: free some space"):
        Postgres(tmp_path).start()
    assert not (tmp_path / "cluster").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_root_without_user_namespaces_is_told_which_directory_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "namespaces_allowed", lambda _: False)
    with pytest.raises(StackError, match=r"Run as another user, or set DATABASE_URL, or .* is closed\."):
        Postgres(tmp_path / "data").start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
async def test_root_without_user_namespaces_runs_it_as_another_user_in_a_public_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed = [path for path in postgres.program_directory().parents if not path.stat().st_mode & 0o001]
    if closed:
        pytest.skip(f"{closed[0]} keeps other users from the programs")
    monkeypatch.setattr(postgres, "namespaces_allowed", lambda _: False)
    with tempfile.TemporaryDirectory() as directory:
        with Postgres(Path(directory), fsync=False) as server:
            assert await run(server.url, "SELECT 1") == ["1"]
            assert Path(f"/proc/{server.child.pid}").stat().st_uid != 0
        with Postgres(Path(directory), fsync=False) as server:
            assert await run(server.url, "SELECT 1") == ["1"]


def test_a_server_that_is_killed_says_so(tmp_path: Path) -> None:
    with Postgres(tmp_path, fsync=False) as server:
        os.kill(server.child.pid, signal.SIGKILL)
        until(lambda: server.child.exit_code() is not None)
        assert server.child.obituary().startswith("PostgreSQL was killed by SIGKILL. Its log: ")
