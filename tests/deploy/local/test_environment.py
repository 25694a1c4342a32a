"""What each process is told: enough, and nothing that is not its business."""

import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from deploy.local.environment import Environment
from deploy.local.home import Home
from deploy.local.places import Places
from deploy.local.secrets import Secrets
from deploy.local.settings import SERVICES, StackSettings

APP_SECRET = "app-" + "0123456789abcdef" * 4
JWT_SECRET = "jwt-" + "0123456789abcdef" * 4
PLACES = Places(
    pid=1,
    sockets="/run/sockets",
    database_url="postgresql://postgres@/privaterouter?host=/run/pg&port=5432",
    redis_url="unix:///run/valkey.sock",
    chat_url="http://127.0.0.1:1",
    embed_url="http://127.0.0.1:2",
    litellm_url="http://127.0.0.1:3",
)


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and no settings from whoever runs the tests."""
    for name in list(os.environ):
        if name not in ("PATH", "HOME"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def environment(directory: Path) -> Environment:
    secrets = Secrets(
        app_secret_key=SecretStr(APP_SECRET),
        jwt_secret=SecretStr(JWT_SECRET),
        litellm_master_key=SecretStr("sk-generated"),
    )
    return Environment(StackSettings(), secrets, PLACES, Home(directory))


def test_a_service_gets_its_own_database_address_and_no_other(directory: Path) -> None:
    made = environment(directory)
    for name in SERVICES:
        told = made.service(name)
        assert {key for key in told if key.endswith("DATABASE_URL")} == {f"{name.upper()}_DATABASE_URL"}
        assert told[f"{name.upper()}_DATABASE_URL"].startswith(f"postgresql://privaterouter_{name}:")
        assert told[f"{name.upper()}_LISTEN"] == f"unix:/run/sockets/{name}.sock"
        assert "JWT_SECRET" not in told


def test_the_edge_gets_no_database_address(directory: Path) -> None:
    told = environment(directory).edge()
    assert not [key for key in told if key.endswith("DATABASE_URL")]
    assert told["JWT_SECRET"] == JWT_SECRET
    assert {told[f"{name.upper()}_ADDR"] for name in SERVICES} == {
        f"unix:/run/sockets/{name}.sock" for name in SERVICES
    }


def test_the_owners_address_goes_to_the_migrations_only(directory: Path) -> None:
    made = environment(directory)
    assert made.migrate()["DATABASE_URL"] == PLACES.database_url
    assert "DATABASE_URL" not in made.seed()


def test_the_seeding_learns_where_the_models_are(directory: Path) -> None:
    told = environment(directory).seed()
    assert (told["UPSTREAM_KIND"], told["EMBEDDED_CHAT_URL"], told["EMBEDDED_EMBED_URL"]) == (
        "embedded",
        "http://127.0.0.1:1",
        "http://127.0.0.1:2",
    )


def test_a_dotenv_file_is_handed_on_and_yields_to_the_environment(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory / ".env").write_text("LOG_LEVEL=debug\nFROM_FILE=yes\nMETRICS_PORT=9000\nREDIS_URL=redis://other\n")
    monkeypatch.setenv("LOG_LEVEL", "warning")
    told = environment(directory).service("auth")
    assert (told["LOG_LEVEL"], told["FROM_FILE"]) == ("warning", "yes")
    assert "METRICS_PORT" not in told
    assert environment(directory).edge()["METRICS_PORT"] == "9000"


def test_certificates_and_ports_for_probes_are_those_of_a_deployment(directory: Path) -> None:
    (directory / ".env").write_text("TLS_DIR=/certificates\nHEALTH_LISTEN=0.0.0.0:50060\n")
    made = environment(directory)
    for told in (made.edge(), made.seed(), *(made.service(name) for name in SERVICES)):
        assert not {"TLS_DIR", "HEALTH_LISTEN"} & told.keys()


def test_an_address_of_your_own_replaces_the_derived_one(directory: Path) -> None:
    own = "postgresql://me:mine@db/elsewhere"
    (directory / ".env").write_text(f"DATABASE_URL=postgresql://owner@db/x\nUSAGE_DATABASE_URL={own}\n")
    made = environment(directory)
    assert made.service("usage")["USAGE_DATABASE_URL"] == own
    assert made.migrate()["USAGE_DATABASE_URL"] == own
    assert "AUTH_DATABASE_URL" not in made.migrate()


def test_litellm_is_described_to_those_who_make_virtual_keys(directory: Path) -> None:
    (directory / ".env").write_text(
        "UPSTREAM_KIND=litellm\nUPSTREAM_BASE_URL=http://litellm:4000\nUPSTREAM_API_KEY=sk-master\n"
    )
    told = environment(directory).service("auth")
    assert (told["LITELLM_VIRTUAL_KEYS"], told["LITELLM_BASE_URL"], told["LITELLM_MASTER_KEY"]) == (
        "true",
        "http://litellm:4000",
        "sk-master",
    )


@pytest.mark.parametrize("more", ["", "LITELLM_VIRTUAL_KEYS=false\n"])
def test_litellm_without_an_address_is_the_stacks_own_with_a_generated_master_key(directory: Path, more: str) -> None:
    (directory / ".env").write_text(f"UPSTREAM_KIND=litellm\n{more}")
    told = environment(directory).seed()
    names = ("UPSTREAM_KIND", "UPSTREAM_BASE_URL", "UPSTREAM_API_KEY", "LITELLM_VIRTUAL_KEYS", "EMBEDDED_CHAT_URL")
    assert [told[name] for name in names] == [
        "litellm",
        "http://127.0.0.1:3",
        "sk-generated",
        "false",
        "http://127.0.0.1:1",
    ]


@pytest.mark.parametrize(
    "line, message",
    [
        ("UPSTREAM_KIND=ollama", "UPSTREAM_KIND=ollama also needs UPSTREAM_BASE_URL"),
        ("UPSTREAM_BASE_URL=http://x", "UPSTREAM_BASE_URL also needs UPSTREAM_KIND"),
        (
            "UPSTREAM_KIND=ollama\nUPSTREAM_BASE_URL=localhost:11434",
            "UPSTREAM_BASE_URL must look like http://host:port",
        ),
        ("UPSTREAM_KIND=litellm\nUPSTREAM_BASE_URL=http://x", "virtual keys need LiteLLM's master key"),
        ("UPSTREAM_KIND=litellm\nUPSTREAM_API_KEY=sk-master", "also needs its address: UPSTREAM_BASE_URL"),
        ("AUTH_DATABASE_URL=postgresql://x", "AUTH_DATABASE_URL also needs DATABASE_URL"),
    ],
)
def test_half_a_replacement_is_refused(directory: Path, line: str, message: str) -> None:
    (directory / ".env").write_text(line)
    with pytest.raises(ValueError, match=message):
        StackSettings()
