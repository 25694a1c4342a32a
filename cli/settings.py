"""Settings of the operator's commands: where the services are, unless an embedded stack runs here."""

from pathlib import Path

from kit.settings import Settings


class CliSettings(Settings):
    """Addresses are gRPC targets; empty ones are looked up in the embedded stack of `privaterouter_home`."""

    privaterouter_home: Path = Path(".local")
    auth_addr: str = ""
    catalog_addr: str = ""
    billing_addr: str = ""
    usage_addr: str = ""
