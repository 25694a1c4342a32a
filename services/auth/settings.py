"""Settings of `python -m services.auth`."""

from typing import Self

from pydantic import SecretStr, model_validator

from kit.settings import LogLevel, Secret, Settings
from kit.tls import TlsDir


class AuthSettings(Settings):
    """Empty, `tls_dir` is plaintext, `health_listen` and `metrics_port` are no port. `billing_addr` is billing's.

    With `litellm_virtual_keys` every API key gets a virtual key of the LiteLLM proxy at `litellm_base_url`. Where that
    refuses its master key the next one is tried: the one that it has, or will have, after a change.
    """

    auth_database_url: str
    auth_listen: str
    billing_addr: str
    redis_url: str
    app_secret_key: Secret
    app_secret_key_previous: Secret | None = None
    litellm_virtual_keys: bool = False
    litellm_base_url: str = ""
    litellm_master_key: SecretStr = SecretStr("")
    litellm_master_key_next: SecretStr = SecretStr("")
    tls_dir: TlsDir | None = None
    health_listen: str = ""
    metrics_port: int | None = None
    log_level: LogLevel = "info"

    @property
    def litellm_master_keys(self) -> list[str]:
        """The master keys to try, in this order."""
        given = (self.litellm_master_key.get_secret_value(), self.litellm_master_key_next.get_secret_value())
        return [key for key in given if key]

    @model_validator(mode="after")
    def _require_proxy(self) -> Self:
        """Virtual keys need the proxy's address and its master key."""
        if self.litellm_virtual_keys and not (self.litellm_base_url and self.litellm_master_key.get_secret_value()):
            raise ValueError("LITELLM_VIRTUAL_KEYS=on also needs LITELLM_BASE_URL and LITELLM_MASTER_KEY")
        return self
