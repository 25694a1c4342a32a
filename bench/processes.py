"""What processes use, and on which core they run, read from and told to Linux."""

import os
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Use:
    """Of some processes together: seconds of a core since they began, memory in bytes (proportional, and all)."""

    cpu_s: float
    pss: int
    rss: int


def tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit() and (fields := _stat(int(directory.name))):
            children.setdefault(int(fields[1]), []).append(int(directory.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def cpu_s(pids: Collection[int]) -> float:
    """Seconds of a core that they have used, ended children that they waited for included."""
    return sum(sum(map(int, fields[11:15])) for pid in pids if (fields := _stat(pid))) / _TICKS


def cpu_ns(pid: int) -> int:
    """Nanoseconds of a core that the threads which a process has now have used: more exact than `cpu_s`."""
    used = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError):
            used += int(path.read_text().split()[0])
    return used


def use(pids: Collection[int]) -> Use:
    """All of it; dearer to read than the time alone."""
    pss = rss = 0
    for pid in pids:
        try:
            memory = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        pss += 1024 * int(memory.partition("\nPss:")[2].split()[0])
        rss += 1024 * int(memory.partition("\nRss:")[2].split()[0])
    return Use(cpu_s=cpu_s(pids), pss=pss, rss=rss)


def pin(pids: Collection[int], core: int) -> None:
    """Keep all their threads on one core; what they start later inherits it."""
    for pid in pids:
        try:
            threads = [int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir()]
        except OSError:
            continue
        for thread in threads:
            try:
                os.sched_setaffinity(thread, {core})
            except ProcessLookupError:
                continue


def command_of(pid: int) -> str:
    """Its command line; empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def cores() -> tuple[int, int]:
    """One core for the gateway and another for everything else; the same one twice where there is no other."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


def _stat(pid: int) -> list[str] | None:
    """From the state on: parent is 1, user time 11, system time 12, and those of ended children 13 and 14."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
