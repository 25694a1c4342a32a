"""The load generator in C: what it is asked to do, and what it tells."""

import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

NONCE: Final = "nonce-00000000"
"""In a request's body: replaced by another one each time, which the answer must begin with."""
PATIENCE_S: Final = 120.0
"""For what is under way when the time is over: the slowest need half a minute for a hundred streams."""


class WrongAnswer(Exception):
    """Something else came back than was asked for; the message has the first of them."""


class Times(msgspec.Struct, frozen=True):
    """Percentiles of some times, in microseconds."""

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    p999: float
    max: float


class Told(msgspec.Struct, frozen=True):
    """The generator's result; counts but `sent`, `ok`, `wrong`, `failed` and `statuses` are of the measured time."""

    sent: int
    ok: int
    wrong: int
    failed: int
    """Connections that closed with a request on them; part of `wrong`."""
    hanging: int
    """Without an answer when the patience was over."""
    reconnects: int
    seconds: float
    requests: int
    chunks: int
    bytes: int
    statuses: dict[str, int]
    latency_us: Times | None
    first_us: Times | None
    """From the request to the first text; of whole answers the same as the latency."""
    gap_us: Times | None
    first_wrong: str


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to send; see load.c."""

    port: int
    body: bytes
    connections: int
    seconds: float
    warmup_s: float = 0.5
    path: str = "/v1/chat/completions"
    headers: tuple[str, ...] = ()
    stream: bool = False
    tokens: int = 16
    status: int = 200
    contains: str = ""
    rate: float = 0
    spread_us: int = 0
    once: bool = False

    def options(self, body: Path) -> list[str]:
        """The command line after the program's name."""
        return [
            f"--port={self.port}",
            f"--body={body}",
            f"--connections={self.connections}",
            f"--seconds={self.seconds}",
            f"--warmup={self.warmup_s}",
            f"--path={self.path}",
            *(f"--header={field}" for field in self.headers),
            f"--tokens={self.tokens}",
            f"--status={self.status}",
            f"--contains={self.contains}",
            f"--rate={self.rate}",
            f"--spread-us={self.spread_us}",
            f"--patience={PATIENCE_S}",
            *(["--stream"] if self.stream else []),
            *(["--once"] if self.once else []),
        ]


def run(order: Order, *, program: Path, core: int, now: Callable[[str], None] = lambda _: None) -> Told:
    """Send it all and check it all; `now` is called with `measuring` and `measured` at these moments.

    Raises WrongAnswer where a single answer was not as it should be.
    """
    with tempfile.NamedTemporaryFile() as body:
        body.write(order.body)
        body.flush()
        command = ["taskset", "--cpu-list", str(core), str(program), *order.options(Path(body.name))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout  # noqa: S101 - it was asked for
            last = ""
            for line in process.stdout:
                last = line.strip()
                if not last.startswith("{"):
                    now(last)
    if process.returncode:
        raise WrongAnswer(f"the load generator exited with {process.returncode}")
    told = msgspec.json.decode(last, type=Told)
    if told.wrong or told.hanging:
        raise WrongAnswer(
            f"{told.wrong} of {told.sent} answers were wrong, {told.hanging} did not come; {told.statuses}; "
            f"the first: {told.first_wrong}"
        )
    return told
