"""Backup and restore: of a running stack into another one, and into a server of one's own, compared by pg_dump."""

import asyncio
import json
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from dotenv import dotenv_values
from typer.testing import CliRunner, Result

from cli.__main__ import build
from cli.backup_file import MANIFEST
from deploy.local.postgres import program_directory
from deploy.local.settings import SERVICES
from kit import migrations
from tests.support.customers import Customer, customer
from tests.support.databases import APP_SECRET, Databases
from tests.support.processes import fake_upstream
from tests.support.stack import RunningStack, running_stack, until

REQUEST = {"model": "privaterouter/fast", "max_tokens": 8, "messages": [{"role": "user", "content": "Hello"}]}
# What a stack writes while nobody asks it for anything.
RESTLESS = ("billing.uptime", "usage.workers")
OTHER_SECRET = "another secret than the one of the backup, 0123456789"


@dataclass(frozen=True)
class Kept:
    """A stack that was backed up while it ran."""

    stack: RunningStack
    someone: Customer
    file: Path
    app_secret: str
    upstream_url: str


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """With one user, who has spent something."""
    home = tmp_path_factory.mktemp("backup") / "home"
    with (
        fake_upstream() as upstream_url,
        running_stack(home, UPSTREAM_KIND="openai", UPSTREAM_BASE_URL=upstream_url) as stack,
        customer(stack) as someone,
    ):
        for _ in range(3):
            ask(someone)
        settled(someone, charges=3)
        file = home.parent / "backup.zip"
        made = stack.command("backup", str(file), "--with-secrets")
        assert (made.returncode, made.stdout) == (0, ""), made.stderr
        secret = dotenv_values(stack.home.secrets)["APP_SECRET_KEY"]
        assert secret
        yield Kept(stack, someone, file, secret, upstream_url)


def ask(someone: Customer) -> None:
    headers = {"authorization": f"Bearer {someone.key}"}
    answer = httpx.post(f"{someone.v1}/chat/completions", json=REQUEST, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text


def settled(someone: Customer, *, charges: int) -> None:
    """Wait until so many calls are charged."""
    until(
        lambda: sum(item["kind"] == "charge" for item in someone.all_of("/api/billing/transactions")) == charges,
        what=lambda: f"{charges} charges",
    )


def test_a_stack_goes_on_where_the_backup_of_another_was_made(kept: Kept, tmp_path: Path) -> None:
    """Nothing else was there: no data, no secrets."""
    before = kept.someone.balance_nanos()
    ask(kept.someone)  # which is lost
    settled(kept.someone, charges=4)
    told = kept.stack.command("restore", str(kept.file), PRIVATEROUTER_HOME=str(tmp_path / "home"))
    assert told.returncode == 0, told.stderr
    assert "privaterouter ledger verify" in told.stdout
    with (
        running_stack(tmp_path / "home", UPSTREAM_KIND="openai", UPSTREAM_BASE_URL=kept.upstream_url) as restored,
        httpx.Client(base_url=restored.places.api_url, timeout=30) as http,
    ):
        someone = Customer.__new__(Customer)
        someone.__dict__.update(vars(kept.someone), http=http)
        someone.follow(restored)
        assert someone.balance_nanos() == before
        ask(someone)
        settled(someone, charges=4)
        for check in (("ledger", "verify"), ("reconcile", "--all")):
            checked = restored.command(*check)
            assert checked.returncode == 0, checked.stdout
        doubled = restored.command("restore", str(kept.file), "--replace")
        assert (doubled.returncode, "stop it first" in doubled.stderr) == (1, True)


async def restore(file: Path | str, url: str, *options: str, secret: str = "", stdin: bytes | None = None) -> Result:
    """Into a server of one's own, whose roles keep their passwords."""
    own = {f"{name.upper()}_DATABASE_URL": "postgresql://somebody" for name in SERVICES}
    settings = {"DATABASE_URL": url, "APP_SECRET_KEY": secret, **own}
    return await asyncio.to_thread(
        lambda: CliRunner().invoke(build(), ["restore", str(file), *options], env=settings, input=stdin)
    )


def dumped(url: str, *options: str) -> list[str]:
    """What pg_dump says of all our schemas, in an order of its own making."""
    command: list[str | Path] = [program_directory() / "pg_dump", url, "--no-owner", "--inserts", *options]
    command += [f"--schema={service}" for service in SERVICES]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # The key of pg_dump's own restriction is random.
    return sorted(line for line in text.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))


async def test_rows_tables_and_rights_are_what_pg_dump_says_they_were(kept: Kept, databases: Databases) -> None:
    url = await databases.fresh()
    again = kept.file.with_name("again.zip")
    assert kept.stack.command("backup", str(again)).returncode == 0
    told = await restore(again, url, secret=kept.app_secret)
    assert told.exit_code == 0, told.output
    source = kept.stack.places.database_url
    restless = [f"--exclude-table-data={name}" for name in RESTLESS]
    assert await asyncio.to_thread(dumped, url, "--data-only", *restless) == await asyncio.to_thread(
        dumped, source, "--data-only", *restless
    )
    assert await asyncio.to_thread(dumped, url, "--schema-only") == await asyncio.to_thread(
        dumped, source, "--schema-only"
    )
    for service in SERVICES:
        assert await migrations.check(service, url) == []
    admin = await databases.admin(url)
    assert await admin.fetchval("SELECT count(*) FROM pg_trigger WHERE tgenabled <> 'O'") == 0


