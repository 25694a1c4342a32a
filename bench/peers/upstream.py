"""The fake upstream in C, running: told how to answer, asked for its tally."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec


class Tally(msgspec.Struct, frozen=True):
    """What it has answered since the last reset."""

    requests: int
    streams: int
    prompt_tokens: int
    completion_tokens: int
    events: int
    aborted: int
    """Streams whose reader went away."""
    unknown: int
    """Requests that reached it without the nonce."""


@dataclass(frozen=True)
class Upstream:
    """One that listens on `port`."""

    port: int

    @property
    def url(self) -> str:
        """What comes before `/v1`."""
        return f"http://127.0.0.1:{self.port}"

    def set(self, *, tokens: int, pace_us: int = 0) -> None:
        """How long answers are, and the time between the events of a stream."""
        self._post(f"/set?tokens={tokens}&pace_us={pace_us}&burst=1")

    def reset(self) -> None:
        """Begin the tally anew."""
        self._post("/reset")

    def tally(self) -> Tally:
        """What it answered."""
        return msgspec.json.decode(httpx.get(f"{self.url}/tally").raise_for_status().content, type=Tally)

    def _post(self, path: str) -> None:
        httpx.post(f"{self.url}{path}").raise_for_status()


@contextmanager
def running(program: Path, *, core: int) -> Iterator[Upstream]:
    """Start it on that core; it ends with us, since it reads our end of a pipe."""
    command = ["taskset", "--cpu-list", str(core), str(program)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin  # noqa: S101 - both were asked for
        assert process.stdout  # noqa: S101
        try:
            yield Upstream(int(process.stdout.readline()))
        finally:
            process.stdin.close()
