"""Settings of `python -m services.billing`."""

from datetime import timedelta

from kit.settings import LogLevel
from kit.tls import TlsDir
from kit.tracing import TracingSettings
from services.billing.terms import Terms


class BillingSettings(TracingSettings):
    """Empty, `tls_dir` is plaintext, `health_listen` and `metrics_port` are no port.

    The times are those of the design; tests scale them.
    """

    billing_database_url: str
    billing_listen: str
    catalog_addr: str
    redis_url: str
    tls_dir: TlsDir | None = None
    health_listen: str = ""
    metrics_port: int | None = None
    log_level: LogLevel = "info"
    billing_beat_s: float = 1.0
    billing_lease_s: float = 60.0
    billing_release_after_s: float = 90.0
    billing_recall_s: float = 15.0

    def terms(self) -> Terms:
        """The rules of lending with these times."""
        return Terms(
            lease_ms=round(self.billing_lease_s * 1_000),
            release_after_ms=round(self.billing_release_after_s * 1_000),
            recall=timedelta(seconds=self.billing_recall_s),
        )
