"""The audit of the books: R1 to R3, recomputed page by page from entries and leases.

R1: the entries of a transaction sum to 0. R2: what is posted to an account is the sum of its entries, and what a key
was charged in a month the sum of its charges. R3: what is leased, of both, is what remains of their leases.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum, StrEnum, auto
from uuid import UUID

from kit.database import Connection
from kit.errors import InvalidArgument
from kit.ids import parse_uuid
from services.billing import store_audit
from services.billing.store_audit import Entries, KeyBalance

FIRST = UUID(int=0)

Months = Counter[date]
"""Nano-dollars by month."""


class Part(Enum):
    """What is walked through."""

    TRANSACTIONS = auto()
    ACCOUNTS = auto()
    API_KEYS = auto()
    LEASES = auto()


class Check(StrEnum):
    """The rules, by the names that operators know."""

    ENTRIES = "R1"
    POSTED = "R2"
    LEASED = "R3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """Something that is not as it must be; `subject` is `account/<id>` and the like."""

    check: Check
    subject: str
    expected_nanos: int
    actual_nanos: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """A page: how many things were looked at, what is wrong, and where to go on; an empty token after the last."""

    checked: int
    mismatches: list[Mismatch]
    next_token: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What accounts' entries were found to sum to, up to a transaction each; the ledger only grows, so it stays so."""

    known: dict[UUID, tuple[UUID, int]]
    known_keys: dict[UUID, tuple[UUID, Months]] = field(default_factory=dict)
    """The same of the charges of keys, by month."""
    settled_id: UUID
    """No transaction with a lower id can come any more."""


async def audit(
    connection: Connection, part: Part, *, since: UUID | None, token: str, limit: int, sums: Sums | None = None
) -> Audited:
    """One page of a part; `since` None: of all of it, else of what ids from this one on have touched.

    `sums` is read and added to. InvalidArgument for a token that is not of this part.
    """
    await store_audit.allow_time(connection)
    match part:
        case Part.TRANSACTIONS:
            return await _transactions(connection, max(_after(token), since or FIRST), limit=limit)
        case Part.ACCOUNTS:
            return await _accounts(connection, _after(token), since=since, limit=limit, sums=sums)
        case Part.API_KEYS:
            return await _api_keys(connection, token, since=since, limit=limit, sums=sums)
        case Part.LEASES:
            return await _leases(connection, max(_after(token), since or FIRST), limit=limit)


async def _transactions(connection: Connection, after: UUID, *, limit: int) -> Audited:
    ids = await store_audit.transaction_ids(connection, after, limit=limit)
    wrong = await store_audit.wrong_entries(connection, ids)
    mismatches = [
        Mismatch(
            check=Check.ENTRIES,
            subject=f"transaction/{found.transaction_id}",
            expected_nanos=0 if found.sum_nanos else found.amount_nanos,
            actual_nanos=found.sum_nanos or found.customer_nanos,
            detail=_entries_in_words(found),
        )
        for found in wrong
    ]
    return Audited(checked=len(ids), mismatches=mismatches, next_token=_next(ids, limit))


def _entries_in_words(found: Entries) -> str:
    if not found.entries:
        return "the transaction has no entries"
    if found.sum_nanos:
        return "the entries of the transaction do not sum to 0"
    if found.astray:
        return "an entry is in another account than the transaction"
    return "the entries do not give the account what the transaction says"


async def _accounts(
    connection: Connection, after: UUID, *, since: UUID | None, limit: int, sums: Sums | None
) -> Audited:
    ids = await store_audit.account_ids(connection, after, since=since, limit=limit)
    known: Mapping[UUID, tuple[UUID, int]] = sums.known if sums else {}
    settled_id = sums.settled_id if sums else FIRST
    balances = await store_audit.balances(connection, ids, known=known, settled_id=settled_id)
    doubtful = [row.account_id for row in balances if row.account_id in known and row.posted_nanos != row.entries_nanos]
    if doubtful:  # what was known may be what is wrong
        balances = [row for row in balances if row.account_id not in doubtful]
        balances += await store_audit.balances(connection, doubtful, known={}, settled_id=settled_id)
    mismatches = []
    for found in balances:
        subject = f"account/{found.account_id}"
        if found.posted_nanos != found.entries_nanos:
            mismatches.append(
                Mismatch(
                    check=Check.POSTED,
                    subject=subject,
                    expected_nanos=found.entries_nanos,
                    actual_nanos=found.posted_nanos,
                    detail="what is posted is not the sum of the account's entries",
                )
            )
        elif sums:
            sums.known[found.account_id] = (sums.settled_id, found.settled_nanos)
        if found.leased_nanos != found.remainders_nanos:
            mismatches.append(_leased(subject, expected=found.remainders_nanos, actual=found.leased_nanos))
    return Audited(checked=len(ids), mismatches=mismatches, next_token=_next(ids, limit))


