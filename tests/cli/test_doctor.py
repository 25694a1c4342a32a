"""`privaterouter doctor`: on a stack that is well, and on what is wrong."""

import json
import secrets
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from cli.__main__ import build
from cli.checks import secrets as secret_checks
from cli.checks.check import Check, State, clock
from cli.checks.configuration import configuration, known_names
from cli.checks.databases import postgres, schemas, valkey
from cli.checks.disk import disk
from cli.checks.surroundings import DoctorSettings, Surroundings, look_around
from cli.checks.upstreams import judged, upstreams
from privaterouter.catalog.v1 import catalog_pb2 as pb
from tests.cli.conftest import typed
from tests.support.certificates import Workshop
from tests.support.databases import APP_SECRET, Databases
from tests.support.processes import fake_ollama
from tests.support.stack import RunningStack

LITELLM = pb.Upstream(name="proxy", kind=pb.UPSTREAM_KIND_LITELLM, base_url="http://litellm:4000", virtual_keys=True)
WITHOUT_DATABASE = pb.Upstream(name="proxy", kind=pb.UPSTREAM_KIND_LITELLM, base_url="http://litellm:4000")
OPENAI = pb.Upstream(name="vllm", kind=pb.UPSTREAM_KIND_OPENAI, base_url="http://vllm:8000")
OLLAMA = pb.Upstream(name="gpu1", kind=pb.UPSTREAM_KIND_OLLAMA, base_url="http://gpu1:11434")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A directory without `.env`, and none of our variables."""
    monkeypatch.chdir(tmp_path)
    for name in known_names():
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def surroundings(monkeypatch: pytest.MonkeyPatch, **settings: str) -> Surroundings:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return look_around(DoctorSettings())


def states(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.state.value for check in checks}


def test_a_stack_that_is_well_but_for_its_upstream(stack: RunningStack) -> None:
    told = stack.command("doctor", "--json")
    document = json.loads(told.stdout)
    by_name = {check["name"]: check for check in document["checks"]}
    failed = {name: check for name, check in by_name.items() if check["state"] == "failed"}
    # Those of other tests point nowhere as well.
    assert {name.split()[0] for name in failed} == {"upstream"}
    assert failed["upstream default"]["what"].startswith("http://127.0.0.1:9 cannot be reached: ")
    assert "privaterouter admin set-upstream --name default" in failed["upstream default"]["mend"]
    assert (told.returncode, told.stderr, document["ok"]) == (1, "", False)
    well = {name for name, check in by_name.items() if check["state"] == "ok"}
    assert well >= {
        *("release", "settings", "settings of up", "APP_SECRET_KEY", "JWT_SECRET", "secrets.env on disk", "postgres"),
        *(f"schema {name}" for name in ("auth", "catalog", "billing", "usage")),
        *("valkey", "auth", "catalog", "billing", "usage", "edge", "journal"),
    }
    assert sum(name.startswith("clock of ") for name in well) == 2
    for secret in stack.home.secrets.read_text().splitlines()[1:]:
        assert secret.partition("=")[2] not in told.stdout


def test_it_says_one_line_for_each_thing(stack: RunningStack) -> None:
    told = typed(stack, "doctor")
    lines = told.stdout.splitlines()
    assert told.exit_code == 1
    assert all(line.split()[0] in {"ok", "warning", "FAILED", "skipped"} for line in lines)
    assert [line for line in lines if line.startswith("FAILED") and " upstream " not in line] == []
    assert "reconcile" in lines[-1]


def test_where_nothing_runs_and_nothing_is_set_it_can_only_skip(tmp_path: Path) -> None:
    told = CliRunner().invoke(build(), ["doctor", "--json"], env={"PRIVATEROUTER_HOME": str(tmp_path / "home")})
    document = json.loads(told.stdout)
    assert told.exit_code == 0
    assert {check["state"] for check in document["checks"]} == {"ok", "skipped"}


def test_names_in_the_file_that_are_no_settings_are_told_with_what_was_meant(
    monkeypatch: pytest.MonkeyPatch, alone: Path
) -> None:
    (alone / ".env").write_text(
        "EGDE_PORT=8001\nEDGE_HOST=0.0.0.0\nGRAFANA_PASSWORD=x\nFOR_COMPOSE=1\nCOMPOSE_PROFILES=ollama\nCOMPOSE_FIEL=x\n"
    )
    (alone / "docker-compose.yml").write_text("services: {x: {image: '${FOR_COMPOSE:-1}'}}")
    found = configuration(surroundings(monkeypatch, EDGE_HOST="127.0.0.1"))
    lines = [check.line for check in found if check.state is not State.OK]
    assert lines == [
        "FAILED   names in .env          COMPOSE_FIEL is no setting -> did you mean COMPOSE_FILE?",
        "FAILED   names in .env          EGDE_PORT is no setting -> did you mean EDGE_PORT?",
        (
            "warning  names in .env          not settings of ours: GRAFANA_PASSWORD -> look for the right name in "
            ".env.example, or ignore this"
        ),
        (
            "warning  settings               EDGE_HOST in .env is overruled by the environment -> unset the variable, "
            "or take it out of .env"
        ),
    ]


def test_every_process_says_whether_it_takes_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    key = secrets.token_hex(32)
    here = surroundings(
        monkeypatch,
        AUTH_ADDR="auth:50051",
        USAGE_LISTEN="0.0.0.0:50054",
        JWT_SECRET=key,
        APP_SECRET_KEY=key,
    )
    found = {check.line for check in configuration(here) if check.name.startswith("settings of")}
    assert found == {
        (
            "FAILED   settings of edge       JWT_SECRET is the same as APP_SECRET_KEY -> make one with: "
            "openssl rand -hex 32"
        ),
        "FAILED   settings of usage      USAGE_DATABASE_URL is not set -> set USAGE_DATABASE_URL: see .env.example",
        "FAILED   settings of usage      BILLING_ADDR is not set -> set BILLING_ADDR: see .env.example",
    }
    assert states(secret_checks.secrets(here)) == {"APP_SECRET_KEY": "failed", "JWT_SECRET": "failed"}


def test_a_process_whose_secrets_are_files_is_seen_and_one_that_runs_elsewhere_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The catalogue's own address is no sign of the seeding, which has it as well."""
    files = tmp_path / "secrets"
    files.mkdir()
    (files / "jwt_secret").write_text("short\n")
    (files / "app_secret_key").write_text(secrets.token_hex(32))
    (files / "catalog_database_url").write_text("postgresql://privaterouter_catalog:x@db/privaterouter")
    (files / "database_url").write_text("")
    given = {
        "AUTH_ADDR": "auth:50051",
        "SECRETS_DIR": str(files),
        "REDIS_URL": "redis://redis",
        "CATALOG_LISTEN": "[::]:1",
    }
    here = surroundings(monkeypatch, **given)
    assert states([check for check in configuration(here) if check.name.startswith("settings of")]) == {
        "settings of edge": "failed",
        "settings of catalog": "ok",
    }
    here = surroundings(monkeypatch, UPSTREAM_KIND="nonsense")
    assert states(configuration(here))["settings of seed"] == "failed"


