"""The figures of one run, their medians, and the JSON file that keeps them."""

import statistics
from pathlib import Path

import msgspec

from bench.peers.load import Times


class NotMeasured(Exception):
    """A figure that this run does not have."""


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One contestant in one round of a workload. CPU time is the gateway's own, in microseconds of a core."""

    requests_per_s: float
    chunks_per_s: float
    rate: float = 0
    """What was sent a second, where that was set."""
    cpu_us_per_request: float | None
    cpu_us_per_chunk: float | None
    helpers_us_per_request: float | None
    """Of what belongs to it on the other core."""
    core_share: float
    """Of its core: below nine tenths something else was the limit, such as the load or the upstream."""
    latency_us: Times | None
    first_us: Times | None
    gap_us: Times | None
    settled_s: float | None
    """Until our books had it all, after the last answer."""
    rss: int
    reconnects: int


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Of our edge, in bytes."""

    idle_pss: int
    idle_rss: int
    streams: int
    before_pss: int
    open_pss: int
    """With the streams open."""

    @property
    def per_stream(self) -> float:
        """Bytes that each adds."""
        return (self.open_pss - self.before_pss) / self.streams


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What it ran on, and how busy that was with other things."""

    processor: str
    cores: int
    memory_gb: float
    system: str
    python: str
    load_before: float
    load_after: float = 0


class Results(msgspec.Struct, kw_only=True):
    """One run."""

    size: str
    when: str
    commit: str
    machine: Machine
    versions: dict[str, str]
    left_out: dict[str, str]
    """Who could not take part, and why."""
    titles: dict[str, str]
    rounds: dict[str, dict[str, list[Round]]] = msgspec.field(default_factory=dict)
    """By workload and contestant."""
    failures: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    """By workload and contestant: why it was stopped."""
    memory: Memory | None = None
    took_s: float = 0

    def add(self, workload: str, contestant: str, found: Round) -> None:
        """One more round."""
        self.rounds.setdefault(workload, {}).setdefault(contestant, []).append(found)

    def fail(self, workload: str, contestant: str, why: str) -> None:
        """It answered wrongly; what it did right before does not count."""
        self.failures.setdefault(workload, {})[contestant] = why
        self.rounds.get(workload, {}).pop(contestant, None)

    def values(self, workload: str, contestant: str, figure: str) -> list[float]:
        """A figure in each round: a field of Round, with a dot one of Times. Raises NotMeasured."""
        name, _, part = figure.partition(".")
        found = [getattr(one, name) for one in self.rounds.get(workload, {}).get(contestant, [])]
        if part:
            found = [getattr(times, part) for times in found if times]
        values = [float(value) for value in found if value is not None]
        if not values:
            raise NotMeasured(f"{contestant} has no {figure} in {workload}")
        return values

    def median(self, workload: str, contestant: str, figure: str) -> float:
        """The middle one. Raises NotMeasured."""
        return statistics.median(self.values(workload, contestant, figure))


def write(results: Results, file: Path) -> None:
    """Keep them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def read(file: Path) -> Results:
    """Raises msgspec.ValidationError where the file holds something else."""
    return msgspec.json.decode(file.read_bytes(), type=Results)
