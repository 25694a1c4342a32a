"""Adds up what became of corrections, and prints it; what it remembers grows with accounts, not with requests."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import nlargest

from cli.output import table
from kit.money import format_usd
from privaterouter.billing.v1 import billing_pb2 as pb


@dataclass(slots=True)
class Touched:
    """An account that was corrected: in how many requests, and by how much in all (negative: taken)."""

    requests: int = 0
    amount_nanos: int = 0


@dataclass
class Tally:
    """Sums over the results so far. `charged` is before, `should_cost` after, if nothing were refused."""

    requests: int = 0
    charged_nanos: int = 0
    should_cost_nanos: int = 0
    given_nanos: int = 0
    taken_nanos: int = 0
    refused_nanos: int = 0
    outcomes: Counter[pb.CorrectionOutcome.ValueType] = field(default_factory=Counter)
    accounts: dict[str, Touched] = field(default_factory=dict)

    def add(self, result: pb.CorrectionResult, *, should_cost_nanos: int) -> None:
        """Counts one more request; one whose charge is not booked has no amounts yet."""
        self.requests += 1
        self.outcomes[result.outcome] += 1
        if result.outcome in (pb.CORRECTION_OUTCOME_PENDING, pb.CORRECTION_OUTCOME_INVALID):
            return
        self.charged_nanos += result.cost_nanos
        self.should_cost_nanos += should_cost_nanos
        if result.outcome == pb.CORRECTION_OUTCOME_INSUFFICIENT_FUNDS:
            self.refused_nanos -= result.amount_nanos
        if result.outcome == pb.CORRECTION_OUTCOME_BOOKED:
            self.given_nanos += max(0, result.amount_nanos)
            self.taken_nanos += max(0, -result.amount_nanos)
            account = self.accounts.setdefault(result.account_id, Touched())
            account.requests += 1
            account.amount_nanos += result.amount_nanos

    def changes_of(self, account_ids: Iterable[str]) -> list[pb.AccountChangeNanos]:
        """What was changed so far in those of these accounts that were touched."""
        return [
            pb.AccountChangeNanos(account_id=account_id, amount_nanos=self.accounts[account_id].amount_nanos)
            for account_id in sorted(set(account_ids) & self.accounts.keys())
        ]

    def most_changed(self, count: int) -> list[str]:
        """The accounts that were changed by the highest amounts, either way."""
        return nlargest(count, self.accounts, key=lambda account_id: abs(self.accounts[account_id].amount_nanos))


def report(tally: Tally, *, names: Mapping[str, str], dry_run: bool) -> str:
    """Tables of the sums, of what became of the requests, and of the accounts in `names` (by id, in their order)."""
    sums = {
        "requests": f"{tally.requests:,}",
        "charged": dollars(tally.charged_nanos),
        "would be": dollars(tally.should_cost_nanos),
        "difference": dollars(tally.should_cost_nanos - tally.charged_nanos),
        "accounts touched": f"{len(tally.accounts):,}",
    }
    parts = [table([sums], columns=list(sums)), *_outcomes(tally, dry_run=dry_run)]
    if names:
        rows = [
            {
                "account": name,
                "requests": f"{tally.accounts[account_id].requests:,}",
                "added" if not dry_run else "would be added": dollars(tally.accounts[account_id].amount_nanos),
            }
            for account_id, name in names.items()
        ]
        parts.append(table(rows, columns=list(rows[0])))
    if dry_run:
        parts.append("Nothing was booked.")
    return "\n\n".join(parts)


def _outcomes(tally: Tally, *, dry_run: bool) -> list[str]:
    """One table of what became of the requests, but for outcomes that no request had."""
    moved = f"{dollars(tally.given_nanos)} given back, {dollars(tally.taken_nanos)} taken"
    refused = f"{dollars(tally.refused_nanos)} not taken: it is not available"
    texts = {
        pb.CORRECTION_OUTCOME_BOOKED: ("to correct" if dry_run else "corrected", moved),
        pb.CORRECTION_OUTCOME_UNCHANGED: ("right already", ""),
        pb.CORRECTION_OUTCOME_INSUFFICIENT_FUNDS: ("refused", refused),
        pb.CORRECTION_OUTCOME_PENDING: ("not booked yet", "run it again later"),
        pb.CORRECTION_OUTCOME_INVALID: ("invalid", "their amounts make no sense"),
    }
    rows = [
        {"outcome": name, "requests": f"{tally.outcomes[outcome]:,}", "amounts": amounts}
        for outcome, (name, amounts) in texts.items()
        if tally.outcomes[outcome]
    ]
    return [table(rows, columns=list(rows[0]))] if rows else []


def dollars(nanos: int) -> str:
    """An amount with its sign before the dollar: -$0.25."""
    return f"{'-' if nanos < 0 else ''}${format_usd(abs(nanos))}"
