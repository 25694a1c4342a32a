"""What the checks of the books have found, as a table for people and as JSON for programs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cli.output import table

MOST_KEPT = 1_000
"""Of each check; the others are counted."""

MOST_SHOWN = 20
"""To people, of each check."""

RULES = {
    "R1": "the entries of each transaction sum to 0",
    "R2": "what is posted or charged is the sum of its entries",
    "R3": "what is leased is what remains of the leases",
    "R4": "every record is charged what it costs, and no other",
    "R5": "no lease is left 60 s after it could be released",
    "R6": "where nothing goes on, nothing is left or waiting",
}


class Mismatch(Protocol):
    """What both services tell of something wrong, apart from the check."""

    subject: str
    expected_nanos: int
    actual_nanos: int
    detail: str


@dataclass(slots=True)
class Finding:
    """One check: how much was looked at, how much is wrong, and the first of that."""

    check: str
    looked_at: int = 0
    mismatches: int = 0
    kept: list[Mismatch] = field(default_factory=list)
    skipped: bool = False

    def add(self, found: Iterable[Mismatch]) -> None:
        """Takes in mismatches."""
        for mismatch in found:
            self.mismatches += 1
            if len(self.kept) < MOST_KEPT:
                self.kept.append(mismatch)

    def result(self) -> str:
        """In a word."""
        if self.skipped:
            return "not idle"
        return f"{self.mismatches} wrong" if self.mismatches else "ok"


def as_table(findings: Sequence[Finding]) -> str:
    """A line for each check, and below them what is wrong."""
    rows = [
        {
            "check": finding.check,
            "rule": RULES[finding.check],
            "looked at": str(finding.looked_at),
            "result": finding.result(),
        }
        for finding in findings
    ]
    parts = [table(rows, columns=("check", "rule", "looked at", "result"))]
    wrong = [_row(finding.check, mismatch) for finding in findings for mismatch in finding.kept[:MOST_SHOWN]]
    if wrong:
        parts.append(table(wrong, columns=("check", "subject", "expected_nanos", "actual_nanos", "detail")))
    hidden = sum(max(0, finding.mismatches - MOST_SHOWN) for finding in findings)
    if hidden:
        parts.append(f"... and {hidden} more: --json tells up to {MOST_KEPT} of each check.")
    return "\n\n".join(parts)


def as_json(findings: Sequence[Finding]) -> list[Mapping[str, object]]:
    """One object for each check; amounts are integers of nano-dollars."""
    return [
        {
            "check": finding.check,
            "rule": RULES[finding.check],
            "looked_at": finding.looked_at,
            "skipped": finding.skipped,
            "mismatches": finding.mismatches,
            "items": [
                {
                    "subject": mismatch.subject,
                    "expected_nanos": mismatch.expected_nanos,
                    "actual_nanos": mismatch.actual_nanos,
                    "detail": mismatch.detail,
                }
                for mismatch in finding.kept
            ],
        }
        for finding in findings
    ]


def _row(check: str, mismatch: Mismatch) -> Mapping[str, str]:
    return {
        "check": check,
        "subject": mismatch.subject,
        "expected_nanos": str(mismatch.expected_nanos),
        "actual_nanos": str(mismatch.actual_nanos),
        "detail": mismatch.detail,
    }
