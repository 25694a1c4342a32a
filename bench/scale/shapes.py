"""The tables whose rows were measured, and what they look like, so that it shows when they have changed since."""

from typing import Final
from zlib import crc32

from sqlalchemy import Table

from services.billing import tables as billing
from services.usage import tables as usage

TABLES: Final[tuple[Table, ...]] = (
    usage.usage_records,
    usage.usage_daily,
    usage.model_daily,
    usage.outbox,
    billing.ledger_transactions,
    billing.ledger_entries,
    billing.leases,
    billing.accounts,
    billing.key_months,
)
SIZED: Final = (
    usage.usage_records,
    usage.outbox,
    billing.ledger_transactions,
    billing.ledger_entries,
    billing.leases,
)
"""Those that get a row for what happens; of the others, rows are rewritten."""


def shapes() -> dict[str, str]:
    """Of each table its columns and indexes, in a few words and a checksum."""
    return {str(table): _shape(table) for table in TABLES}


def _shape(table: Table) -> str:
    columns = [(column.name, str(column.type)) for column in table.columns]
    indexes = sorted(
        (
            str(index.name),
            [str(each) for each in index.expressions],
            str(index.dialect_kwargs.get("postgresql_include")),
        )
        for index in table.indexes
    )
    return f"{len(columns)} columns, {len(indexes)} indexes, {crc32(repr((columns, indexes)).encode()):08x}"
