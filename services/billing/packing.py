"""From the contract's messages to plain values, checked, and back."""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from kit.audit_log import AuditEvent
from kit.errors import InvalidArgument
from kit.ids import lowest_id, parse_uuid
from kit.money import MAX_NANOS
from kit.timestamps import from_proto, to_proto
from privaterouter.audit.v1 import audit_pb2
from privaterouter.billing.v1 import billing_pb2 as pb
from services.billing import charges, corrections, lease_lifecycle, leases
from services.billing.books import Account
from services.billing.ledger import Filter, RequestTransaction, Transaction, TransactionKind
from services.billing.terms import MOST_ADJUSTED_NANOS

MOST_DESCRIPTION_CHARS = 200
_EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)

_KINDS = {
    TransactionKind.CHARGE: pb.TRANSACTION_KIND_CHARGE,
    TransactionKind.TOP_UP: pb.TRANSACTION_KIND_TOP_UP,
    TransactionKind.PLAN_CREDIT: pb.TRANSACTION_KIND_PLAN_CREDIT,
    TransactionKind.ADJUSTMENT: pb.TRANSACTION_KIND_ADJUSTMENT,
}
_KINDS_BACK = {number: kind for kind, number in _KINDS.items()}
_LEASE_OUTCOMES = {
    leases.Outcome.GRANTED: pb.LEASE_OUTCOME_GRANTED,
    leases.Outcome.INSUFFICIENT_CREDITS: pb.LEASE_OUTCOME_INSUFFICIENT_CREDITS,
    leases.Outcome.KEY_LIMIT_REACHED: pb.LEASE_OUTCOME_KEY_LIMIT_REACHED,
    leases.Outcome.CREDITS_IN_USE: pb.LEASE_OUTCOME_CREDITS_IN_USE,
    leases.Outcome.ACCOUNT_NOT_FOUND: pb.LEASE_OUTCOME_ACCOUNT_NOT_FOUND,
    leases.Outcome.LEASE_GONE: pb.LEASE_OUTCOME_LEASE_GONE,
}
_CHARGE_OUTCOMES = {
    charges.Outcome.BOOKED: pb.CHARGE_OUTCOME_BOOKED,
    charges.Outcome.KNOWN: pb.CHARGE_OUTCOME_KNOWN,
    charges.Outcome.UNKNOWN_ACCOUNT: pb.CHARGE_OUTCOME_UNKNOWN_ACCOUNT,
    charges.Outcome.CONFLICT: pb.CHARGE_OUTCOME_CONFLICT,
    charges.Outcome.INVALID: pb.CHARGE_OUTCOME_INVALID,
}
_CORRECTION_OUTCOMES = {
    corrections.Outcome.BOOKED: pb.CORRECTION_OUTCOME_BOOKED,
    corrections.Outcome.UNCHANGED: pb.CORRECTION_OUTCOME_UNCHANGED,
    corrections.Outcome.PENDING: pb.CORRECTION_OUTCOME_PENDING,
    corrections.Outcome.INSUFFICIENT_FUNDS: pb.CORRECTION_OUTCOME_INSUFFICIENT_FUNDS,
    corrections.Outcome.INVALID: pb.CORRECTION_OUTCOME_INVALID,
}


def at_most(items: Collection[object], most: int, *, field: str, least: int = 0) -> None:
    """InvalidArgument where a request has too many items, or too few."""
    if not least <= len(items) <= most:
        raise InvalidArgument(f"{field} takes {least} to {most} items", field=field)


def text(value: str, *, field: str, most: int, least: int = 0) -> str:
    """A text of so many characters that a database can keep."""
    if not least <= len(value) <= most or "\0" in value:
        raise InvalidArgument(f"{field} takes {least} to {most} characters", field=field)
    return value


def uuids(texts: Iterable[str], field: str) -> list[UUID]:
    """Ids; InvalidArgument where one is none."""
    return [parse_uuid(value, field) for value in texts]


def optional_uuid(value: str, field: str) -> UUID | None:
    """An id, or None for the empty text."""
    return parse_uuid(value, field) if value else None


def account(row: Account) -> pb.Account:
    """The account as callers see it."""
    return pb.Account(
        account_id=str(row.account_id),
        plan_id=row.plan_id,
        posted_nanos=row.posted_nanos,
        leased_nanos=row.leased_nanos,
        create_time=to_proto(row.create_time),
    )