async def _api_keys(
    connection: Connection, token: str, *, since: UUID | None, limit: int, sums: Sums | None
) -> Audited:
    months = await store_audit.key_months(connection, _after_month(token), since=since, limit=limit)
    balances = await store_audit.key_balances(connection, months)
    charged = await _charged(connection, balances, sums)
    mismatches = []
    for found in balances:
        subject = f"api_key/{found.api_key_id}/{found.month:%Y-%m}"
        charged_nanos = charged[found.api_key_id][found.month]
        if found.charged_nanos != charged_nanos:
            mismatches.append(
                Mismatch(
                    check=Check.POSTED,
                    subject=subject,
                    expected_nanos=charged_nanos,
                    actual_nanos=found.charged_nanos,
                    detail="what the key was charged in this month is not the sum of its charges",
                )
            )
        if found.leased_nanos != found.remainders_nanos:
            mismatches.append(_leased(subject, expected=found.remainders_nanos, actual=found.leased_nanos))
    next_token = f"{months[-1][0]}/{months[-1][1]}" if len(months) == limit else ""
    return Audited(checked=len(months), mismatches=mismatches, next_token=next_token)


async def _charged(connection: Connection, balances: list[KeyBalance], sums: Sums | None) -> dict[UUID, Months]:
    """What these keys were charged, as their charges say."""
    keys = {row.api_key_id for row in balances}
    known = sums.known_keys if sums else {}
    settled_id = sums.settled_id if sums else FIRST
    charged, settled = await _sum_charges(connection, keys, known=known, settled_id=settled_id)
    if doubtful := _not_charged_so(balances, charged) & known.keys():  # what was known may be what is wrong
        again, settled_again = await _sum_charges(connection, doubtful, known={}, settled_id=settled_id)
        charged, settled = charged | again, settled | settled_again
    if sums:
        right = keys - _not_charged_so(balances, charged)
        sums.known_keys.update({api_key_id: (settled_id, settled[api_key_id]) for api_key_id in right})
    return charged


async def _sum_charges(
    connection: Connection, keys: Collection[UUID], *, known: Mapping[UUID, tuple[UUID, Months]], settled_id: UUID
) -> tuple[dict[UUID, Months], dict[UUID, Months]]:
    """What each of the keys was charged, in all and up to a transaction; `known` spares reading old charges."""
    nothing: tuple[UUID, Months] = (FIRST, Counter())
    charged = {api_key_id: known.get(api_key_id, nothing)[1].copy() for api_key_id in keys}
    settled = {api_key_id: months.copy() for api_key_id, months in charged.items()}
    known_ids = {api_key_id: known.get(api_key_id, nothing)[0] for api_key_id in keys}
    for row in await store_audit.key_charges(connection, known_ids, settled_id=settled_id):
        charged[row.api_key_id][row.month] += row.nanos
        settled[row.api_key_id][row.month] += row.settled_nanos
    return charged, settled


def _not_charged_so(balances: list[KeyBalance], charged: Mapping[UUID, Months]) -> set[UUID]:
    return {row.api_key_id for row in balances if row.charged_nanos != charged[row.api_key_id][row.month]}


async def _leases(connection: Connection, after: UUID, *, limit: int) -> Audited:
    ids = await store_audit.lease_ids(connection, after, limit=limit)
    mismatches = [
        Mismatch(
            check=Check.LEASED,
            subject=f"lease/{lease_id}",
            expected_nanos=0,
            actual_nanos=nanos,
            detail="the lease is released, but something of it remains",
        )
        for lease_id, nanos in await store_audit.released_remainders(connection, ids)
    ]
    return Audited(checked=len(ids), mismatches=mismatches, next_token=_next(ids, limit))


def _leased(subject: str, *, expected: int, actual: int) -> Mismatch:
    detail = "what is leased is not what remains of its leases"
    return Mismatch(check=Check.LEASED, subject=subject, expected_nanos=expected, actual_nanos=actual, detail=detail)


def _after(token: str) -> UUID:
    return parse_uuid(token, "page_token") if token else FIRST


def _after_month(token: str) -> tuple[UUID, date]:
    if not token:
        return FIRST, date.min
    api_key_id, _, month = token.partition("/")
    try:
        return _after(api_key_id), date.fromisoformat(month)
    except ValueError as error:
        raise InvalidArgument("page_token is none of this part", field="page_token") from error


def _next(ids: list[UUID], limit: int) -> str:
    return str(ids[-1]) if len(ids) == limit else ""
