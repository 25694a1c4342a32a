"""Settings from the environment, `.env` and files of secrets, refused with one clear line per mistake."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from dotenv import dotenv_values
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

MIN_SECRET_CHARS = 32
_WELL_KNOWN = ("changeme", "change-me", "change_me", "secret", "password", "example", "insecure")
_HOW_TO = "make one with: openssl rand -hex 32"


class OwnSecret(SecretStr):
    """A secret that is ours to make, as opposed to one that another program has given us."""


def weakness(text: str) -> str:
    """What is wrong with a secret of our own, in words that do not show it; empty when nothing is."""
    if len(text) < MIN_SECRET_CHARS:
        return f"is shorter than {MIN_SECRET_CHARS} characters"
    if len(set(text)) < 8 or text.lower().startswith(_WELL_KNOWN):
        return "is a well-known or guessable value"
    return ""


def _strong(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if weak := weakness(text):
        raise ValueError(f"{weak}; {_HOW_TO}")
    return OwnSecret(text)


Secret = Annotated[SecretStr, AfterValidator(_strong)]
"""A secret that somebody must have made: long, and not copied from an example."""


def text_of(secret: SecretStr | None) -> str:
    """A secret's text; empty where there is none."""
    return secret.get_secret_value() if secret else ""


LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(str.lower)]
"""How much is logged, in any case."""


def _directory(value: Path) -> Path:
    if not value.is_dir():
        raise ValueError(f"{value} is no directory; name one that holds a file for each secret, or unset it")
    return value


class _SecretFiles(SecretsSettingsSource):
    """An empty file counts as none, as an empty variable does."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        value, key, is_complex = super().get_field_value(field, field_name)
        return value or None, key, is_complex


class Settings(BaseSettings):
    """Base of every process's settings; a variable of the environment wins over `.env`, and that over a file.

    A field `app_secret_key` is read from `APP_SECRET_KEY`, or from the file `app_secret_key` in SECRETS_DIR; an empty
    variable or file counts as unset.
    """

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)

    start_within_s: float = Field(default=60.0, ge=0, le=3600)
    """How long a process waits at its start for what it needs (kit/starting.py)."""
    allow_newer_schema: bool = False
    """Whether to start on a database that a newer release has migrated: for going back to the one before it."""
    secrets_dir: Annotated[Path, AfterValidator(_directory)] | None = None
    """Directory with a file for each secret, as clusters and Docker mount them."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (the one of a directory that is known beforehand)
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Adds the files of the directory that the environment or `.env` names."""
        sources = (init_settings, env_settings, dotenv_settings)
        named = [each.env_vars.get("secrets_dir") for each in sources if isinstance(each, EnvSettingsSource)]
        directory = next(filter(None, named), None)
        # What is no directory is told by the field.
        if directory and Path(directory).is_dir():
            return (*sources, _SecretFiles(settings_cls, directory))
        return sources


S = TypeVar("S", bound=Settings)


def load(cls: type[S]) -> S:
    """The settings, or one line per bad variable on stderr and exit status 2; values are not shown."""
    try:
        settings = cls()
    except ValidationError as error:
        problems = list(explained(error))
    except SettingsError as error:
        # A file that may not be read, or what is not JSON where it has to be; the cause shows no value.
        problems = [f"SETTINGS: {error}: {error.__cause__}"]
    else:
        problems = list(shared_secrets(settings))
        if not problems:
            return settings
    sys.stderr.writelines(f"{problem}\n" for problem in problems)
    raise SystemExit(2)


def explained(error: ValidationError) -> Iterator[str]:
    """One line for each bad variable, without its value."""
    for problem in error.errors(include_input=False, include_context=False):
        name = ".".join(str(part) for part in problem["loc"]).upper() or "SETTINGS"
        text = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "missing":
            text = "is not set"
        yield f"{name}: {text}"


def shared_secrets(settings: Settings) -> Iterator[str]:
    """One line for each secret of our own that something else has as well: who learns the one knows the other."""
    given = {name.upper(): value.get_secret_value() for name, value in settings if isinstance(value, SecretStr)}
    own = [name.upper() for name, value in settings if isinstance(value, OwnSecret)]
    everything = {**dotenv_values(".env"), **os.environ, **given}
    for position, name in enumerate(own):
        for other, value in everything.items():
            if value == given[name] and other != name and other not in own[position:]:
                yield f"{name}: is the same as {other}; {_HOW_TO}"
