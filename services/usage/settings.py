"""Settings of `python -m services.usage`."""

from kit.settings import LogLevel, Secret, Settings


class UsageSettings(Settings):
    """`metrics_port` empty: no metrics are served. The times are those of the design; tests scale them."""

    usage_database_url: str
    usage_listen: str
    billing_addr: str
    app_secret_key: Secret
    app_secret_key_previous: Secret | None = None
    metrics_port: int | None = None
    log_level: LogLevel = "info"
    usage_settle_interval_s: float = 1.0
    usage_lost_after_s: float = 60.0
    usage_forgotten_after_s: float = 600.0