def transaction(row: Transaction) -> pb.Transaction:
    """The transaction as its account sees it."""
    return pb.Transaction(
        id=str(row.id),
        kind=_KINDS[row.kind],
        amount_nanos=row.amount_nanos,
        description=row.description,
        request_id=str(row.request_id or ""),
        api_key_id=str(row.api_key_id or ""),
        actor_id=str(row.actor_id or ""),
        create_time=to_proto(row.create_time),
    )


def request_transaction(row: RequestTransaction) -> pb.RequestTransaction:
    """A charge or correction as its account sees it."""
    return pb.RequestTransaction(
        transaction=transaction(row.transaction),
        revision=row.transaction.revision or 0,
        lease_id=str(row.transaction.lease_id or ""),
        price_version_id=row.transaction.price_version_id or "",
        absorbed_nanos=row.absorbed_nanos,
    )


def transaction_filter(request: pb.ListTransactionsRequest) -> Filter:
    """Which of an account's transactions to list."""
    return Filter(
        account_id=parse_uuid(request.account_id, "account_id"),
        kinds=kinds(request.kinds),
        from_time=_moment(request.from_time, "from_time") if request.HasField("from_time") else None,
        to_time=_moment(request.to_time, "to_time") if request.HasField("to_time") else None,
        before_id=optional_uuid(request.before_transaction_id, "before_transaction_id"),
    )


def span(request: pb.SumCreditsRequest) -> tuple[UUID, UUID]:
    """The first id of a time span, and the first after it."""
    for field in ("from_time", "to_time"):
        if not request.HasField(field):
            raise InvalidArgument(f"{field} is needed", field=field)
    return lowest_id(_moment(request.from_time, "from_time")), lowest_id(_moment(request.to_time, "to_time"))


def _moment(timestamp: Timestamp, field: str) -> datetime:
    try:
        return max(from_proto(timestamp), _EARLIEST)
    except OverflowError as error:
        raise InvalidArgument(f"{field} is out of range", field=field) from error


def audit_event(event: AuditEvent) -> audit_pb2.AuditEvent:
    """The event as callers see it."""
    return audit_pb2.AuditEvent(
        id=str(event.id),
        create_time=to_proto(event.create_time),
        actor_id=str(event.actor_id or ""),
        action=event.action,
        subject_kind=event.subject_kind,
        subject_id=event.subject_id,
        reason=event.reason,
        details={field: audit_pb2.AuditChange(old=one.old, new=one.new) for field, one in event.details.items()},
    )


def kinds(numbers: Collection[pb.TransactionKind.ValueType]) -> frozenset[TransactionKind]:
    """The kinds of transactions to list; none given means all."""
    try:
        return frozenset(_KINDS_BACK[number] for number in numbers) or frozenset(TransactionKind)
    except KeyError:
        raise InvalidArgument("there is no such kind of transaction", field="kinds") from None


def wishes(messages: Collection[pb.LeaseWish]) -> list[leases.Wish]:
    """Wishes for credit, at most one for each lease."""
    at_most(messages, 1_000, least=1, field="wishes")
    unpacked = [_wish(message) for message in messages]
    if len({wish.lease_id for wish in unpacked}) < len(unpacked):
        raise InvalidArgument("there are two wishes for one lease", field="wishes")
    return unpacked


def _wish(message: pb.LeaseWish) -> leases.Wish:
    limit = message.key_monthly_limit_nanos if message.HasField("key_monthly_limit_nanos") else None
    known, wanted, least = message.known_granted_nanos, message.wanted_nanos, message.least_nanos
    if not 0 <= least <= wanted <= MAX_NANOS - known or known < 0 or message.needed_nanos < 0 or (limit or 0) < 0:
        raise InvalidArgument("0 <= least <= wanted, and nothing is negative", field="wishes")
    return leases.Wish(
        lease_id=parse_uuid(message.lease_id, "lease_id"),
        account_id=parse_uuid(message.account_id, "account_id"),
        api_key_id=parse_uuid(message.api_key_id, "api_key_id"),
        known_granted_nanos=known,
        wanted_nanos=wanted,
        needed_nanos=min(max(message.needed_nanos, least), wanted),
        least_nanos=least,
        monthly_limit_nanos=limit,
    )


