"""The step that hands out secrets: refuses bad ones by name, and writes files that only their readers can read."""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from deploy.compose import secrets
from kit.dsn import service_password
from tests.support.compose import SECRETS, secrets_settings


def handed_out(root: Path, **changed: str) -> subprocess.CompletedProcess[str]:
    """The step as the container runs it, with our secrets or other ones."""
    return subprocess.run(
        [sys.executable, "-m", "deploy.compose.secrets"],
        env={**SECRETS, "SECRETS_ROOT": str(root), **changed},
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_writes_for_each_container_what_that_needs(tmp_path: Path) -> None:
    (tmp_path / "usage").mkdir()
    (tmp_path / "usage" / "of_an_older_release").write_text("old")
    (tmp_path / "usage" / "app_secret_key").write_text("old")
    done = handed_out(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert not any(text in done.stdout for text in SECRETS.values())
    written = {
        directory.name: {file.name: file.read_text() for file in directory.iterdir()}
        for directory in tmp_path.iterdir()
    }
    assert written == secrets.files(secrets_settings())
    modes = {file.relative_to(tmp_path).parts[0]: file.stat().st_mode & 0o777 for file in tmp_path.glob("*/*")}
    assert {name for name, mode in modes.items() if mode == 0o444} == {"litellm", "postgres"}
    assert {mode for name, mode in modes.items() if name not in ("litellm", "postgres")} == {0o400}
    assert handed_out(tmp_path).returncode == 0


@pytest.mark.parametrize("name", sorted(SECRETS))
@pytest.mark.parametrize("value", ["", "hunter2", "changeme" * 5, "a" * 40])
def test_a_weak_secret_is_named_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for variable, text in {**SECRETS, "SECRETS_ROOT": str(tmp_path), name: value}.items():
        monkeypatch.setenv(variable, text)
    with pytest.raises(SystemExit) as caught:
        secrets.main()
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert re.fullmatch(rf"{name}: [^\n]+\n", said)
    assert not value or value not in said
    assert list(tmp_path.iterdir()) == []


def test_equal_secrets_are_named(tmp_path: Path) -> None:
    done = handed_out(tmp_path, JWT_SECRET=SECRETS["APP_SECRET_KEY"])
    assert done.returncode == 2
    assert done.stderr.startswith("JWT_SECRET: is the same as APP_SECRET_KEY; ")
    assert list(tmp_path.iterdir()) == []


def test_secrets_that_are_being_changed_go_to_those_that_read_the_old_ones(tmp_path: Path) -> None:
    old = {"APP_SECRET_KEY_PREVIOUS": "5f" + "a1b2c3d4" * 8, "JWT_SECRET_PREVIOUS": "6f" + "a1b2c3d4" * 8}
    assert handed_out(tmp_path, **old).returncode == 0
    found = {file.relative_to(tmp_path) for file in tmp_path.glob("*/*_previous") if file.read_text() in old.values()}
    assert {str(file) for file in found} == {
        *(f"{name}/app_secret_key_previous" for name in ("api", "auth", "catalog", "migrate", "usage")),
        "api/jwt_secret_previous",
    }


def test_a_master_key_that_litellm_would_refuse_is_refused(tmp_path: Path) -> None:
    done = handed_out(tmp_path, LITELLM_MASTER_KEY="0" + SECRETS["JWT_SECRET"])
    assert done.returncode == 2
    assert done.stderr.startswith('LITELLM_MASTER_KEY: must begin with "sk-"')


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "api").write_text("in the way")
    done = handed_out(tmp_path)
    assert done.returncode == 1
    assert re.fullmatch(r"The secrets could not be written: [^\n]+\n", done.stderr)


def test_each_role_has_a_password_of_its_own_and_services_the_one_that_migrations_give_them() -> None:
    whole = secrets.files(secrets_settings())
    urls = {
        urlsplit(text)
        for contents in whole.values()
        for name, text in contents.items()
        if name.endswith("_database_url") or name == "database_url"
    }
    assert {url.username for url in urls} == {
        "postgres",
        "privaterouter",
        "litellm",
        *(f"privaterouter_{service}" for service in ("auth", "billing", "catalog", "usage")),
    }
    assert len({url.password for url in urls}) == 7
    assert urlsplit(whole["billing"]["billing_database_url"]).password == service_password(
        "billing", SECRETS["APP_SECRET_KEY"]
    )


def test_a_shell_reads_what_litellm_is_given(tmp_path: Path) -> None:
    file = tmp_path / "environment"
    file.write_text(secrets.exports(PLAIN="postgresql://a:b@c/d", ODD='it\'s $HOME; `ls` \\ "x"'))
    done = subprocess.run(
        ["/bin/sh", "-c", '. "$0" && printf "%s\\n%s" "$PLAIN" "$ODD"', file],
        env={},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["postgresql://a:b@c/d", 'it\'s $HOME; `ls` \\ "x"']


def test_the_credential_for_a_collector_goes_to_those_that_trace(tmp_path: Path) -> None:
    assert handed_out(tmp_path, OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20x").returncode == 0
    found = {file.parent.name: file.read_text() for file in tmp_path.glob("*/otel_exporter_otlp_headers")}
    assert found == dict.fromkeys(("api", "auth", "billing", "catalog", "usage"), "authorization=Bearer%20x")
