"""Secrets of the embedded stack: made once, kept to the owner, overruled by settings."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from deploy.local import secrets
from deploy.local.settings import StackSettings


def settings(**values: object) -> StackSettings:
    return StackSettings.model_validate(values)


def test_they_are_generated_once_and_only_the_owner_may_read_them(tmp_path: Path) -> None:
    file = tmp_path / "secrets.env"
    first = secrets.load(settings(), file)
    written = file.read_text()
    assert secrets.load(settings(), file) == first
    assert file.read_text() == written
    assert file.stat().st_mode & 0o777 == 0o600
    values = [secret.get_secret_value() for secret in (first.app_secret_key, first.jwt_secret)]
    assert [len(value) for value in values] == [64, 64]
    assert len({*values, first.litellm_master_key.get_secret_value().removeprefix("sk-")}) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["secrets.env"]


def test_two_stacks_have_different_ones(tmp_path: Path) -> None:
    assert secrets.load(settings(), tmp_path / "a").jwt_secret != secrets.load(settings(), tmp_path / "b").jwt_secret


def test_settings_win_and_change_nothing_that_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "secrets.env"
    kept = secrets.load(settings(), file)
    own = "0123456789abcdef" * 4
    mixed = secrets.load(settings(app_secret_key=own), file)
    assert mixed.app_secret_key.get_secret_value() == own
    assert mixed.jwt_secret == kept.jwt_secret
    assert secrets.load(settings(), file) == kept


def test_a_missing_one_is_added_beside_the_one_that_is_there(tmp_path: Path) -> None:
    file = tmp_path / "secrets.env"
    file.write_text(f"APP_SECRET_KEY={'k' * 64}\n")
    assert secrets.load(settings(), file).app_secret_key == SecretStr("k" * 64)
    assert "JWT_SECRET=" in file.read_text()
    assert "LITELLM_MASTER_KEY=sk-" in file.read_text()


@pytest.mark.parametrize("value", ["changeme-changeme-changeme-changeme", "short", "a" * 64])
def test_placeholders_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match="openssl rand -hex 32"):
        settings(app_secret_key=value)


def test_they_do_not_show_in_messages(tmp_path: Path) -> None:
    made = secrets.load(settings(), tmp_path / "secrets.env")
    assert made.app_secret_key.get_secret_value() not in repr(made)
