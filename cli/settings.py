"""Settings of the operator's commands: where the services are, unless an embedded stack runs here."""

from pathlib import Path

from kit.settings import Settings
from kit.tls import TlsDir


class CliSettings(Settings):
    """Addresses are gRPC targets; empty ones are looked up in the embedded stack of `privaterouter_home`.

    With `tls_dir` those that are set are called with the certificate there; the embedded stack is plaintext.
    """

    privaterouter_home: Path = Path(".local")
    auth_addr: str = ""
    catalog_addr: str = ""
    billing_addr: str = ""
    usage_addr: str = ""
    tls_dir: TlsDir | None = None
