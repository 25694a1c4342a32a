"""Settings of `python -m services.usage`."""

from kit.settings import LogLevel, Secret, Settings
from kit.tls import TlsDir


class UsageSettings(Settings):
    """Empty, `tls_dir` is plaintext, `health_listen` and `metrics_port` are no port.

    The times are those of the design; tests scale them.
    """

    usage_database_url: str
    usage_listen: str
    billing_addr: str
    app_secret_key: Secret
    app_secret_key_previous: Secret | None = None
    tls_dir: TlsDir | None = None
    health_listen: str = ""
    metrics_port: int | None = None
    log_level: LogLevel = "info"
    usage_settle_interval_s: float = 1.0
    usage_lost_after_s: float = 60.0
    usage_forgotten_after_s: float = 600.0
