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
from tests.cli.conftest import NOWHERE, typed
from tests.support.customers import Customer, customer
from tests.support.databases import APP_SECRET, Databases
from tests.support.processes import fake_upstream
from tests.support.stack import RunningStack, running_stack, until

MODEL = "backup/model"
REQUEST = {"model": MODEL, "max_tokens": 8, "messages": [{"role": "user", "content": "Hello"}]}
# What a stack writes while nobody asks it for anything.
RESTLESS = ("billing.uptime", "usage.workers")


@dataclass(frozen=True)
class Kept:
    """A stack that was backed up while it ran."""

    stack: RunningStack
    someone: Customer
    file: Path
    app_secret: str


@pytest.fixture(scope="module")
def kept(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """With a user who has spent something, and what other tests have left."""
    file = tmp_path_factory.mktemp("backup") / "backup.zip"
    with fake_upstream() as url, customer(stack) as someone:
        place = ("admin", "set-upstream", "--name", "backup", "--kind", "openai", "--base-url", url)
        model = ("admin", "add-model", "--name", MODEL, "--upstream", "backup", "--upstream-model", "any")
        plan = ("admin", "set-plan", "--email", someone.email, "--plan", "team")
        for command in (place, (*model, "--input-usd", "1", "--output-usd", "1"), plan):
            assert typed(stack, *command).exit_code == 0
        until(lambda: asked(someone) == 200, what=lambda: "the model")
        for _ in range(2):
            assert asked(someone) == 200
        settled(someone, charges=3)
        made = typed(stack, "backup", str(file), "--with-secrets")
        assert (made.exit_code, made.stdout) == (0, ""), made.output
        secret = dotenv_values(stack.home.secrets)["APP_SECRET_KEY"]
        assert secret
        yield Kept(stack, someone, file, secret)


def asked(someone: Customer) -> int:
    """The status of a call."""
    headers = {"authorization": f"Bearer {someone.key}"}
    return httpx.post(f"{someone.v1}/chat/completions", json=REQUEST, headers=headers, timeout=30).status_code


def settled(someone: Customer, *, charges: int) -> None:
    """Wait until so many calls are charged."""
    until(
        lambda: sum(item["kind"] == "charge" for item in someone.all_of("/api/billing/transactions")) == charges,
        what=lambda: f"{charges} charges",
    )


def test_a_stack_goes_on_where_the_backup_of_another_was_made(kept: Kept, tmp_path: Path) -> None:
    """Nothing else was there: no data, no secrets."""
    before = kept.someone.balance_nanos()
    assert asked(kept.someone) == 200  # which is lost
    settled(kept.someone, charges=4)
    told = kept.stack.command("restore", str(kept.file), PRIVATEROUTER_HOME=str(tmp_path / "home"))
    assert told.returncode == 0, told.stderr
    assert "privaterouter ledger verify" in told.stdout
    with (
        running_stack(tmp_path / "home", **NOWHERE) as restored,
        httpx.Client(base_url=restored.places.api_url, timeout=30) as http,
    ):
        someone = Customer.__new__(Customer)
        someone.__dict__.update(vars(kept.someone), http=http)
        someone.follow(restored)
        assert someone.balance_nanos() == before
        assert asked(someone) == 200
        settled(someone, charges=4)
        for check in (("ledger", "verify"), ("reconcile", "--all")):
            checked = typed(restored, *check)
            assert checked.exit_code == 0, checked.output
        doubled = typed(restored, "restore", str(kept.file), "--replace")
        assert (doubled.exit_code, "stop it first" in doubled.output) == (1, True)


async def restore(file: Path | str, url: str, *options: str, secret: str = "", stdin: bytes | None = None) -> Result:
    """Into a server of one's own, whose roles keep their passwords."""
    own = {f"{name.upper()}_DATABASE_URL": "postgresql://somebody" for name in SERVICES}
    settings = {"DATABASE_URL": url, "APP_SECRET_KEY": secret, **own}
    return await asyncio.to_thread(
        lambda: CliRunner().invoke(build(), ["restore", str(file), *options], env=settings, input=stdin)
    )


def dumped(url: str) -> list[str]:
    """What pg_dump says of all our schemas, in an order of its own making."""
    command: list[str | Path] = [program_directory() / "pg_dump", url, "--no-owner", "--inserts"]
    command += [f"--schema={service}" for service in SERVICES]
    command += [f"--exclude-table-data={name}" for name in RESTLESS]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # The key of pg_dump's own restriction is random.
    return sorted(line for line in text.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))


async def test_rows_tables_and_rights_are_what_pg_dump_says_they_were(kept: Kept, databases: Databases) -> None:
    url = await databases.fresh()
    again = kept.file.with_name("again.zip")
    before, after = ["before"], ["after"]
    while before != after:  # until nothing was written meanwhile
        before = await asyncio.to_thread(dumped, kept.stack.places.database_url)
        made = await asyncio.to_thread(typed, kept.stack, "backup", str(again), "--force")
        assert made.exit_code == 0, made.output
        after = await asyncio.to_thread(dumped, kept.stack.places.database_url)
    told = await restore(again, url, secret=kept.app_secret)
    assert told.exit_code == 0, told.output
    assert await asyncio.to_thread(dumped, url) == before
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
    assert await admin.fetchval("SELECT count(*) FROM auth.users WHERE email = $1", kept.someone.email) == 1


async def test_another_secret_is_refused_unless_that_is_accepted(kept: Kept, databases: Databases) -> None:
    url = await databases.fresh("auth")
    refused = await restore(kept.file, url, secret=APP_SECRET)
    assert (refused.exit_code, "APP_SECRET_KEY is not the one" in refused.output) == (1, True)
    missing = await restore(kept.file, url)
    assert (missing.exit_code, "unzip -p FILE secrets.env" in missing.output) == (1, True)
    accepted = await restore(kept.file, url, "--other-secret", secret=APP_SECRET)
    assert "There is something in" in accepted.output


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
    assert (told.exit_code, f"of {users['rows']} rows" in told.output) == (1, True), told.output
    admin = await databases.admin(url)
    assert await admin.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = ANY($1)", SERVICES) == 0


def test_a_backup_is_for_its_owner_and_replaces_nothing_unasked(kept: Kept) -> None:
    assert kept.file.stat().st_mode & 0o777 == 0o600
    size = kept.file.stat().st_size
    refused = typed(kept.stack, "backup", str(kept.file))
    assert (refused.exit_code, "exists already" in refused.output) == (1, True)
    assert kept.file.stat().st_size == size
    with zipfile.ZipFile(kept.file) as archive:
        secrets = archive.read("secrets.env").decode()
        assert archive.namelist()[-1] == MANIFEST
    assert f"APP_SECRET_KEY={kept.app_secret}\n" in secrets


def test_a_home_without_a_database_has_nothing_to_back_up(tmp_path: Path) -> None:
    home = {"PRIVATEROUTER_HOME": str(tmp_path / "nothing")}
    told = CliRunner().invoke(build(), ["backup", str(tmp_path / "x.zip")], env=home)
    assert (told.exit_code, "There is no database in" in told.output) == (1, True)
    assert not (tmp_path / "x.zip").exists()
