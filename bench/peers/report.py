"""A run as tables and as a plot: `python -m bench.peers.report FILE` writes them into docs/performance.md."""

import statistics
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.peers import plot, results
from bench.peers.goals import GOALS, Found, Goal
from bench.peers.ours import NAME as OURS
from bench.peers.results import NotMeasured, Results
from bench.peers.workloads import EVERYBODY

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "images" / "performance.svg"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"

# Heading, figure, how it is written; what a row has none of stays empty.
COLUMNS = (
    ("Requests/s", "requests_per_s", ",.0f"),
    ("Events/s", "chunks_per_s", ",.0f"),
    ("CPU of the gateway, µs a request", "cpu_us_per_request", ",.1f"),
    ("µs an event", "cpu_us_per_chunk", ",.2f"),
    ("Beside it, µs a request", "helpers_us_per_request", ",.1f"),
    ("Its core", "core_share", ".0%"),
    ("Answer p50, ms", "latency_us.p50", ",.2f"),
    ("p99, ms", "latency_us.p99", ",.2f"),
    ("First token p50, ms", "first_us.p50", ",.2f"),
    ("p99, ms", "first_us.p99", ",.2f"),
    ("Gap p50, ms", "gap_us.p50", ",.2f"),
    ("p99, ms", "gap_us.p99", ",.2f"),
    ("Memory, MB", "rss", ",.0f"),
)
OF_STREAMS = {"chunks_per_s", "cpu_us_per_chunk", "first_us.p50", "first_us.p99", "gap_us.p50", "gap_us.p99"}


def table(run: Results) -> str:
    """All figures: of each workload a table, medians with the least and the most of the rounds."""
    parts = []
    for workload, contestants in run.rounds.items():
        streams = any(one.gap_us for rounds in contestants.values() for one in rounds)
        columns = [column for column in COLUMNS if streams or column[1] not in OF_STREAMS]
        rows = [
            [who, *(_cell(run, workload, who, column) for column in columns)] for who in EVERYBODY if who in contestants
        ]
        rows += [[who, f"failed: {why[:160]}"] for who, why in run.failures.get(workload, {}).items()]
        parts.append(f"**{run.titles[workload]}**\n\n{_markdown(['', *(name for name, _, _ in columns)], rows)}")
    return "\n\n".join(parts)


def _cell(run: Results, workload: str, who: str, column: tuple[str, str, str]) -> str:
    _, figure, form = column
    scale = 1e3 if figure.partition(".")[0] in {"latency_us", "first_us", "gap_us"} else 1e6 if figure == "rss" else 1
    try:
        values = [value / scale for value in run.values(workload, who, figure)]
    except NotMeasured:
        return ""
    middle = run.median(workload, who, figure) / scale
    if not middle:
        return ""
    if figure not in {"requests_per_s", "chunks_per_s"}:
        return f"{middle:{form}}"
    return f"{middle:{form}} ({min(values):{form}} to {max(values):{form}})"


def goals(run: Results) -> str:
    """What is to be reached, and what was."""
    rows = []
    for goal in GOALS:
        try:
            found = goal.found(run)
        except NotMeasured:
            continue
        rows.append(
            [goal.work, goal.against, _wanted(goal), _shown(goal, found), _by_cpu(goal, run), _verdict(goal, found)]
        )
    return _markdown(["Work", "Against", "Goal", "Found (least to most)", "By CPU time", ""], rows)


def _wanted(goal: Goal) -> str:
    return f"{'≥' if goal.at_least else '≤'} {_number(goal.wanted)} {goal.unit}"


def _shown(goal: Goal, found: Found) -> str:
    spread = f" ({_number(found.low)} to {_number(found.high)})" if found.low != found.high else ""
    return f"{_number(found.middle)} {goal.unit}{spread}"


def _by_cpu(goal: Goal, run: Results) -> str:
    try:
        return _number(goal.by_cpu(run).middle) if goal.by_cpu else ""
    except NotMeasured:
        return ""


def _verdict(goal: Goal, found: Found) -> str:
    return "reached" if goal.is_met(found) else "**not reached**"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def books(run: Results) -> str:
    """That the bill was right, and how soon."""
    settled = [one.settled_s for work in run.rounds.values() for one in work.get(OURS, []) if one.settled_s is not None]
    if not settled:
        return "We took no part, and there was no bill to compare."
    return (
        f"Our ledger equalled the upstream's tally after each of {len(settled)} rounds, "
        f"{statistics.median(settled):.2f} s after the last answer (at most {max(settled):.2f} s)."
    )


def section(run: Results) -> str:
    """What stands between the marks of the page."""
    machine = run.machine
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    left_out = "".join(f"\n\n{name} took no part: {why}" for name, why in run.left_out.items())
    command = "make bench-full" if run.size == "full" else "make bench"
    measured = (
        f"Measured on {run.when[:10]} at {run.commit} by `{command}` in {run.took_s / 60:.0f} minutes, on "
        f"{machine.processor} with {machine.cores} cores and {machine.memory_gb:.0f} GB, {machine.system}, Python "
        f"{machine.python}. The load average was {machine.load_before:.1f} before and {machine.load_after:.1f} after. "
        f"Versions: {versions}."
    )
    return f"""{BEGIN}

{textwrap.fill(measured, 118, break_on_hyphens=False)}{left_out}

![Requests a second, and CPU time for each, of every gateway](images/performance.svg)

{goals(run)}

{books(run)}

{table(run)}

{END}"""


def main(arguments: list[str]) -> int:
    """Write the page and the picture anew."""
    if len(arguments) != 1:
        print("usage: python -m bench.peers.report FILE", file=sys.stderr)
        return 2
    run = results.read(Path(arguments[0]))
    before, begin, rest = PAGE.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        print(f"{PAGE} has lost its marks {BEGIN} and {END}.", file=sys.stderr)
        return 1
    PAGE.write_text(f"{before}{section(run)}{after}")
    PICTURE.write_text(plot.bars(run))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
