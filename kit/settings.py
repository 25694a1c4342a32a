"""Settings from the environment and `.env`, refused with one clear line per mistake."""

import sys
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

MIN_SECRET_CHARS = 32
_WELL_KNOWN = ("changeme", "change-me", "change_me", "secret", "password", "example", "insecure")
_HOW_TO = "make one with: openssl rand -hex 32"


def _strong(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if len(text) < MIN_SECRET_CHARS:
        raise ValueError(f"is shorter than {MIN_SECRET_CHARS} characters; {_HOW_TO}")
    if len(set(text)) < 8 or text.lower().startswith(_WELL_KNOWN):
        raise ValueError(f"is a well-known or guessable value; {_HOW_TO}")
    return value


Secret = Annotated[SecretStr, AfterValidator(_strong)]
"""A secret that somebody must have made: long, and not copied from an example."""

LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(str.lower)]
"""How much is logged, in any case."""


class Settings(BaseSettings):
    """Base of every process's settings; a variable of the environment wins over `.env`.

    A field `app_secret_key` is read from `APP_SECRET_KEY`; an empty variable counts as unset.
    """

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)


S = TypeVar("S", bound=Settings)


def load(cls: type[S]) -> S:
    """The settings, or one line per bad variable on stderr and exit status 2; values are not shown."""
    try:
        return cls()
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_context=False):
            name = ".".join(str(part) for part in problem["loc"]).upper() or "SETTINGS"
            text = problem["msg"].removeprefix("Value error, ")
            if problem["type"] == "missing":
                text = "is not set"
            sys.stderr.write(f"{name}: {text}\n")
        raise SystemExit(2) from None
