"""Commands that check the money: the ledger in itself, and usage against billing. They change nothing."""

import asyncio
import re
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from cli import connect, findings
from cli.connect import Clients
from cli.findings import Finding
from cli.output import print_json
from kit.clock import utc_now
from kit.timestamps import from_proto, to_proto
from privaterouter.billing.v1 import billing_pb2
from privaterouter.usage.v1 import usage_pb2

MISMATCH, CANNOT_CHECK = 1, 3
"""Exit status, beside 0 for clean and 2 for wrong usage."""

PAGE = 5_000
COMPARED = 1_000
"""Records of a page: usage goes on with its other work between pages."""
TIMEOUT_S = 90.0
LOOK_AGAIN_S = 5.0
PROGRESS_S = 2.0

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_LEDGER_CHECKS = {
    billing_pb2.LEDGER_CHECK_ENTRIES: "R1",
    billing_pb2.LEDGER_CHECK_POSTED: "R2",
    billing_pb2.LEDGER_CHECK_LEASED: "R3",
}
_PARTS = {
    billing_pb2.LEDGER_PART_TRANSACTIONS: ("R1",),
    billing_pb2.LEDGER_PART_ACCOUNTS: ("R2", "R3"),
    billing_pb2.LEDGER_PART_API_KEYS: ("R2", "R3"),
    billing_pb2.LEDGER_PART_LEASES: ("R3",),
}
_LEASE_CHECKS = {
    usage_pb2.RECONCILIATION_CHECK_OVERDUE_LEASES: "R5",
    usage_pb2.RECONCILIATION_CHECK_IDLE: "R6",
}

AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of columns.")]


def verify(*, as_json: AsJson = False) -> None:
    """Recompute every balance from the ledger's entries and the leases.

    Exit status: 0 all right, 1 something is wrong, 2 wrong usage, 3 it could not be checked.

    For example:
        privaterouter ledger verify
        privaterouter ledger verify --json | jq '.checks[] | {check, mismatches}'
    """
    found = connect.run(lambda clients: _ledger(clients, None), status=CANNOT_CHECK)
    _tell(found, from_time=None, as_json=as_json)


