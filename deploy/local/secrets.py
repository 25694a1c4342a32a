"""The secrets of an embedded stack: generated once, kept in its home, and overruled by what the settings give."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values
from pydantic import SecretStr

from deploy.local.settings import StackSettings

NAMES = {"APP_SECRET_KEY": "", "JWT_SECRET": "", "LITELLM_MASTER_KEY": "sk-"}
"""Each secret, and what it has to begin with."""


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """What signs, seals and derives; repr shows nothing of it."""

    app_secret_key: SecretStr
    jwt_secret: SecretStr
    litellm_master_key: SecretStr
    """That of the embedded LiteLLM; one of your own has its own."""


def load(settings: StackSettings, file: Path) -> Secrets:
    """The settings' secrets, and for those not set the generated ones of `file`, made where absent; raises OSError."""
    generated = _generated(file)
    return Secrets(
        app_secret_key=settings.app_secret_key or SecretStr(generated["APP_SECRET_KEY"]),
        jwt_secret=settings.jwt_secret or SecretStr(generated["JWT_SECRET"]),
        litellm_master_key=SecretStr(generated["LITELLM_MASTER_KEY"]),
    )


def _generated(file: Path) -> dict[str, str]:
    kept = {name: value for name, value in dotenv_values(file).items() if value} if file.exists() else {}
    missing = {name: begin + secrets.token_hex(32) for name, begin in NAMES.items() if name not in kept}
    if missing:
        everything = {**kept, **missing}
        unfinished = file.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
            output.write("# Generated once. Without APP_SECRET_KEY, API keys stop working: back it up with the data.\n")
            output.writelines(f"{name}={value}\n" for name, value in everything.items())
            output.flush()
            os.fsync(output.fileno())
        unfinished.replace(file)
        return everything
    return kept
