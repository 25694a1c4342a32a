"""Where the parts of a running stack are, kept in a file for the commands that talk to it."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.local.home import alive


@dataclass(frozen=True, kw_only=True)
class Places:
    """Addresses of one running stack; an empty one belongs to a part that is not there (yet)."""

    pid: int
    sockets: str
    database_url: str
    redis_url: str
    chat_url: str = ""
    embed_url: str = ""
    litellm_url: str = ""
    api_url: str = ""
    dashboard_url: str = ""
    metrics_url: str = ""

    def address(self, service: str) -> str:
        """A service's gRPC target."""
        return f"unix:{self.sockets}/{service}.sock"


def write(places: Places, file: Path) -> None:
    """Replace the file at once; only its owner may read it, since a database address may hold a password."""
    unfinished = file.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
        json.dump(asdict(places), output, indent=1)
    unfinished.replace(file)


def read(file: Path) -> Places | None:
    """The running stack's places; None where none runs, also after one that was killed."""
    try:
        places = Places(**json.loads(file.read_text()))
    except FileNotFoundError:
        return None
    return places if alive(places.pid) else None