async def test_a_database_with_something_in_it_is_replaced_only_where_that_is_asked_for(
    kept: Kept, databases: Databases
) -> None:
    url = await databases.fresh("auth", "billing")
    admin = await databases.admin(url)
    refused = await restore(kept.file, url, secret=kept.app_secret)
    assert (refused.exit_code, ": the schemas auth, billing. Restore into an empty" in refused.output) == (1, True)
    busy = await databases.connect("billing", url, max_size=1)
    refused = await restore(kept.file, url, "--replace", secret=kept.app_secret)
    assert (refused.exit_code, ": billing. Stop them first." in refused.output) == (1, True)
    await busy.close()
    assert await admin.fetchval("SELECT count(*) FROM auth.users") == 0
    told = await restore("-", url, "--replace", secret=kept.app_secret, stdin=kept.file.read_bytes())
    assert told.exit_code == 0, told.output
    assert await admin.fetchval("SELECT count(*) FROM auth.users") == 1


async def test_another_secret_is_refused_unless_that_is_accepted(kept: Kept, databases: Databases) -> None:
    url = await databases.fresh()
    refused = await restore(kept.file, url, secret=APP_SECRET)
    assert (refused.exit_code, "APP_SECRET_KEY is not the one" in refused.output) == (1, True)
    missing = await restore(kept.file, url)
    assert (missing.exit_code, "unzip -p FILE secrets.env" in missing.output) == (1, True)
    told = await restore(kept.file, url, "--other-secret", secret=APP_SECRET)
    assert told.exit_code == 0, told.output


def changed(file: Path, target: Path, **replaced: Any) -> Path:
    """A copy of a backup with another text of the members so named."""
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(target, "w") as copy:
        for name in source.namelist():
            copy.writestr(name, replaced.get(name, source.read(name)))
    return target


async def test_a_damaged_backup_is_noticed_before_anything_is_deleted(
    kept: Kept, databases: Databases, tmp_path: Path
) -> None:
    url = await databases.fresh("auth")
    admin = await databases.admin(url)
    cut = tmp_path / "cut.zip"
    cut.write_bytes(kept.file.read_bytes()[:-2000])
    other = changed(kept.file, tmp_path / "other.zip", **{"auth/users.copy": b""})
    with zipfile.ZipFile(kept.file) as archive:
        manifest = json.loads(archive.read(MANIFEST))
    manifest["revisions"]["usage"] = "20991231_usage_1"
    newer = changed(kept.file, tmp_path / "newer.zip", **{MANIFEST: json.dumps(manifest)})
    for file, why in (
        (cut, "no backup, or one that was cut off"),
        (other, "damaged: auth/users.copy is not as it was written"),
        (newer, "does not know: restore it with that release"),
        (tmp_path / "none.zip", "cannot be read: No such file"),
    ):
        told = await restore(file, url, "--replace", secret=kept.app_secret)
        assert (told.exit_code, why in told.output) == (1, True), told.output
    assert await admin.fetchval("SELECT count(*) FROM auth.users") == 0


async def test_what_could_not_be_restored_as_a_whole_is_not_there_at_all(
    kept: Kept, databases: Databases, tmp_path: Path
) -> None:
    url = await databases.fresh()
    with zipfile.ZipFile(kept.file) as archive:
        manifest = json.loads(archive.read(MANIFEST))
    (users,) = [table for table in manifest["tables"] if table["name"] == "users"]
    users["rows"] += 1
    wrong = changed(kept.file, tmp_path / "wrong.zip", **{MANIFEST: json.dumps(manifest)})
    told = await restore(wrong, url, secret=kept.app_secret)
    assert (told.exit_code, "has 1 of 2 rows" in told.output) == (1, True), told.output
    admin = await databases.admin(url)
    assert await admin.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = ANY($1)", SERVICES) == 0


def test_a_backup_is_for_its_owner_and_replaces_nothing_unasked(kept: Kept) -> None:
    assert kept.file.stat().st_mode & 0o777 == 0o600
    size = kept.file.stat().st_size
    refused = kept.stack.command("backup", str(kept.file))
    assert (refused.returncode, "exists already" in refused.stderr) == (1, True)
    assert kept.file.stat().st_size == size
    with zipfile.ZipFile(kept.file) as archive:
        secrets = archive.read("secrets.env").decode()
        assert archive.namelist()[-1] == MANIFEST
    assert f"APP_SECRET_KEY={kept.app_secret}\n" in secrets


def test_a_home_without_a_database_has_nothing_to_back_up(kept: Kept, tmp_path: Path) -> None:
    told = kept.stack.command("backup", str(tmp_path / "x.zip"), PRIVATEROUTER_HOME=str(tmp_path / "nothing"))
    assert (told.returncode, "There is no database in" in told.stderr) == (1, True)
    assert not (tmp_path / "x.zip").exists()
