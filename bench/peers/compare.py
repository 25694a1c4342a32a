"""Two runs side by side: `make bench-compare A=FILE B=FILE`, or `python -m bench.peers.compare A B`."""

import sys
from collections.abc import Iterator
from pathlib import Path

from bench.peers import results
from bench.peers.goals import GOALS
from bench.peers.results import NotMeasured, Results

# Whether more of it is better.
FIGURES = {
    "requests_per_s": True,
    "chunks_per_s": True,
    "cpu_us_per_request": False,
    "cpu_us_per_chunk": False,
    "latency_us.p50": False,
    "latency_us.p99": False,
    "first_us.p99": False,
    "gap_us.p99": False,
}


def changes(before: Results, after: Results) -> Iterator[tuple[str, str, str, float, float]]:
    """Workload, contestant, figure and its two medians, of all that both have."""
    for workload, contestants in after.rounds.items():
        for who in contestants:
            for figure in FIGURES:
                try:
                    pair = before.median(workload, who, figure), after.median(workload, who, figure)
                except NotMeasured:
                    continue
                if all(pair):
                    yield workload, who, figure, *pair


def ratios(before: Results, after: Results) -> Iterator[tuple[str, float, float]]:
    """The goals' ratios in both: what a machine that was busier once changes least."""
    for goal in GOALS:
        for kind, found in (("", goal.found), (" (by CPU time)", goal.by_cpu)):
            try:
                if found:
                    yield f"{goal.work}, against {goal.against}{kind}", found(before).middle, found(after).middle
            except NotMeasured:
                continue


def main(arguments: list[str]) -> int:
    """Print what changed."""
    if len(arguments) != 2:
        print("usage: make bench-compare A=FILE B=FILE", file=sys.stderr)
        return 2
    before, after = (results.read(Path(name)) for name in arguments)
    print(f"A: {before.when} {before.commit}, load {before.machine.load_before:.1f}")
    print(f"B: {after.when} {after.commit}, load {after.machine.load_before:.1f}\n")
    for name, was, now in ratios(before, after):
        print(f"{name:<75} {was:>10.3f} {now:>10.3f} {_change(was, now):>8}")
    print()
    for workload, who, figure, was, now in changes(before, after):
        better = (now > was) == FIGURES[figure]
        mark = "" if abs(now / was - 1) < 0.05 else "better" if better else "worse"
        print(f"{workload:<18} {who:<14} {figure:<20} {was:>12,.1f} {now:>12,.1f} {_change(was, now):>8} {mark}")
    return 0


def _change(was: float, now: float) -> str:
    return f"{now / was - 1:+.1%}" if was else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
