"""Settings: where they come from, and how a bad one is told."""

import os
import secrets
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from kit.settings import LogLevel, Secret, Settings, load


class Sample(Settings):
    app_secret_key: Secret
    edge_port: int = 8000
    log_level: LogLevel = "info"


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A directory without a .env, and none of our variables."""
    monkeypatch.chdir(tmp_path)
    for name in ("APP_SECRET_KEY", "EDGE_PORT", "LOG_LEVEL", "SECRETS_DIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def refusal(capsys: pytest.CaptureFixture[str]) -> list[str]:
    with pytest.raises(SystemExit) as caught:
        load(Sample)
    assert caught.value.code == 2
    return capsys.readouterr().err.splitlines()


def test_the_environment_wins_over_the_file_and_an_empty_variable_is_unset(
    monkeypatch: pytest.MonkeyPatch, nowhere: Path
) -> None:
    key = secrets.token_hex(32)
    (nowhere / ".env").write_text(f"APP_SECRET_KEY={key}\nEDGE_PORT=9000\nUNKNOWN=1\n")
    assert load(Sample).edge_port == 9000
    monkeypatch.setenv("EDGE_PORT", "9001")
    assert load(Sample).edge_port == 9001
    monkeypatch.setenv("EDGE_PORT", "")
    settings = load(Sample)
    assert settings.edge_port == 9000
    assert settings.app_secret_key.get_secret_value() == key
    assert key not in repr(settings)


def test_settings_do_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_SECRET_KEY", secrets.token_hex(32))
    with pytest.raises(ValidationError):
        load(Sample).edge_port = 1  # type: ignore[misc]


def test_every_mistake_gets_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("EDGE_PORT", "eight thousand")
    lines = refusal(capsys)
    assert lines[0] == "APP_SECRET_KEY: is not set"
    assert lines[1].startswith("EDGE_PORT: Input should be a valid integer")
    assert len(lines) == 2


@pytest.mark.parametrize("given, meant", [("WARNING", "warning"), ("debug", "debug"), ("loud", None)])
def test_a_log_level_is_one_of_four_in_any_case(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: str, meant: str | None
) -> None:
    monkeypatch.setenv("APP_SECRET_KEY", secrets.token_hex(32))
    monkeypatch.setenv("LOG_LEVEL", given)
    if meant is None:
        assert refusal(capsys) == ["LOG_LEVEL: Input should be 'debug', 'info', 'warning' or 'error'"]
    else:
        assert load(Sample).log_level == meant


@pytest.mark.parametrize(
    "weak",
    ["too brief", "x" * 64, "changeme-changeme-changeme-changeme", "ChangeMe1234567890abcdefghijklmnopq", "ab" * 20],
)
def test_a_weak_secret_is_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], weak: str
) -> None:
    monkeypatch.setenv("APP_SECRET_KEY", weak)
    (line,) = refusal(capsys)
    assert line.startswith("APP_SECRET_KEY: is ")
    assert line.endswith("make one with: openssl rand -hex 32")
    assert weak not in line


def test_what_the_error_recommends_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(50):
        monkeypatch.setenv("APP_SECRET_KEY", os.urandom(32).hex())
        load(Sample)


class Pair(Sample):
    jwt_secret: Secret | None = None
    upstream_api_key: SecretStr = SecretStr("")


@pytest.mark.parametrize("other", ["JWT_SECRET", "UPSTREAM_API_KEY", "SOMETHING_ELSE"])
def test_two_equal_secrets_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], other: str
) -> None:
    key = secrets.token_hex(32)
    monkeypatch.setenv("APP_SECRET_KEY", key)
    monkeypatch.setenv(other, key)
    with pytest.raises(SystemExit) as caught:
        load(Pair)
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    first, second = ("JWT_SECRET", "APP_SECRET_KEY") if other == "JWT_SECRET" else ("APP_SECRET_KEY", other)
    assert line == f"{first}: is the same as {second}; make one with: openssl rand -hex 32"


def test_what_is_equal_in_the_file_is_refused_as_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], nowhere: Path
) -> None:
    """So a process sees it, too, that has only one of the two."""
    key = secrets.token_hex(32)
    (nowhere / ".env").write_text(f"APP_SECRET_KEY={key}\nJWT_SECRET={key}\n")
    assert refusal(capsys) == ["APP_SECRET_KEY: is the same as JWT_SECRET; make one with: openssl rand -hex 32"]


def test_secrets_that_others_have_made_may_be_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_SECRET_KEY", secrets.token_hex(32))
    monkeypatch.setenv("UPSTREAM_API_KEY", "sk-1234")
    monkeypatch.setenv("LITELLM_MASTER_KEY", "sk-1234")
    load(Pair)


@pytest.fixture
def secret_files(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory as a cluster mounts it: each file a link into a folder that is replaced as a whole."""
    home = nowhere / "secrets"
    (home / "..2026").mkdir(parents=True)
    (home / "..data").symlink_to("..2026")
    for name, text in (("app_secret_key", f"{secrets.token_hex(32)}\n"), ("edge_port", "9000"), ("log_level", "")):
        (home / "..2026" / name).write_text(text)
        (home / name).symlink_to(f"..data/{name}")
    monkeypatch.setenv("SECRETS_DIR", str(home))
    return home


def test_a_file_of_the_secrets_directory_is_read_where_no_variable_is_set(
    secret_files: Path, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(Sample)
    assert settings.app_secret_key.get_secret_value() == (secret_files / "app_secret_key").read_text().strip()
    assert (settings.edge_port, settings.log_level) == (9000, "info")
    (nowhere / ".env").write_text("EDGE_PORT=9001\n")
    assert load(Sample).edge_port == 9001
    monkeypatch.setenv("EDGE_PORT", "9002")
    assert load(Sample).edge_port == 9002
    monkeypatch.setenv("EDGE_PORT", "")
    (nowhere / ".env").write_text("EDGE_PORT=\n")
    assert load(Sample).edge_port == 9000


def test_the_file_may_name_the_secrets_directory_too(
    secret_files: Path, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SECRETS_DIR")
    (nowhere / ".env").write_text(f"SECRETS_DIR={secret_files}\n")
    assert load(Sample).edge_port == 9000


def test_a_weak_secret_in_a_file_is_refused_as_in_a_variable(
    secret_files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (secret_files / "app_secret_key").write_text("brief")
    (line,) = refusal(capsys)
    assert line.startswith("APP_SECRET_KEY: is shorter than 32 characters")
    (secret_files / "app_secret_key").write_text("")
    assert refusal(capsys) == ["APP_SECRET_KEY: is not set"]


def test_a_secrets_directory_that_is_none_is_refused(
    secret_files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "is no directory; name one that holds a file for each secret, or unset it"
    for name in ("nothing", "secrets/app_secret_key"):
        monkeypatch.setenv("SECRETS_DIR", str(secret_files.parent / name))
        assert refusal(capsys) == [
            f"SECRETS_DIR: {secret_files.parent / name} {said}",
            "APP_SECRET_KEY: is not set",
        ]


def test_a_file_that_is_no_text_is_named_without_its_content(
    secret_files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (secret_files / "app_secret_key").write_bytes(b"hunter2 \xff")
    (line,) = refusal(capsys)
    assert line.startswith('SETTINGS: error getting value for field "app_secret_key"')
    assert "hunter2" not in line
