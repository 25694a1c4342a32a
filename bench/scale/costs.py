"""What transactions and rows cost, as measured by `make bench-costs` and kept in costs.json."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).with_suffix(".json")


class Parts(NamedTuple):
    """An amount that grows with a batch: for the call itself, for each row, and for each account in it."""

    fixed: float = 0.0
    row: float = 0.0
    owner: float = 0.0

    def of(self, rows: float, owners: float = 0.0) -> float:
        """For a batch of so many rows of so many accounts."""
        return self.fixed + self.row * rows + self.owner * owners


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A transaction: seconds of a processor in the service and in Postgres, and bytes of WAL."""

    service_s: Parts
    postgres_s: Parts
    wal_bytes: Parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Bytes on disk of one row, and of its entries in all indexes."""

    table: float
    indexes: float

    @property
    def total(self) -> float:
        """Both."""
        return self.table + self.indexes


class Part(NamedTuple):
    """A part of a transaction: one of WORKS, for so many rows of so many accounts."""

    kind: str
    rows: float
    owners: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """All that was measured, where and when."""

    date: str
    machine: str
    shapes: dict[str, str]
    """Of each table that was measured, what its columns and indexes were."""
    works: dict[str, Work]
    """By WORKS."""
    sizes: dict[str, Size]
    """By table, of one row."""
    commit_s: float
    """One commit that waits for the disk, the trip there and back included."""
    cold_wal_bytes: float
    """More WAL for an account's first charge after a checkpoint: whole pages."""
    valkey_call_s: float
    """A processor's time in Valkey for a call of the script of limits, without its requests."""
    valkey_request_s: float
    """For each request in it, with one limit."""

    def of(self, *parts: Part) -> tuple[float, float, float]:
        """Seconds in the service, seconds in Postgres and WAL bytes of a transaction of these parts.

        What it takes in itself is counted once, as of the first part.
        """
        sums = [0.0, 0.0, 0.0]
        for number, part in enumerate(parts):
            work = self.works[part.kind]
            for at, cost in enumerate((work.service_s, work.postgres_s, work.wal_bytes)):
                sums[at] += (0.0 if number else cost.fixed) + cost.row * part.rows + cost.owner * part.owners
        return sums[0], sums[1], sums[2]


WORKS = ("record", "report", "report_again", "finish", "relay", "settle", "acquire", "renew", "take_back", "close")
"""RecordUsage of new finals; of new open records; of open ones that are known; of finals of known open ones. One round
of the relay without its call; SettleCharges; AcquireLeases of new leases; RenewLeases that give nothing back, and that
give back; CloseLeases."""


def load(file: Path = FILE) -> Costs:
    """What was measured last."""
    found = json.loads(file.read_text())
    works = {name: Work(**{key: Parts(*parts) for key, parts in work.items()}) for name, work in found["works"].items()}
    sizes = {name: Size(**size) for name, size in found["sizes"].items()}
    return Costs(**{**found, "works": works, "sizes": sizes})


def save(costs: Costs, file: Path = FILE) -> None:
    """Keeps it, three digits of each number."""
    file.write_text(json.dumps(_rounded(asdict(costs)), indent=1) + "\n")


def _rounded(value: object) -> object:
    match value:
        case dict():
            return {key: _rounded(each) for key, each in value.items()}
        case list() | tuple():
            return [_rounded(each) for each in value]
        case float():
            return float(f"{value:.3g}")
        case _:
            return value
