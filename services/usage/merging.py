"""What becomes of a report, given what is known of its request: pure rules, no database."""

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from privaterouter.usage.v1 import usage_pb2 as pb
from services.usage.records import Record

_RISING = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_nanos",
    "uncharged_nanos",
    "held_nanos",
    "latency_ms",
)
_TOLD = tuple(field.name for field in fields(Record) if field.compare)


class Verdict(NamedTuple):
    """An outcome of the contract, why it was refused, and what is to be stored, if anything."""

    outcome: pb.RecordOutcome.ValueType
    detail: str = ""
    store: Record | None = None


KNOWN = Verdict(pb.RECORD_OUTCOME_KNOWN)


def refused(detail: str) -> Verdict:
    """The report is not stored."""
    return Verdict(pb.RECORD_OUTCOME_REFUSED, detail)


def judge(known: Record | None, report: Record, *, now: datetime) -> Verdict:
    """What becomes of a report that makes sense by itself.

    An open report never touches a final, and a final never changes, but that the edge's own final
    replaces one that usage presumed, once.
    """
    if known is None:
        return _taken(_final(report, now) if report.status != "open" else report)
    if (report.account_id, report.api_key_id, report.worker_id) != (
        known.account_id, known.api_key_id, known.worker_id,
    ):  # fmt: skip
        return refused("the request is known of another account, key or worker")
    return _judge_open(known, report) if report.status == "open" else _judge_final(known, report, now)


def presume(known: Record, *, now: datetime) -> Record:
    """The final of an open record whose worker is lost: as last reported, and free if no token was."""
    ended = replace(known, status="interrupted", record_time=now, revision=1, presumed=True)
    if known.output_tokens:
        return ended
    return replace(ended, cost_nanos=0, uncharged_nanos=min(known.uncharged_nanos + known.cost_nanos, 2**63 - 1))


def counting(reports: Sequence[Record]) -> dict[UUID, Record]:
    """Of each request in a batch the report that counts: the latest final, else the latest."""
    chosen: dict[UUID, Record] = {}
    for report in reports:
        earlier = chosen.get(report.request_id)
        if earlier is None or report.status != "open" or earlier.status == "open":
            chosen[report.request_id] = report
    return chosen


def overtaken(report: Record, counted: Record) -> Verdict:
    """What becomes of a report when another one of its batch counts instead."""
    if report.status == "open" or report == counted:
        return KNOWN
    return refused("a later final of the same request is in the same batch")


def _judge_open(known: Record, report: Record) -> Verdict:
    if known.status != "open":
        return KNOWN
    merged = _advance(known, report)
    return KNOWN if merged == known else _taken(merged)


def _judge_final(known: Record, report: Record, now: datetime) -> Verdict:
    if known.status == "open":
        return _taken(_final(report, now))
    if known.presumed:
        return _taken(replace(report, record_time=known.record_time, revision=2))
    if report == known:
        return KNOWN
    differing = [name for name in _TOLD if getattr(report, name) != getattr(known, name)]
    return refused(f"the known final says something else: {', '.join(differing)}")


def _taken(record: Record) -> Verdict:
    return Verdict(pb.RECORD_OUTCOME_TAKEN, store=record)


def _final(report: Record, now: datetime) -> Record:
    return replace(report, record_time=now, revision=1)


def _advance(known: Record, report: Record) -> Record:
    """Reports may arrive in any order: the one later by the edge's count tells, and no number falls.

    Where two reports disagree on what of the prompt was cached, the prompt rises to hold both: it is their whole.
    """
    newer, older = (report, known) if report.latency_ms >= known.latency_ms else (known, report)
    highest = {name: max(getattr(known, name), getattr(report, name)) for name in _RISING}
    parts = highest["cached_input_tokens"] + highest["cache_write_input_tokens"]
    highest["input_tokens"] = max(highest["input_tokens"], parts)
    return replace(
        newer,
        **highest,
        attempts=older.attempts if len(older.attempts) > len(newer.attempts) else newer.attempts,
        price_version_id=newer.price_version_id or older.price_version_id,
        first_token_ms=older.first_token_ms if newer.first_token_ms is None else newer.first_token_ms,
    )
