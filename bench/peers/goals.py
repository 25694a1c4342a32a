"""What the edge is to reach, as ratios between figures of the same run, and how far it is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bench.peers.ours import NAME as OURS
from bench.peers.results import NotMeasured, Results
from bench.peers.workloads import DIRECT


@dataclass(frozen=True)
class Found:
    """A ratio (or an absolute figure): of the medians, and the least and the most that the rounds allow."""

    middle: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Goal:
    """One line of the table."""

    work: str
    against: str
    wanted: float
    at_least: bool
    """Otherwise at most."""
    unit: str
    """`times` for ratios."""
    found: Callable[[Results], Found]
    by_cpu: Callable[[Results], Found] | None = None
    """The same ratio from CPU time for each piece of work, which a busy machine disturbs less."""

    def is_met(self, found: Found) -> bool:
        """By the medians."""
        return found.middle >= self.wanted if self.at_least else found.middle <= self.wanted


def ratio(results: Results, *, above: tuple[str, str, str], below: tuple[str, str, str]) -> Found:
    """One figure over another; each is workload, contestant and figure. Raises NotMeasured."""
    tops, bottoms = results.values(*above), results.values(*below)
    middle, low, high = results.median(*below), min(bottoms), max(bottoms)
    if not low:
        raise NotMeasured(f"{below} is nothing")
    return Found(middle=results.median(*above) / middle, low=min(tops) / high, high=max(tops) / low)


def _more(work: str, title: str, against: str, wanted: float) -> Goal:
    """We do so many times as many requests a second."""
    return Goal(
        work=title,
        against=against,
        wanted=wanted,
        at_least=True,
        unit="times",
        found=lambda run: ratio(run, above=(work, OURS, "requests_per_s"), below=(work, against, "requests_per_s")),
        by_cpu=lambda run: ratio(
            run, above=(work, against, "cpu_us_per_request"), below=(work, OURS, "cpu_us_per_request")
        ),
    )


def _chunk_cpu(against: str, wanted: float) -> Goal:
    return Goal(
        work="streams, an event each 10 ms: CPU for each event",
        against=against,
        wanted=wanted,
        at_least=False,
        unit="times",
        found=lambda run: ratio(
            run,
            above=("streams_paced", OURS, "cpu_us_per_chunk"),
            below=("streams_paced", against, "cpu_us_per_chunk"),
        ),
    )


def _added(work: str, title: str, figure: str, wanted_ms: float) -> Goal:
    """Milliseconds more than a direct call takes."""

    def found(run: Results) -> Found:
        ours, direct = run.values(work, OURS, figure), run.values(work, DIRECT, figure)
        middle = run.median(work, OURS, figure) - run.median(work, DIRECT, figure)
        return Found(middle / 1e3, (min(ours) - max(direct)) / 1e3, (max(ours) - min(direct)) / 1e3)

    return Goal(work=title, against="a direct call", wanted=wanted_ms, at_least=False, unit="ms", found=found)


def _refused(status: int) -> Goal:
    return Goal(
        work=f"refused with {status}",
        against="our own successful ones",
        wanted=2.5,
        at_least=True,
        unit="times",
        found=lambda run: ratio(
            run, above=(f"refused_{status}", OURS, "requests_per_s"), below=("chat", OURS, "requests_per_s")
        ),
        by_cpu=lambda run: ratio(
            run, above=("chat", OURS, "cpu_us_per_request"), below=(f"refused_{status}", OURS, "cpu_us_per_request")
        ),
    )


def _idle(run: Results) -> Found:
    if run.memory is None:
        raise NotMeasured("memory")
    return Found(*[run.memory.idle_pss / 1e6] * 3)


def _per_stream(run: Results) -> Found:
    if run.memory is None:
        raise NotMeasured("memory")
    return Found(*[run.memory.per_stream / 1e3] * 3)


def _memory(work: str, wanted: float, unit: str, found: Callable[[Results], Found]) -> Goal:
    return Goal(work=work, against="nothing", wanted=wanted, at_least=False, unit=unit, found=found)


_CHAT: Final = "chat, small body"
GOALS: Final[tuple[Goal, ...]] = (
    _more("chat", _CHAT, "LiteLLM", 80),
    _more("chat", _CHAT, "Portkey", 8),
    _more("chat", _CHAT, "TensorZero", 1.8),
    _more("chat", _CHAT, "ferrogw", 1.8),
    _more("chat", _CHAT, "vllm-router", 0.6),
    _more("chat", _CHAT, "Envoy", 0.5),
    *(
        _more(f"chat_{size}k", f"chat, {size} KB body", against, 3)
        for size in (20, 100)
        for against in ("ferrogw", "TensorZero")
    ),
    _chunk_cpu("Envoy", 1.4),
    _chunk_cpu("LiteLLM", 1 / 30),
    Goal(
        work="streams, flat out: events a second",
        against="TensorZero",
        wanted=3,
        at_least=True,
        unit="times",
        found=lambda run: ratio(
            run,
            above=("streams_flat_out", OURS, "chunks_per_s"),
            below=("streams_flat_out", "TensorZero", "chunks_per_s"),
        ),
        by_cpu=lambda run: ratio(
            run,
            above=("streams_flat_out", "TensorZero", "cpu_us_per_chunk"),
            below=("streams_flat_out", OURS, "cpu_us_per_chunk"),
        ),
    ),
    _added("chat_half", "whole answer at half load, p50", "latency_us.p50", 1),
    _added("chat_half", "whole answer at half load, p99", "latency_us.p99", 5),
    _added("streams_half", "first token at half load, p50", "first_us.p50", 1),
    _added("streams_half", "first token at half load, p99", "first_us.p99", 5),
    *(_refused(status) for status in (401, 402, 429)),
    _memory("memory of an open stream", 20, "KB", _per_stream),
    _memory("memory of the idle edge", 150, "MB", _idle),
    Goal(
        work="1,000 streams, an event each 100 ms: p99 gap",
        against="Envoy",
        wanted=3,
        at_least=False,
        unit="times",
        found=lambda run: ratio(
            run, above=("streams_crowd", OURS, "gap_us.p99"), below=("streams_crowd", "Envoy", "gap_us.p99")
        ),
    ),
)
