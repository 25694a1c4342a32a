"""How large tables, partitions and messages become: rows as measured, messages as the contract encodes them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from uuid import UUID

from bench.scale.costs import Costs, Parts
from bench.scale.model import MONTH_S, Load
from edge.money.records import Record, Status
from privaterouter.billing.v1 import billing_pb2

GB = 1e9
RECORDS = 10**9
TITLES = {
    "record": "RecordUsage, new finals",
    "report": "first reports",
    "report_again": "further reports",
    "finish": "finals after reports",
    "relay": "a round of the relay in usage",
    "settle": "SettleCharges",
    "acquire": "AcquireLeases, new leases",
    "renew": "RenewLeases",
    "take_back": "RenewLeases that give back",
    "close": "CloseLeases",
}
ENTRIES = 2
"""Of a charge in the ledger: the customer's and revenue's (services/billing/ledger.py)."""


@dataclass(frozen=True, slots=True)
class Messages:
    """Bytes on the wire, without gRPC's frames."""

    record: int
    charge: int
    wish: int
    renewal: int


def messages() -> Messages:
    """Of typical ones."""
    numbers = count(2**120)

    def some_id() -> str:
        return str(UUID(int=next(numbers)))

    record = Record(
        request_id=some_id(),
        account_id=some_id(),
        api_key_id=some_id(),
        start_time_ns=1_780_000_000_123_456_789,
        model_public_name="privaterouter/fast",
        endpoint="chat.completions",
        price_version_id=some_id(),
        input_nanos_per_mtok=100_000_000,
        cached_input_nanos_per_mtok=50_000_000,
        cache_write_input_nanos_per_mtok=100_000_000,
        output_nanos_per_mtok=300_000_000,
        upstream_name="default",
        upstream_model="gemma4:latest",
        status=Status.SUCCESS,
        input_tokens=400,
        output_tokens=120,
        cost_nanos=500_000,
        held_nanos=5_000_000,
        streamed=True,
        latency_ms=1_900,
        first_token_ms=80,
        http_status=200,
        finish_reason="stop",
        worker_id=some_id(),
        lease_id=some_id(),
    )
    charge = billing_pb2.Charge(
        request_id=some_id(),
        revision=1,
        account_id=some_id(),
        api_key_id=some_id(),
        lease_id=some_id(),
        amount_nanos=500_000,
        model_public_name="privaterouter/fast",
        price_version_id=some_id(),
    )
    charge.record_time.seconds, charge.record_time.nanos = 1_780_000_000, 123_456_000
    wish = billing_pb2.LeaseWish(
        lease_id=some_id(),
        account_id=some_id(),
        api_key_id=some_id(),
        known_granted_nanos=10_000_000,
        wanted_nanos=10_000_000,
        needed_nanos=5_000_000,
        least_nanos=5_000_000,
    )
    renewal = billing_pb2.LeaseRenewal(lease_id=some_id(), returned_nanos=10_000_000)
    return Messages(len(record.to_bytes()), charge.ByteSize(), wish.ByteSize(), renewal.ByteSize())


def sizes(costs: Costs, loads: Mapping[int, Load]) -> Iterator[str]:
    """What was measured, and what it makes of a month."""
    yield from works(costs)
    yield ""
    yield "| bytes of a row | table | indexes |"
    yield "| --- | ---: | ---: |"
    for name, size in costs.sizes.items():
        yield f"| `{name}` | {size.table:,.0f} | {size.indexes:,.0f} |"
    yield ""
    yield from months(costs, loads)
    yield ""
    sent, partition, ledger = messages(), *stored(costs)
    yield (
        f"{RECORDS:,} charged requests: {RECORDS * partition / GB:,.0f} GB in usage and {RECORDS * ledger / GB:,.0f} GB"
        f" in billing's ledger. On the wire: {sent.record} bytes for a record, {sent.charge} for a charge, {sent.wish}"
        f" for a wish, {sent.renewal} for a renewal."
    )


def works(costs: Costs) -> Iterator[str]:
    """What transactions cost: for the call, for each row (n), for each account (a)."""
    yield "| transaction | ms in the service | ms in Postgres | bytes of WAL |"
    yield "| --- | ---: | ---: | ---: |"
    for name, work in costs.works.items():
        amounts = (
            *(Parts(*(part * 1_000 for part in each)) for each in (work.service_s, work.postgres_s)),
            work.wal_bytes,
        )
        yield f"| {TITLES[name]} | {' | '.join(map(_terms, amounts))} |"


def _terms(parts: Parts) -> str:
    terms = (
        f"{part:,.0f}{unit}" if part >= 100 else f"{part:.3g}{unit}"
        for part, unit in zip(parts, ("", " n", " a"), strict=True)
        if part
    )
    return " + ".join(terms)


def stored(costs: Costs) -> tuple[float, float]:
    """Bytes that a charged request leaves for good, indexes included: in usage's partition, and in the ledger."""
    found = costs.sizes
    entries = ENTRIES * found["billing.ledger_entries"].total
    return found["usage.usage_records"].total, found["billing.ledger_transactions"].total + entries


def months(costs: Costs, loads: Mapping[int, Load]) -> Iterator[str]:
    """What a month at a steady rate leaves."""
    partition, ledger = stored(costs)
    lease = costs.sizes["billing.leases"].total
    yield "| requests a second, all month | records | their partition | ledger + | leases + | until 10⁹ records |"
    yield "| ---: | ---: | ---: | ---: | ---: | ---: |"
    for rate, load in loads.items():
        records = rate * MONTH_S
        sizes = (records * partition, records * ledger, load.begun * MONTH_S * lease)
        cells = " | ".join(f"{size / GB:,.0f} GB" for size in sizes)
        yield f"| {rate:,} | {records / 1e6:,.1f} million | {cells} | {RECORDS / rate / 86_400:,.1f} days |"
