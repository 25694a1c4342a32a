"""The model: what edges, leases, services and Postgres have to do at a rate of requests, as formulas.

Sizes and times are read from the code that obeys them; what a transaction costs was measured (costs.py). Requests
come at random (Poisson) over all keys alike and last exponentially long.
"""

from dataclasses import dataclass, field
from math import exp, inf, log1p, sqrt
from typing import Final

from bench.scale.costs import Costs, Part
from bench.scale.servers import RPC_S
from edge.lookup.api_keys import TTL_S
from edge.lookup.invalidation import POLL_S
from edge.money.pace import Pace
from services.billing.terms import Terms
from services.usage.relay import MOST_CHARGES

IN_FLIGHT: Final = 4
"""AcquireLeases calls of an edge at the same time: edge/money/credit.py."""
LIMITS: Final = 2
"""Of a request, on average: those of its account, and some of its key (edge/limits/rates.py)."""
MONTH_S: Final = 30 * 86_400
CHECKPOINT_S: Final = 300
"""Postgres' default `checkpoint_timeout`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Who sends what, and to how many processes."""

    requests_s: float
    edges: int
    keys: int
    """API keys that are in use, each of an account of its own."""
    sticky: bool = False
    """Whether the load balancer sends all requests of a key to the same edge."""
    duration_s: float = 2.0
    cost_nanos: int = 500_000
    hold_nanos: int = 5_000_000
    posted_nanos: int = 100_000_000_000
    billing_processes: int = 1
    usage_processes: int = 1
    cores: int = 8
    """Of the one Postgres primary."""
    commit_s: float = 0.001
    """What a commit waits for the disk."""
    pace: Pace = field(default_factory=Pace)
    terms: Terms = field(default_factory=Terms)

    @property
    def pots(self) -> int:
        """Pairs of a key and an edge that may serve it: a lease belongs to one."""
        return self.keys if self.sticky else self.keys * self.edges

    @property
    def serving(self) -> int:
        """Edges that somebody uses."""
        return min(self.edges, self.keys) if self.sticky else self.edges

    @property
    def pot_s(self) -> float:
        """Requests a second of one of them."""
        return self.requests_s / self.pots


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What follows, a second where nothing else is said."""

    leases: float
    """In use at a moment."""
    begun: float
    wishes: float
    acquire_calls: float
    renew_calls: float
    renewed: float
    taken_back: float
    close_calls: float
    record_calls: float
    reports: float
    rounds: float
    """Of the relay."""
    commits: float
    wal_bytes: float
    wal_cold_bytes: float
    """On top where each active account is touched for the first time after a checkpoint: whole pages."""
    postgres_s: float
    """Processors of Postgres that are busy with it."""
    usage_s: float
    billing_s: float
    relay_most: float
    """Charges a second that one relay can hand over."""
    outbox: float
    """Rows of charges under way; without end where the relay cannot keep up."""
    polls: float
    """Calls that ask for changes, at auth, catalog and billing together."""
    looked_up: float
    """API keys that edges ask auth about, and accounts that they ask billing about; many in a call."""
    valkey_s: float
    """Processors of Valkey that are busy with limits where no two calls meet; one is all it has."""


def load_of(workload: Workload, costs: Costs) -> Load:
    """The model."""
    w = workload
    begun, leases, ended = _leases(w)
    wishes, taken_back = _asks(w, begun, leases)
    acquire_calls = min(wishes, w.edges * IN_FLIGHT / call_s(costs, w.commit_s, Part("acquire", 1)))
    renew_calls = w.edges / w.pace.renew_s
    renewed = (leases + ended) / w.pace.renew_s
    close_calls = w.edges * (1 - exp(-begun * w.pace.tick_s / w.edges)) / w.pace.tick_s
    reports = w.requests_s * w.duration_s / w.pace.tick_s * exp(-w.pace.tick_s / w.duration_s)
    record_calls, record = _records(w, costs, reports)
    rounds, settle, relay = _rounds(w, costs, record)
    round_s, most = _round_s(w, costs, settle, relay), relay_most(w, costs)
    per_s = [
        (acquire_calls, [Part("acquire", wishes / acquire_calls)]),
        (
            renew_calls,
            [Part("renew", (renewed - taken_back) / renew_calls), Part("take_back", taken_back / renew_calls)],
        ),
        (close_calls, [Part("close", begun / close_calls if close_calls else 0)]),
        (rounds, settle),
    ]
    billing = [_times(rate, costs.of(*parts)) for rate, parts in per_s]
    usage = [_times(rate, costs.of(*parts)) for rate, parts in ((record_calls, record), (rounds, relay))]
    calls_billing = acquire_calls + renew_calls + close_calls + rounds
    touched = w.keys * (1 - exp(-w.requests_s / w.keys * CHECKPOINT_S))
    return Load(
        leases=leases,
        begun=begun,
        wishes=wishes,
        acquire_calls=acquire_calls,
        renew_calls=renew_calls,
        renewed=renewed,
        taken_back=taken_back,
        close_calls=close_calls,
        record_calls=record_calls,
        reports=reports,
        rounds=rounds,
        commits=record_calls + rounds + calls_billing,
        wal_bytes=sum(each[2] for each in billing + usage),
        wal_cold_bytes=touched * costs.cold_wal_bytes / CHECKPOINT_S,
        postgres_s=sum(each[1] for each in billing + usage),
        usage_s=sum(each[0] for each in usage) + RPC_S * (record_calls + rounds),
        billing_s=sum(each[0] for each in billing) + RPC_S * calls_billing,
        relay_most=most,
        outbox=w.requests_s * round_s * (1 + rounds * round_s / 2) if w.requests_s < most else inf,
        polls=3 * w.edges / POLL_S,
        looked_up=w.requests_s / (1 + w.pot_s * TTL_S),
        valkey_s=w.requests_s * (2 * costs.valkey_call_s + LIMITS * costs.valkey_request_s),
    )


def call_s(costs: Costs, commit_s: float, *parts: Part) -> float:
    """How long a call takes where nobody else is in the way."""
    service_s, postgres_s, _ = costs.of(*parts)
    return RPC_S + service_s + postgres_s + commit_s


def relay_most(w: Workload, costs: Costs) -> float:
    """Charges a second of one relay: its batches are full, and follow one another.

    Of each batch the accounts are as many as w.keys allow.
    """
    owners = distinct(MOST_CHARGES, w.keys)
    parts = [Part("settle", MOST_CHARGES, owners)], [Part("relay", MOST_CHARGES)]
    return MOST_CHARGES / _round_s(w, costs, *parts)


def distinct(draws: float, of: float) -> float:
    """How many different ones are expected among so many drawn."""
    return of * (1 - exp(draws * log1p(-1 / of))) if of > 1 else min(draws, 1.0)


def _leases(w: Workload) -> tuple[float, float, float]:
    """Begun a second; in use; and out of use, but not yet closed and forgotten.

    A lease lives while somebody has used it within `idle_s`, as seen at the next tick: a pot is without one with the
    probability that a queue without end (M/G/infinity) is empty whose customers stay for a request and that time.
    """
    stays_s = w.duration_s + w.pace.idle_s + w.pace.tick_s / 2
    empty = exp(-w.pot_s * stays_s)
    begun = w.requests_s * empty
    return begun, w.pots * (1 - empty), begun * w.pace.tick_s / 2


def _asks(w: Workload, begun: float, leases: float) -> tuple[float, float]:
    """Wishes a second, and leases a second of which a renewal takes something back.

    A renewal takes back what is free beyond the cushion, where there was a use since the one before. A request that
    finds a lease has to ask all the same where that left too little for it, or where others run and so many have not
    for ten seconds; or else whenever half of the cushion is spent. These three are rules of thumb.
    """
    rate, idle_s, renew_s = w.pot_s, w.pace.idle_s + w.pace.tick_s / 2, w.pace.renew_s
    running = rate * w.duration_s
    # For how long, of the time between two renewals, a lease that is kept has gone without a new request.
    span_s, kept = min(idle_s, renew_s), 1 - exp(-rate * idle_s)
    unused_s = (1 - exp(-rate * span_s)) / rate - span_s * (1 - kept)
    taken_back = (leases - w.pots * exp(-running) * unused_s / renew_s) / renew_s
    half_nanos = _cushion_nanos(w) / 2
    rises = max(half_nanos / w.hold_nanos - 1, 0)
    renewed = unused_s / kept / renew_s * exp(-(rises**2) / (2 * max(running, 1)))
    beside = 1 - exp(-running)
    overlaps = beside * exp(-rate * beside * w.pace.recent_s)
    found = w.requests_s - begun
    again = max(renewed + overlaps - renewed * overlaps, w.cost_nanos / half_nanos)
    return begun + found * again, taken_back


def _cushion_nanos(w: Workload) -> float:
    """The highest hold of ten seconds, about, and what is spent in them; within what edge and billing allow."""
    running = w.pot_s * w.duration_s
    peak = max(1.0, running + 2 * sqrt(running))
    wished = peak * w.hold_nanos + w.pot_s * w.pace.recent_s * w.cost_nanos
    return min(wished, w.pace.max_cushion_nanos, w.terms.cushion_nanos, w.posted_nanos / w.terms.cushion_share)


def _records(w: Workload, costs: Costs, reports: float) -> tuple[float, list[Part]]:
    """Calls of RecordUsage a second, and what is in one.

    After a call a new one is due `ship_wait_s` after the first record; where one came meanwhile, from the end on.
    """
    # Reports come together, once a tick.
    ticks = (1 - exp(-reports * w.pace.tick_s / w.serving)) / w.pace.tick_s
    rate = w.requests_s / w.serving + ticks
    # A request is reported first at a tick when it is one to two ticks old.
    in_ticks = w.duration_s / w.pace.tick_s
    known = exp(-1 / in_ticks) * in_ticks * (1 - exp(-1 / in_ticks))
    calls = w.requests_s
    parts: list[Part] = []
    for _ in range(50):
        finals, shown = w.requests_s / calls, reports / calls
        keys = w.keys / w.serving if w.sticky else w.keys
        parts = [
            Part("record", finals * (1 - known), distinct(finals, max(keys, 1))),
            Part("finish", finals * known),
            Part("report", finals * known),
            Part("report_again", max(shown - finals * known, 0)),
        ]
        took_s = call_s(costs, w.commit_s, *parts)
        cycle_s = w.pace.ship_wait_s + took_s + exp(-rate * took_s) / rate
        calls = (calls + w.serving / min(cycle_s, w.pace.life_s)) / 2
    return calls, parts


def _rounds(w: Workload, costs: Costs, record: list[Part]) -> tuple[float, list[Part], list[Part]]:
    """Rounds of the relay a second, and what is in one at billing and at usage.

    It is woken by each call of RecordUsage that brings charges, and takes all that has come while it was busy.
    """
    took_s, rate = call_s(costs, w.commit_s, *record), w.requests_s / w.serving
    wakes = w.serving / (w.pace.ship_wait_s + took_s + exp(-rate * took_s) / rate)
    rounds = wakes
    settle, relay = [Part("settle", 0)], [Part("relay", 0)]
    for _ in range(50):
        charges = min(w.requests_s / rounds, MOST_CHARGES)
        settle = [Part("settle", charges, distinct(charges, w.keys))]
        relay = [Part("relay", charges)]
        took_s = _round_s(w, costs, settle, relay)
        rounds = (rounds + 1 / (took_s + exp(-wakes * took_s) / wakes)) / 2
    return rounds, settle, relay


def _round_s(w: Workload, costs: Costs, settle: list[Part], relay: list[Part]) -> float:
    return call_s(costs, w.commit_s, *settle) + call_s(costs, w.commit_s, *relay)


def _times(rate: float, amounts: tuple[float, float, float]) -> tuple[float, float, float]:
    return rate * amounts[0], rate * amounts[1], rate * amounts[2]
