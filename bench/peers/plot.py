"""A plot of a run: how many requests each gateway answers a second, each step of the scale ten times the last."""

import math
from xml.sax.saxutils import escape

from bench.peers.ours import NAME as OURS
from bench.peers.results import NotMeasured, Results
from bench.peers.workloads import DIRECT

WIDTH, LEFT, RIGHT = 760, 130, 190
ROW, TOP = 30, 64
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#57606a}.bar{fill:#8c959f}.ours{fill:#2f6feb}.grid{stroke:#8c959f;"
    "stroke-opacity:.35}.head{font-weight:600;font-size:15px}"
)


def bars(run: Results, *, workload: str = "chat") -> str:
    """An SVG without scripts or fonts of its own, readable on light and dark."""
    found: list[tuple[str, float, float]] = []
    for who in run.rounds.get(workload, {}):
        if who != DIRECT:
            try:
                cpu_us = run.median(workload, who, "cpu_us_per_request")
            except NotMeasured:
                continue
            found.append((who, run.median(workload, who, "requests_per_s"), cpu_us))
    found.sort(key=lambda one: -one[1])
    most = max((value for _, value, _ in found), default=10.0)
    last = max(2, math.ceil(math.log10(most)))
    height = TOP + ROW * len(found) + 30
    title = f"{run.titles.get(workload, workload)}: requests a second on one core"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"',
        f' aria-label="{escape(title)}">',
        f"<style>{STYLE}</style>",
        f'<text class="head" x="8" y="24">{escape(title)}</text>',
    ]
    for power in range(1, last + 1):
        x = _x(10.0**power, last)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 14}" y2="{height - 24}"/>')
        parts.append(f'<text x="{x:.1f}" y="{height - 8}" text-anchor="middle">{10**power:,}</text>')
    for number, (who, value, cpu_us) in enumerate(found):
        y = TOP + ROW * number
        end = _x(value, last)
        parts.append(f'<text x="{LEFT - 10}" y="{y + 13}" text-anchor="end">{escape(who)}</text>')
        kind = "ours" if who == OURS else "bar"
        parts.append(f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{end - LEFT:.1f}" height="18" rx="2"/>')
        parts.append(f'<text x="{end + 8:.1f}" y="{y + 13}">{value:,.0f} ({cpu_us:,.0f} µs each)</text>')
    return "\n".join([*parts, "</svg>", ""])


def _x(value: float, last: int) -> float:
    """Where a value is, from 1 at the left."""
    return LEFT + (WIDTH - LEFT - RIGHT) * max(0.0, math.log10(max(value, 1.0))) / last
