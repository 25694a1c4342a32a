"""What operators should see of lending and settling: metrics, and log lines for what must not go unnoticed."""

from collections import Counter as Tally
from collections.abc import Sequence

from prometheus_client import Counter

from kit.logs import get_logger
from services.billing.charges import Charge, Outcome, Settlement
from services.billing.leases import Grant

_grants = Counter("billing_lease_wishes", "Wishes for credit, by what became of them.", ["outcome"])
_charges = Counter("billing_charges", "Charges to book, by what became of them.", ["outcome"])
_absorbed = Counter("billing_absorbed_nanos", "Nano-dollars of charges that no account could pay.")

_REFUSED = (Outcome.UNKNOWN_ACCOUNT, Outcome.CONFLICT, Outcome.INVALID)

log = get_logger()


def count_grants(grants: Sequence[Grant]) -> None:
    """Counts the answers to wishes."""
    for outcome, number in Tally(grant.outcome for grant in grants).items():
        _grants.labels(outcome.name.lower()).inc(number)


def count_charges(batch: Sequence[Charge | None], settlement: Settlement) -> None:
    """Counts what became of a committed batch; what was refused or absorbed is logged as well."""
    for outcome, number in Tally(settlement.outcomes).items():
        _charges.labels(outcome.name.lower()).inc(number)
    for charge, outcome in zip(batch, settlement.outcomes, strict=True):
        if outcome in _REFUSED:
            log.error(
                "charge_refused",
                outcome=outcome.name.lower(),
                request_id=str(charge.request_id) if charge else "",
                amount_nanos=charge.amount_nanos if charge else None,
            )
    if settlement.absorbed_nanos:
        _absorbed.inc(settlement.absorbed_nanos)
        log.error("charges_absorbed", absorbed_nanos=settlement.absorbed_nanos)