def grant(lease_id: UUID, row: leases.Grant) -> pb.LeaseGrant:
    """The answer to a wish."""
    return pb.LeaseGrant(
        lease_id=str(lease_id),
        outcome=_LEASE_OUTCOMES[row.outcome],
        granted_nanos=row.granted_nanos,
        returned_nanos=row.returned_nanos,
        posted_nanos=row.posted_nanos,
        recall=row.recall,
    )


def totals(lease_ids: Iterable[UUID], amounts: Iterable[int], *, field: str) -> dict[UUID, int]:
    """Totals of leases by id; of two for one lease, the greater is the newer."""
    found: dict[UUID, int] = {}
    for lease_id, nanos in zip(lease_ids, amounts, strict=True):
        if nanos < 0:
            raise InvalidArgument(f"{field} is never negative", field=field)
        found[lease_id] = max(nanos, found.get(lease_id, 0))
    return found


def lease_state(row: lease_lifecycle.State) -> pb.LeaseState:
    """How a lease stands."""
    return pb.LeaseState(
        lease_id=str(row.lease_id),
        gone=row.gone,
        granted_nanos=row.granted_nanos,
        returned_nanos=row.returned_nanos,
        recall=row.recall,
        month_over=row.month_over,
    )


def charge(message: pb.Charge, now: datetime) -> charges.Charge | None:
    """A charge, or None where its amount or an id makes no sense: it must not hold up the others."""
    amount = message.amount_nanos
    sensible = amount > 0 if message.revision == 1 else message.revision == 2 and amount != 0
    if not sensible or abs(amount) > MOST_ADJUSTED_NANOS:
        return None
    try:
        return charges.Charge(
            request_id=parse_uuid(message.request_id, "request_id"),
            revision=message.revision,
            account_id=parse_uuid(message.account_id, "account_id"),
            api_key_id=parse_uuid(message.api_key_id, "api_key_id"),
            lease_id=optional_uuid(message.lease_id, "lease_id"),
            amount_nanos=amount,
            description=_clean(message.model_public_name),
            price_version_id=_clean(message.price_version_id),
            record_time=from_proto(message.record_time) if message.HasField("record_time") else now,
        )
    except (InvalidArgument, OverflowError):
        return None


def charge_result(outcome: charges.Outcome) -> pb.ChargeResult:
    """What became of a charge."""
    return pb.ChargeResult(outcome=_CHARGE_OUTCOMES[outcome])


def corrections_of(messages: Collection[pb.ChargeCorrection]) -> list[corrections.Correction | None]:
    """Corrections, each of another request; None where an amount or the id makes no sense."""
    at_most(messages, 1_000, field="corrections")
    unpacked = [_correction(message) for message in messages]
    request_ids = [correction.request_id for correction in unpacked if correction]
    if len(set(request_ids)) < len(request_ids):
        raise InvalidArgument("there are two corrections of one request", field="corrections")
    return unpacked


def _correction(message: pb.ChargeCorrection) -> corrections.Correction | None:
    charged, should_cost = message.charged_nanos, message.should_cost_nanos
    if not (0 < charged <= MOST_ADJUSTED_NANOS and 0 <= should_cost <= MOST_ADJUSTED_NANOS):
        return None
    try:
        request_id = parse_uuid(message.request_id, "request_id")
    except InvalidArgument:
        return None
    return corrections.Correction(request_id=request_id, charged_nanos=charged, should_cost_nanos=should_cost)


def correction_result(row: corrections.Result) -> pb.CorrectionResult:
    """What became of a correction."""
    return pb.CorrectionResult(
        outcome=_CORRECTION_OUTCOMES[row.outcome],
        account_id=str(row.account_id or ""),
        cost_nanos=row.cost_nanos,
        amount_nanos=row.amount_nanos,
    )


def changes(messages: Collection[pb.AccountChangeNanos]) -> dict[UUID, int]:
    """What a dry run has changed in accounts so far."""
    at_most(messages, 1_000, field="dry_run_changes")
    return {parse_uuid(message.account_id, "account_id"): message.amount_nanos for message in messages}


def _clean(value: str) -> str:
    """A text from elsewhere, made such that it cannot be the reason to refuse money."""
    return value.replace("\0", "")[:MOST_DESCRIPTION_CHARS]
