"""Certificates of a test's own authority, as the directories that TLS_DIR names."""

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

from deploy import certificates
from deploy.certificates import Pair

HERE = "127.0.0.1"


class Workshop:
    """An authority and a place for what it issues; `believed` is whom the certificates' holders believe."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = certificates.authority(now=self.now())

    @staticmethod
    def now() -> datetime:
        """The real time: a handshake knows no other."""
        return datetime.now(UTC)

    def issue(
        self,
        identity: str,
        *,
        folder: str = "",
        names: tuple[str, ...] = (HERE,),
        ends_in: timedelta = timedelta(days=90),
        believed: Pair | None = None,
    ) -> Path:
        """Makes, or replaces, the TLS_DIR of this identity; one that has ended began a year before."""
        now = self.now()
        begins = now if ends_in > timedelta(0) else now - timedelta(days=365)
        pair = certificates.issue(self.authority, identity, names=names, now=begins, lasts=now + ends_in - begins)
        home = self.directory / (folder or identity)
        certificates.write(pair, home, believed=(believed or self.authority).certificate)
        return home


def free_port() -> int:
    """A port of this machine that nobody uses at the moment."""
    with socket.socket() as free:
        free.bind((HERE, 0))
        port: int = free.getsockname()[1]
    return port