def reconcile(
    since: Annotated[
        str, typer.Option(help="Check what is newer than this: 30m, 24h, 7d, or a time such as 2026-05-15T06:00Z.")
    ] = "24h",
    *,
    everything: Annotated[bool, typer.Option("--all", help="Check everything, however old.")] = False,
    idle: Annotated[
        bool, typer.Option("--idle", help="Nothing runs: count all that is open, waiting or leased as wrong.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check the ledger in itself, and that every usage record is charged what it costs: R1 to R6.

    What is younger than a minute or still on its way is not compared: a backlog is no mismatch.
    Exit status: 0 all right, 1 something is wrong, 2 wrong usage, 3 it could not be checked.

    For example:
        privaterouter reconcile
        privaterouter reconcile --since 7d
        privaterouter reconcile --all --json
    """
    from_time = None if everything else beginning(since, utc_now())

    async def command(clients: Clients) -> tuple[list[Finding], usage_pb2.ReconcileLeasesResponse]:
        books = await _ledger(clients, from_time)
        charges = await _charges(clients, from_time)
        leases, answer = await _leases(clients, assume_idle=idle)
        return [*books, charges, *leases], answer

    found, answer = connect.run(command, status=CANNOT_CHECK)
    _tell(found, from_time=from_time, as_json=as_json, backlog=answer)


def beginning(since: str, now: datetime) -> datetime:
    """The moment that an option names, as a span before now or a time (UTC where it says no zone)."""
    if span := re.fullmatch(r"(\d{1,5})([mhd])", since):
        return now - int(span[1]) * _UNITS[span[2]]
    try:
        moment = datetime.fromisoformat(since)
    except ValueError as error:
        raise typer.BadParameter(f"{since!r} is neither 30m, 24h, 7d nor a time", param_hint="--since") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def _ledger(clients: Clients, from_time: datetime | None) -> list[Finding]:
    """R1 to R3."""
    found = {check: Finding(check) for check in _LEDGER_CHECKS.values()}
    progress = _Progress("ledger")
    for part, checks in _PARTS.items():
        request = billing_pb2.VerifyLedgerRequest(
            part=part, from_time=to_proto(from_time) if from_time else None, limit=PAGE
        )
        while True:
            answer = await clients.billing.VerifyLedger(request, timeout=TIMEOUT_S)
            for check in checks:
                found[check].looked_at += answer.checked
            for mismatch in answer.mismatches:
                found[_LEDGER_CHECKS[mismatch.check]].add([mismatch])
            progress.add(answer.checked)
            request.page_token = answer.next_page_token
            if not request.page_token:
                break
    return list(found.values())


async def _charges(clients: Clients, from_time: datetime | None) -> Finding:
    """R4."""
    found = Finding("R4")
    progress = _Progress("usage and billing")
    request = usage_pb2.ReconcileChargesRequest(from_time=to_proto(from_time) if from_time else None, limit=COMPARED)
    while True:
        answer = await clients.usage.ReconcileCharges(request, timeout=TIMEOUT_S)
        found.looked_at += answer.records
        found.add(answer.mismatches)
        progress.add(answer.records)
        request.page_token = answer.next_page_token
        request.to_time.CopyFrom(answer.to_time)
        if not request.page_token:
            return found


async def _leases(clients: Clients, *, assume_idle: bool) -> tuple[list[Finding], usage_pb2.ReconcileLeasesResponse]:
    """R5 and R6; what a first look finds may be about to be released, so that only what a second one finds counts."""
    request = usage_pb2.ReconcileLeasesRequest(assume_idle=assume_idle)
    answer = await clients.usage.ReconcileLeases(request, timeout=TIMEOUT_S)
    before = {(mismatch.check, mismatch.subject) for mismatch in answer.mismatches}
    if before:
        await asyncio.sleep(LOOK_AGAIN_S)
        answer = await clients.usage.ReconcileLeases(request, timeout=TIMEOUT_S)
    found = {number: Finding(check, looked_at=answer.leases) for number, check in _LEASE_CHECKS.items()}
    found[usage_pb2.RECONCILIATION_CHECK_IDLE].skipped = not answer.idle
    for mismatch in answer.mismatches:
        if (mismatch.check, mismatch.subject) in before:
            found[mismatch.check].add([mismatch])
    return list(found.values()), answer


def _tell(
    found: list[Finding],
    *,
    from_time: datetime | None,
    as_json: bool,
    backlog: usage_pb2.ReconcileLeasesResponse | None = None,
) -> None:
    """Prints it, and ends with the exit status that it means."""
    clean = not any(finding.mismatches for finding in found)
    if as_json:
        document: dict[str, object] = {"clean": clean, "from_time": from_time.isoformat() if from_time else None}
        if backlog:
            document["backlog"] = _backlog(backlog)
        print_json({**document, "checks": findings.as_json(found)})
    else:
        print(findings.as_table(found))
        if backlog and (backlog.waiting_charges or backlog.parked_charges):
            print(
                f"\n{backlog.waiting_charges} charges wait for billing, {backlog.parked_charges} were refused by it; "
                "neither is compared."
            )
    if not clean:
        raise SystemExit(MISMATCH)


def _backlog(answer: usage_pb2.ReconcileLeasesResponse) -> dict[str, object]:
    waits = answer.HasField("oldest_waiting_time")
    return {
        "open_records": answer.open_records,
        "waiting_charges": answer.waiting_charges,
        "parked_charges": answer.parked_charges,
        "oldest_waiting_time": from_proto(answer.oldest_waiting_time).isoformat() if waits else None,
    }


class _Progress:
    """Says on standard error how far a long check is, every two seconds."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._done = 0
        self._told_s = time.monotonic()

    def add(self, number: int) -> None:
        """So many more were looked at."""
        self._done += number
        if time.monotonic() - self._told_s >= PROGRESS_S:
            self._told_s = time.monotonic()
            print(f"{self._what}: {self._done:,} looked at ...", file=sys.stderr, flush=True)
