"""Taking records, and what follows from new finals: roll-ups and charges, in the same transaction."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from kit.database import Connection
from kit.errors import Unavailable
from privaterouter.usage.v1 import usage_pb2 as pb
from services.usage import store, store_daily, store_outbox, store_workers
from services.usage.merging import Verdict, counting, judge, overtaken, presume, refused
from services.usage.records import NonsenseError, Record, parse
from services.usage.store_daily import DayKey, ModelDayKey, Sums
from services.usage.store_outbox import Charge

MOST_RECORDS = 5_000
"""In one call or transaction, as the contract says."""


class Report(NamedTuple):
    """What was sent, as a record, or why it makes no sense."""

    record: Record | None
    nonsense: str = ""


class Taken(NamedTuple):
    """A verdict for each report, in order, and whether there are new charges."""

    verdicts: list[Verdict]
    charged: bool


def read(messages: Iterable[pb.UsageRecord], worker_id: UUID) -> list[Report]:
    """The reports of a call, each by itself; needs no database."""
    reports = []
    for message in messages:
        try:
            reports.append(Report(parse(message, worker_id)))
        except NonsenseError as error:
            reports.append(Report(None, str(error)))
    return reports


async def take(
    connection: Connection,
    reports: Sequence[Report],
    *,
    worker_id: UUID,
    alive: bool,
    journal_rows: int,
    now: datetime,
) -> Taken:
    """Stores what is new of a worker's reports; `journal_rows` more wait in its journal.

    Unavailable when another call, in the name of another worker, is storing one of these requests.
    """
    # A number that makes no sense must not hold up the records.
    await store_workers.note(connection, worker_id, now, alive=alive, journal_rows=max(journal_rows, 0))
    counted = counting([report.record for report in reports if report.record])
    known = await store.known_records(connection, counted) if counted else {}
    judged = {request_id: judge(known.get(request_id), record, now=now) for request_id, record in counted.items()}
    charged = await _store(connection, [verdict.store for verdict in judged.values() if verdict.store], known, now)
    return Taken([_verdict(report, counted, judged) for report in reports], charged)


async def end_open_records(connection: Connection, worker_id: UUID, *, now: datetime) -> int:
    """Ends open records of a lost worker as last reported; how many, at most MOST_RECORDS."""
    known = await store.open_records(connection, worker_id, limit=MOST_RECORDS)
    await _store(
        connection, [presume(record, now=now) for record in known], {record.request_id: record for record in known}, now
    )
    return len(known)


def _verdict(report: Report, counted: Mapping[UUID, Record], judged: Mapping[UUID, Verdict]) -> Verdict:
    record = report.record
    if record is None:
        return refused(report.nonsense)
    if counted[record.request_id] is not record:
        return overtaken(record, counted[record.request_id])
    return judged[record.request_id]


async def _store(
    connection: Connection, records: Collection[Record], known: Mapping[UUID, Record], now: datetime
) -> bool:
    """Writes records over what is known of them; whether this made charges."""
    if not records:
        return False
    if await store.write(connection, list(records)) != len(records):
        raise Unavailable("another call is storing the same requests")
    finals = [record for record in records if record.status != "open"]
    replaced = [known[record.request_id] for record in finals if record.revision > 1]
    charges = _charges(finals, {record.request_id: record.cost_nanos for record in replaced}, now)
    if charges:
        await store_outbox.add(connection, charges)
    # Last, because calls of all workers meet at the roll-ups of a busy account.
    if finals:
        await store_daily.add(connection, *_sums(finals))
    if replaced:
        await store_daily.subtract(connection, *_sums(replaced))
    return bool(charges)


def _charges(finals: Iterable[Record], charged_before: Mapping[UUID, int], now: datetime) -> list[Charge]:
    charges = []
    for record in finals:
        amount_nanos = record.cost_nanos - charged_before.get(record.request_id, 0)
        if amount_nanos:
            charges.append(
                Charge(
                    request_id=record.request_id,
                    revision=record.revision,
                    worker_id=record.worker_id,
                    account_id=record.account_id,
                    api_key_id=record.api_key_id,
                    lease_id=record.lease_id,
                    amount_nanos=amount_nanos,
                    model_public_name=record.model_public_name,
                    price_version_id=record.price_version_id,
                    record_time=record.record_time or now,
                    create_time=now,
                )
            )
    return charges


def _sums(finals: Iterable[Record]) -> tuple[dict[DayKey, Sums], dict[ModelDayKey, Sums]]:
    """What these records come to for each account, and for each model that answered."""
    sums: dict[DayKey, Sums] = defaultdict(Sums)
    models: dict[ModelDayKey, Sums] = defaultdict(Sums)
    for record in finals:
        day = record.start_time.astimezone(UTC).date()
        served = record.served_model_public_name or record.model_public_name
        for part in (
            sums[DayKey(record.account_id, day, record.model_public_name, record.api_key_id)],
            models[ModelDayKey(day, served, record.status != "error", record.worker_id)],
        ):
            part.requests += 1
            part.errors += record.status != "success"
            part.input_tokens += record.input_tokens
            part.cached_input_tokens += record.cached_input_tokens
            part.cache_write_input_tokens += record.cache_write_input_tokens
            part.output_tokens += record.output_tokens
            part.reasoning_tokens += record.reasoning_tokens
            part.cost_nanos += record.cost_nanos
    return sums, models
