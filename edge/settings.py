"""Settings of the edge process."""

from enum import StrEnum
from pathlib import Path

from pydantic import Field

from edge.money.pace import Pace
from kit.settings import LogLevel, Secret
from kit.tls import TlsDir
from kit.tracing import TracingSettings


class JournalSync(StrEnum):
    """What the journal survives: SQLite's `synchronous` of a file in WAL mode.

    https://www.sqlite.org/pragma.html#pragma_synchronous
    """

    OFF = "off"
    """Any death of the process; a loss of power may spoil the file."""
    NORMAL = "normal"
    """After a loss of power the file is whole, but may lack what was written last."""
    FULL = "full"
    """Also a loss of power, for a flush of the disk in each tick of the loop."""


class EdgeSettings(TracingSettings):
    """What the edge reads from the environment; each field says its unit or form."""

    auth_addr: str = "127.0.0.1:50051"
    """gRPC target of auth: `host:port`, `dns:///name:port` or `unix:/path`."""
    catalog_addr: str = "127.0.0.1:50052"
    billing_addr: str = "127.0.0.1:50053"
    usage_addr: str = "127.0.0.1:50054"
    tls_dir: TlsDir | None = None
    """Directory of the certificate that services are shown, with its key and who is believed. Unset: plaintext."""
    redis_url: str = "redis://127.0.0.1:6379/0"
    """Valkey or Redis, for rate limits and the invalidation bus."""
    jwt_secret: Secret
    """Signs the sessions' tokens."""
    jwt_secret_previous: Secret | None = None
    """While the secret is being changed: the one before it, whose tokens are still good for their hour."""
    edge_port: int = Field(default=8000, ge=0, le=65535)
    """Port of the API; 0 is any free one."""
    dashboard_port: int = Field(default=3000, ge=0, le=65535)
    """Port of the dashboard; 0 is any free one."""
    dashboard_dir: Path = Path(__file__).parents[1] / "dashboard" / "dist"
    """Directory of the built dashboard; absolute, as the edge may run anywhere."""
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    """Port of `/metrics`, of the first of several workers: the next ones take the ports after it. Unset: no metrics."""
    edge_workers: int = Field(default=1, ge=1, le=64)
    """Processes that share both ports: one for each core that the edge may fill."""
    edge_journal_dir: Path = Path(".local/journal")
    """Directory of the usage journals, on a disk that outlives the process."""
    edge_journal_sync: JournalSync = JournalSync.OFF
    edge_pace: Pace = Pace()
    """Times and sizes of the money path that differ from its own, as JSON: `{"renew_s": 1}`. For tests."""
    edge_host: str = "127.0.0.1"
    """Address that both ports listen on."""
    edge_ports_file: Path | None = None
    """File to write the ports to once they are open, for whoever asked for free ones."""
    edge_drain_s: float = Field(default=25.0, ge=0, le=3600)
    """How long running requests may go on after SIGTERM."""
    edge_keep_alive_s: int = Field(default=75, ge=1, le=4000)
    """How long idle connections are kept: longer than a load balancer does, so that it closes them first."""
    trusted_proxies: str = ""
    """Addresses, separated by commas, whose `X-Forwarded-For` and `-Proto` are believed. Empty: none."""
    signups_per_hour: int = Field(default=60, ge=1)
    """Sign-ups from one address in an hour."""
    log_level: LogLevel = "info"
