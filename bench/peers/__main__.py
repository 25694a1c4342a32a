"""`make bench` and `make bench-full`: measure what can be measured here, print tables, keep the figures in a file."""

import argparse
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from bench import processes
from bench.peers import gateways, native, ours, report, results, starting, upstream, workloads
from bench.peers.contestants import Contestant
from bench.peers.installs import CannotInstall
from bench.peers.load import WrongAnswer
from bench.peers.measure import Bench
from bench.peers.native import CannotCompile
from bench.peers.ours import BooksDiffer
from bench.peers.results import Machine, Results

ROOT = Path(__file__).parents[2]
STREAMS_OPEN = {"quick": 300, "full": 1000}


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 where everything was right, whatever the figures are; 1 where an answer or a bill was wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--full", action="store_true", help="everything against everybody, longer; about half an hour")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these workloads")
    parser.add_argument(
        "--against", nargs="*", metavar="NAME", choices=list(gateways.PLANS), help="only these gateways"
    )
    parser.add_argument("--out", type=Path, help="where to keep the figures, instead of .local/bench/results")
    asked = parser.parse_args(arguments)
    if not sys.platform.startswith("linux") or not shutil.which("taskset"):
        print("The benchmark needs Linux, and taskset of util-linux.", file=sys.stderr)
        return 2
    # So that what was started is stopped then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    chosen = [work for work in workloads.chosen(full=asked.full) if not asked.only or work.name in asked.only]
    data = Path(os.environ.get("PRIVATEROUTER_HOME") or ROOT / ".local") / "bench"
    names = list(gateways.PLANS) if asked.against is None else asked.against
    size = "full" if asked.full else "quick"
    file = asked.out or data / "results" / f"{datetime.now(UTC):%Y-%m-%dT%H%M%S}-{size}.json"
    try:
        found = measure(chosen, names=names, data=data, size=size, file=file)
    except (BooksDiffer, CannotCompile, CannotInstall, WrongAnswer) as error:
        print(f"Stopped: {error}", file=sys.stderr)
        return 1
    print(report.table(found))
    print(f"\n{report.goals(found)}\n\n{report.books(found)}\nTook {found.took_s:.0f} s. The figures: {file}")
    return 0


def measure(chosen: list[workloads.Workload], *, names: list[str], data: Path, size: str, file: Path) -> Results:
    """Start everything, run it all, stop everything; the file is written anew after each workload."""
    begun_s = time.monotonic()
    data.mkdir(parents=True, exist_ok=True)
    programs = native.build(data)
    gateway_core, load_core = processes.cores()
    if gateway_core == load_core:
        print("There is one core only: the load takes from the gateways, and no figure means much.", file=sys.stderr)
    # All that is started from here on, but the gateways, stays off the gateways' core.
    os.sched_setaffinity(0, {load_core})
    with ExitStack() as entered:
        work = Path(entered.enter_context(tempfile.TemporaryDirectory(prefix="privaterouter-bench-")))
        fake = entered.enter_context(upstream.running(programs.upstream, core=load_core))
        peers, left_out = entered.enter_context(starting.started(names, fake, core=gateway_core, data=data, work=work))
        us = entered.enter_context(ours.running(fake, gateway_core=gateway_core, other_core=load_core))
        direct = Contestant(name=workloads.DIRECT, port=fake.port, model="bench")
        everybody = {one.name: one for one in (direct, us.contestant, *peers)}
        found = Results(
            size=size,
            when=datetime.now(UTC).isoformat(timespec="seconds"),
            commit=_commit(),
            machine=_machine(),
            versions={one.name: one.version for one in everybody.values() if one.version},
            left_out=left_out,
            titles={work.name: work.title for work in chosen},
        )
        for peer in peers:
            peer.pause()
        bench = Bench(
            program=programs.load, upstream=fake, contestants=everybody, ours=us, load_core=load_core, results=found
        )
        bench.memory(streams=STREAMS_OPEN[size])
        for workload in chosen:
            bench.run(workload)
            found.machine = _machine(before=found.machine.load_before)
            found.took_s = time.monotonic() - begun_s
            results.write(found, file)
    return found


def _machine(*, before: float | None = None) -> Machine:
    load = os.getloadavg()[0]
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 0,
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        system=f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        python=platform.python_version(),
        load_before=load if before is None else before,
        load_after=load,
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
