"""Looks for limits: load one part until it is full, by the model and in the simulation."""

from collections.abc import Iterator
from dataclasses import replace

from bench.scale.costs import Costs
from bench.scale.model import Workload, load_of, relay_most
from bench.scale.simulation import Run, Simulated, run
from edge.money.pace import Pace

AMPLE = Workload(requests_s=100, edges=4, keys=1_000, billing_processes=8, usage_processes=8, cores=64)
"""Nothing is short in it."""
OUTAGE_S = 5.0
DEBIT = "debit after, p50 / p99 ms"


def limits(costs: Costs, seed: int) -> Iterator[str]:
    """All of them."""
    yield from hot_account(costs, seed)
    yield ""
    yield from relay(costs, seed)
    yield ""
    yield from outage(costs, seed)
    yield ""
    yield from primary(costs, seed)
    yield ""
    yield from lending(costs, seed)


def hot_account(costs: Costs, seed: int) -> Iterator[str]:
    """All requests are those of one account, whose row every settlement and every lease must lock."""
    yield from _head(
        "one hot account: requests a second",
        "edges",
        DEBIT,
        "had to ask billing",
        "their wait, p99 ms",
        "refused",
        "longest queue for a row",
    )
    for rate, edges in ((100, 4), (1_000, 40), (4_000, 40)):
        w = replace(AMPLE, requests_s=rate, edges=edges, keys=1)
        seen = run(w, costs, Run(warm_s=1.5, measured_s=1, seed=seed))
        yield (
            f"| {rate:,} | {edges} | {_lag(seen)} | {seen.asked:.1%} | {seen.wait_p99_s * 1_000:,.0f} |"
            f" {seen.refused} | {seen.queue_most} |"
        )


def relay(costs: Costs, seed: int) -> Iterator[str]:
    """One relay sends one batch after the other: beyond its rate the outbox grows."""
    yield from _head(
        "the relay: requests a second", "it can hand over /s (model)", "outbox grows /s, model / simulation", DEBIT
    )
    most = relay_most(replace(AMPLE, keys=1_000), costs)
    for share in (0.5, 0.9, 1.5):
        rate = round(most * share, -2)
        w = replace(AMPLE, requests_s=rate, edges=20, keys=1_000, sticky=True, duration_s=0.2)
        how = Run(warm_s=0.5, measured_s=0.7, seed=seed)
        seen = run(w, costs, how)
        grows = seen.outbox_end / (how.warm_s + how.measured_s)
        yield f"| {rate:,.0f} | {most:,.0f} | {max(rate - most, 0):,.0f} / {grows:,.0f} | {_lag(seen)} |"


def outage(costs: Costs, seed: int) -> Iterator[str]:
    """Billing is away for a while: edges go on with the leases of busy keys, the outbox fills, and drains later."""
    yield from _head(
        "billing away for 5 s: requests a second",
        "outbox at most, model / simulation",
        "seconds until it is as before, model / simulation",
        "requests refused",
    )
    for rate in (100, 400):
        w = replace(AMPLE, requests_s=rate, keys=4)
        seen = run(w, costs, Run(warm_s=6, measured_s=8, outage_s=OUTAGE_S, seed=seed))
        # The relay, which tries once a second, notices half a second late that billing is back.
        depth = rate * (OUTAGE_S + 0.5)
        drained_s = 0.5 + depth / (relay_most(w, costs) - rate)
        yield (
            f"| {rate:,} | {depth:,.0f} / {seen.outbox_most:,} | {drained_s:.1f} / {seen.drained_s:.1f} |"
            f" {seen.refused} |"
        )


def primary(costs: Costs, seed: int) -> Iterator[str]:
    """One Postgres with two processors: all services wait for it."""
    yield from _head(
        "Postgres with 2 processors: requests a second", "busy, model / simulation", DEBIT, "wait for credit, p99 ms"
    )
    base = replace(AMPLE, cores=2, keys=5_000)
    most = 2 / (load_of(replace(base, requests_s=500), costs).postgres_s / 500)
    for share in (0.5, 1.2):
        w = replace(base, requests_s=round(most * share, -1))
        seen = run(w, costs, Run(warm_s=5, measured_s=1.5, seed=seed))
        busy = load_of(w, costs).postgres_s / w.cores
        yield (
            f"| {w.requests_s:,.0f} | {busy:.0%} / {seen.postgres_busy:.0%} | {_lag(seen)} |"
            f" {seen.wait_p99_s * 1_000:,.0f} |"
        )


def lending(costs: Costs, seed: int) -> Iterator[str]:
    """What a lease spares depends on how often its key comes to the same edge."""
    yield from _head(
        "lending at 100 requests a second of 1,000 keys",
        "leases in use",
        "had to ask billing",
        "AcquireLeases /s, model / simulation",
        "processors busy in billing and Postgres",
    )
    base = replace(AMPLE, edges=10)
    for title, w in (
        ("10 edges, any edge", base),
        ("10 edges, a key always to the same", replace(base, sticky=True)),
        ("the same, `idle_s` 30", replace(base, sticky=True, pace=Pace(idle_s=30))),
        ("100 busy keys instead, a key always to the same", replace(base, sticky=True, keys=100)),
    ):
        seen = run(w, costs, Run(warm_s=20 if w.pace.idle_s > 5 else 10, measured_s=10, seed=seed))
        calls = load_of(w, costs).acquire_calls, seen.rates["acquire_calls"]
        work = seen.rates["postgres_s"] + seen.rates["billing_s"]
        yield (
            f"| {title} | {seen.rates['leases']:,.0f} | {seen.asked:.0%} | {calls[0]:,.0f} / {calls[1]:,.0f} |"
            f" {work:.2f} |"
        )


def _head(*titles: str) -> Iterator[str]:
    yield f"| {' | '.join(titles)} |"
    yield f"|{' ---: |' * len(titles)}"


def _lag(seen: Simulated) -> str:
    return f"{seen.lag_p50_s * 1_000:,.0f} / {seen.lag_p99_s * 1_000:,.0f}"