def test_weak_and_readable_secrets_are_told(monkeypatch: pytest.MonkeyPatch, alone: Path) -> None:
    (alone / ".env").write_text("JWT_SECRET=changeme\nLITELLM_MASTER_KEY=sk-1234\n")
    (alone / ".env").chmod(0o644)
    assert states(secret_checks.secrets(surroundings(monkeypatch))) == {
        "APP_SECRET_KEY": "skipped",
        "JWT_SECRET": "failed",
        "LITELLM_MASTER_KEY": "failed",
        ".env on disk": "warning",
    }


async def test_schemas_are_seen_as_the_services_see_them(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    url = await databases.fresh("auth", "catalog", "billing")
    admin = await databases.admin(url)
    await admin.execute("UPDATE auth.alembic_version SET version_num = '20991231_auth_1'")
    await admin.execute("UPDATE catalog.alembic_version SET version_num = '20261128_catalog_7'")
    here = surroundings(monkeypatch, DATABASE_URL=url, APP_SECRET_KEY=APP_SECRET)
    found = {check.name: check for check in await schemas(here)}
    assert [check.state for check in found.values()] == [State.FAILED, State.FAILED, State.OK, State.FAILED]
    assert "newer than this release" in found["schema auth"].what
    assert found["schema catalog"].what == "is at 20261128_catalog_7, too old for this release"
    assert found["schema usage"].mend.startswith("privaterouter migrate")


async def test_a_database_that_can_lose_commits_is_a_failure(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the one of the tests is, which is thrown away."""
    found = await postgres(surroundings(monkeypatch, DATABASE_URL=await databases.fresh()))
    (first, *_) = found
    assert (first.name, first.state) == ("postgres", State.FAILED)
    assert "fsync and full_page_writes off" in first.what


async def test_servers_that_are_away_are_failures_without_their_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    here = surroundings(
        monkeypatch,
        DATABASE_URL="postgresql://someone:hidden@127.0.0.1:1/x",
        REDIS_URL="redis://:hidden@127.0.0.1:1/0",
        CATALOG_ADDR="127.0.0.1:1",
    )
    found = [*await postgres(here), *await valkey(here), *await upstreams(here)]
    assert states(found) == {"postgres": "failed", "valkey": "failed", "upstreams": "failed"}
    assert "hidden" not in "".join(check.line for check in found)


@pytest.mark.parametrize(
    "upstream, status, body, state, what",
    [
        (
            LITELLM,
            200,
            '{"db": "connected", "litellm_version": "1.91.3"}',
            "ok",
            "LiteLLM 1.91.3 at http://litellm:4000",
        ),
        (LITELLM, 200, '{"db": "Not connected", "litellm_version": "1.91.3"}', "failed", "no database"),
        (LITELLM, 200, '{"db": "connected", "litellm_version": "1.82.8"}', "failed", "tampered"),
        (LITELLM, 200, '{"db": "connected", "litellm_version": "1.83.9"}', "warning", "known vulnerabilities"),
        (LITELLM, 200, '{"db": "connected", "status": "healthy"}', "ok", "tells its version only to"),
        (LITELLM, 200, '{"db": "Not connected", "status": "healthy"}', "failed", "no database"),
        (WITHOUT_DATABASE, 200, '{"db": "Not connected", "status": "healthy"}', "ok", "tells its version only to"),
        (LITELLM, 503, '{"db": "disconnected", "status": "healthy"}', "failed", "own database is disconnected"),
        (LITELLM, 503, '{"status": "shutting_down"}', "failed", "answers 503"),
        (LITELLM, 503, "", "failed", "answers 503"),
        (LITELLM, 403, "no", "warning", "tells no version"),
        (OPENAI, 200, "{}", "ok", "answers at http://vllm:8000"),
        (OPENAI, 404, "", "ok", "answers at http://vllm:8000"),
        (OPENAI, 401, "", "failed", "refuses our credential"),
        (OPENAI, 502, "", "failed", "answers 502"),
        (OLLAMA, 200, '{"version": "0.12.6"}', "ok", "Ollama 0.12.6 at http://gpu1:11434"),
        (OLLAMA, 200, "<html>", "failed", "is no Ollama"),
    ],
)
def test_an_upstream_is_judged_by_its_answer(
    upstream: pb.Upstream, status: int, body: str, state: str, what: str
) -> None:
    found = judged(upstream, httpx.Response(status, text=body))
    assert (found.name, found.state.value) == (f"upstream {upstream.name}", state)
    assert what in found.what


def test_models_that_an_ollama_lacks_are_told_with_what_to_pull(stack: RunningStack) -> None:
    with fake_ollama() as url:
        place = ("admin", "set-upstream", "--name", "lacking", "--kind", "ollama", "--base-url", url)
        assert typed(stack, *place).exit_code == 0
        new = ("admin", "add-model", "--name", "doctor/missing", "--upstream", "lacking", "--upstream-model", "none:1b")
        made = typed(stack, *new, "--input-usd", "1", "--output-usd", "1")
        assert made.exit_code == 0, made.output
        found = {check["what"]: check for check in json.loads(typed(stack, "doctor", "--json").stdout)["checks"]}
    assert found["doctor/missing is routed there in vain"]["mend"] == "ollama pull none:1b"


def test_a_certificate_is_looked_at_and_one_that_ends_soon_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = Workshop(tmp_path)
    for ends_in, state in ((timedelta(days=60), State.OK), (timedelta(days=13), State.WARNING)):
        directory = made.issue("operator", ends_in=ends_in)
        (found,) = secret_checks.certificate(surroundings(monkeypatch, TLS_DIR=str(directory)))
        assert found.state is state
        assert "of operator in" in found.what
    (directory / "tls.key").unlink()
    (found,) = secret_checks.certificate(surroundings(monkeypatch, TLS_DIR=str(directory)))
    assert (found.state, "tls.key" in found.what) == (State.FAILED, True)


@pytest.mark.parametrize("ahead_s, state", [(0.9, "ok"), (-1.9, "ok"), (2.5, "warning"), (-40, "failed")])
def test_clocks_may_differ_a_little(ahead_s: float, state: str) -> None:
    assert clock("another", ahead_s).state.value == state


def test_a_journal_needs_a_directory_of_its_own_with_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = surroundings(monkeypatch, EDGE_JOURNAL_DIR=str(tmp_path / "journal"))
    assert [check.state for check in disk(here)] == [State.FAILED]
    (tmp_path / "journal").mkdir(mode=0o777)
    (tmp_path / "journal").chmod(0o777)
    assert disk(here)[0].mend == f"chmod 700 {tmp_path / 'journal'}"
