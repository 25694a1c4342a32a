"""What each part has to do at a rate of requests, computed and simulated side by side: `make bench-scale`.

The model (model.py) is checked by a simulation (simulation.py) in which the real lending code of the edges talks to
simulated services on a simulated Postgres. Then both look for limits: a hot account, the one relay, billing away, a
small Postgres. Prints the tables of docs/scale.md. SCALE_SEED=7 runs another simulation; SCALE_FULL=1 goes on to 10,000
requests a second, which takes minutes.
"""

import gc
import os
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil, inf

from bench.scale.costs import Costs, load
from bench.scale.limits import limits
from bench.scale.model import Load, Workload, load_of
from bench.scale.simulation import Run, Simulated, run
from bench.scale.sizes import sizes
from kit import logs

EDGE_REQUESTS_S = 250
"""Requests a second of one edge process: an assumption, to be measured where it is to run."""
KEY_REQUESTS_S = 0.1
"""Of an API key in use: one every ten seconds."""
BUSY = 0.5
"""How busy processes of services and processors of Postgres should be by the model."""
RATES: dict[int, Run] = {
    1: Run(warm_s=20, measured_s=200),
    10: Run(warm_s=20, measured_s=60),
    100: Run(warm_s=12, measured_s=10),
    1_000: Run(warm_s=8, measured_s=2),
}
FULL: dict[int, Run] = {**RATES, 10_000: Run(warm_s=8, measured_s=3)}


def workload(requests_s: float, costs: Costs) -> Workload:
    """As many edges, keys, processes and processors as the rate asks for."""
    small = Workload(
        requests_s=requests_s,
        edges=max(2, ceil(requests_s / EDGE_REQUESTS_S)),
        keys=ceil(requests_s / KEY_REQUESTS_S),
    )
    load = load_of(small, costs)
    return replace(
        small,
        billing_processes=max(2, ceil(load.billing_s / BUSY)),
        usage_processes=max(2, ceil(load.usage_s / BUSY)),
        cores=max(4, ceil(load.postgres_s / BUSY)),
    )


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table: what it is called, and its name in Load and in what was simulated."""

    title: str
    name: str
    unit: float = 1.0

    def cell(self, computed: Load, simulated: Simulated) -> str:
        """Model / simulation (their ratio)."""
        model = getattr(computed, self.name) / self.unit
        seen = simulated.rates.get(self.name, 0.0) / self.unit
        ratio = f" ({model / seen:.2f})" if seen and model < inf else ""
        return f"{number(model)} / {number(seen)}{ratio}"


LINES = (
    Line("leases in use", "leases"),
    Line("leases begun /s", "begun"),
    Line("wishes for credit /s", "wishes"),
    Line("AcquireLeases /s", "acquire_calls"),
    Line("RenewLeases /s", "renew_calls"),
    Line("leases renewed /s", "renewed"),
    Line("of these, credit taken back /s", "taken_back"),
    Line("CloseLeases /s", "close_calls"),
    Line("RecordUsage /s", "record_calls"),
    Line("reports of running requests /s", "reports"),
    Line("SettleCharges /s", "rounds"),
    Line("charges in the outbox", "outbox"),
    Line("commits /s", "commits"),
    Line("WAL, MB/s", "wal_bytes", 1e6),
    Line("processors busy in Postgres", "postgres_s"),
    Line("processors busy in billing", "billing_s"),
    Line("processors busy in usage", "usage_s"),
)


ONLY_COMPUTED = (
    ("keys, and accounts, looked up /s", "looked_up"),
    ("calls that ask for changes /s", "polls"),
    ("processors busy in Valkey, at most", "valkey_s"),
    ("WAL on top, as whole pages after checkpoints, MB/s", "wal_cold_bytes"),
    ("charges /s that one relay can hand over", "relay_most"),
)


def number(value: float) -> str:
    """Three digits, in words of a table."""
    if value == inf:
        return "grows"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 0.001 else "0"


def rates_table(costs: Costs, rates: dict[int, Run], seed: int) -> Iterator[str]:
    """Model and simulation at these rates."""
    workloads = [workload(rate, costs) for rate in rates]
    computed = [load_of(each, costs) for each in workloads]
    simulated = [run(each, costs, replace(how, seed=seed)) for each, how in zip(workloads, rates.values(), strict=True)]
    yield row("requests a second", *(f"{rate:,}" for rate in rates))
    yield row("---", *("---:" for _ in rates))
    yield row("edges", *(str(each.edges) for each in workloads))
    yield row(
        "processes of billing, of usage", *(f"{each.billing_processes}, {each.usage_processes}" for each in workloads)
    )
    yield row("processors of Postgres", *(str(each.cores) for each in workloads))
    yield row("API keys in use", *(f"{each.keys:,}" for each in workloads))
    for line in LINES:
        yield row(line.title, *(line.cell(*pair) for pair in zip(computed, simulated, strict=True)))
    for title, name in ONLY_COMPUTED:
        unit = 1e6 if name.endswith("_bytes") else 1
        yield row(f"{title} (computed)", *(number(getattr(each, name) / unit) for each in computed))
    seen: tuple[tuple[str, list[str]], ...] = (
        ("end of a request to its debit, p50 / p99 ms", [f"{ms(s.lag_p50_s)} / {ms(s.lag_p99_s)}" for s in simulated]),
        ("requests that had to ask billing", [f"{s.asked:.0%}" for s in simulated]),
        ("their wait, p99 ms", [ms(s.wait_p99_s) for s in simulated]),
    )
    for title, cells in seen:
        yield row(f"{title} (simulated)", *cells)


def row(*cells: str) -> str:
    """A row of a table."""
    return f"| {' | '.join(cells)} |"


def ms(seconds: float) -> str:
    """Milliseconds."""
    return f"{seconds * 1_000:,.0f}"


def main() -> int:
    """Print all tables."""
    costs, seed = load(), int(os.environ.get("SCALE_SEED", "1"))
    begin = time.monotonic()
    logs.configure("bench", level="error")  # what edges say of billing that is away is meant to happen here
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    print(
        f"Simulated, not measured (seed {seed}); what a transaction costs was measured on {costs.date}: {costs.machine}"
    )
    print(f"This run: Python {platform.python_version()}. Each cell: model / simulation (their ratio)\n")
    rates = FULL if os.environ.get("SCALE_FULL") else RATES
    for table in (
        rates_table(costs, rates, seed),
        limits(costs, seed),
        sizes(costs, {rate: load_of(workload(rate, costs), costs) for rate in FULL}),
    ):
        for line in table:
            print(line, flush=True)
        print()
    print(f"{time.monotonic() - begin:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
