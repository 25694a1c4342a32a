"""Idempotency keys of inference requests: which request has one, and what becomes of a call that repeats it.

A key belongs to the first request that claims it, for a day. How that request stands is told by its record:

    none, and the claim is younger than UNHEARD    it runs: an edge reports what it forwards within seconds
    none, and the claim is older                   it never ran, its edge is lost: the key is free
    open                                           it runs
    final                                          it has ended; where it came to nothing, the key is free
"""

import asyncio
from datetime import datetime, timedelta
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from kit.clock import Clock, utc_now
from kit.database import Connection, Database
from kit.errors import InvalidArgument, Unavailable
from kit.ids import parse_uuid
from kit.logs import get_logger
from kit.secrets import BrokenSeal, Sealer
from privaterouter.usage.v1 import usage_pb2 as pb
from services.usage import store, store_idempotency
from services.usage.records import Record
from services.usage.store_idempotency import Claim

LASTS = timedelta(hours=24)
"""A key, and the answer that is kept for it; later it may be used anew."""
UNHEARD = timedelta(minutes=10)
LONGEST_KEY = 255
MOST_ANSWER_BYTES = 1 << 20
_DIGEST_BYTES = 32
_PURGED_AT_ONCE = 1_000
_PURGE_EVERY_S = 60.0
_TRIES = 3

log = get_logger()


class Told(NamedTuple):
    """What became of a claim; ENDED: the record of the earlier request, and its answer, empty where none was kept."""

    outcome: pb.ClaimOutcome.ValueType
    record: Record | None = None
    answer: bytes = b""


def read_claim(request: pb.ClaimIdempotencyKeyRequest, now: datetime) -> Claim:
    """The claim of a request; InvalidArgument."""
    if len(request.body_digest) != _DIGEST_BYTES:
        raise InvalidArgument(f"body_digest has not {_DIGEST_BYTES} bytes", field="body_digest")
    return Claim(
        api_key_id=parse_uuid(request.api_key_id, "api_key_id"),
        key_digest=digest(request.idempotency_key),
        account_id=parse_uuid(request.account_id, "account_id"),
        body_digest=request.body_digest,
        request_id=parse_uuid(request.request_id, "request_id"),
        create_time=now,
    )


def digest(idempotency_key: str) -> bytes:
    """What is stored of a key; InvalidArgument where it is empty or too long."""
    if not 1 <= len(idempotency_key) <= LONGEST_KEY:
        raise InvalidArgument(f"idempotency_key has not 1 to {LONGEST_KEY} characters", field="idempotency_key")
    return sha256(idempotency_key.encode()).digest()


async def claim(connection: Connection, wanted: Claim, answers: "Answers") -> Told:
    """Claims the key for a request, or tells of the one that has it. Of two at the same time, one waits here.

    Unavailable where others keep claiming it and giving it back at this very moment.
    """
    for _ in range(_TRIES):
        if await store_idempotency.insert(connection, wanted):
            return Told(pb.CLAIM_OUTCOME_CLAIMED)
        known = await store_idempotency.locked(connection, wanted.api_key_id, wanted.key_digest)
        if known is not None:
            return await _judge(connection, known, wanted, answers)
    raise Unavailable("this idempotency key is claimed and given back too fast")


async def _judge(connection: Connection, known: Claim, wanted: Claim, answers: "Answers") -> Told:
    same_body = known.body_digest == wanted.body_digest
    if known.create_time > wanted.create_time - LASTS:
        if not same_body:
            return Told(pb.CLAIM_OUTCOME_OTHER_BODY)
        if known.request_id == wanted.request_id:
            return Told(pb.CLAIM_OUTCOME_CLAIMED)
        records = await store.known_records(connection, [known.request_id])
        record = records.get(known.request_id)
        if record is None and known.create_time > wanted.create_time - UNHEARD:
            return Told(pb.CLAIM_OUTCOME_RUNNING)
        if record is not None and record.status == "open":
            return Told(pb.CLAIM_OUTCOME_RUNNING)
        if record is not None and not _came_to_nothing(record):
            return Told(pb.CLAIM_OUTCOME_ENDED, record, answers.open(known))
    await store_idempotency.replace(connection, wanted)
    return Told(pb.CLAIM_OUTCOME_CLAIMED)


def _came_to_nothing(record: Record) -> bool:
    """Whether the caller got no answer for it and will never pay for it.

    What usage presumed of a lost edge may yet be replaced by what that edge knows, and then cost something.
    """
    return record.status != "success" and record.cost_nanos == 0 and not record.presumed


class Answers:
    """Answers at rest: sealed, each bound to its key and request."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def seal(self, answer: bytes, api_key_id: UUID, *, key_digest: bytes, request_id: UUID) -> bytes:
        """The answer as it is stored; InvalidArgument where it is empty or too long."""
        if not 1 <= len(answer) <= MOST_ANSWER_BYTES:
            raise InvalidArgument(f"answer has not 1 to {MOST_ANSWER_BYTES} bytes", field="answer")
        return self._sealer.seal(answer, api_key_id.bytes + key_digest + request_id.bytes)

    def open(self, claim: Claim) -> bytes:
        """The answer of a claim; empty where none is kept, or the application's secret has changed since."""
        if claim.sealed_answer is None:
            return b""
        bound_to = claim.api_key_id.bytes + claim.key_digest + claim.request_id.bytes
        try:
            return self._sealer.open(claim.sealed_answer, bound_to)
        except BrokenSeal:
            log.warning("kept_answer_not_readable", request_id=str(claim.request_id))
            return b""


async def purge(database: Database, *, now: Clock = utc_now) -> None:
    """Deletes what has expired, now and every minute, a batch at a time."""
    while True:
        try:
            deleted = _PURGED_AT_ONCE
            while deleted == _PURGED_AT_ONCE:
                async with database.transaction() as connection:
                    deleted = await store_idempotency.delete_before(connection, now() - LASTS, limit=_PURGED_AT_ONCE)
        except Unavailable as error:
            log.warning("idempotency_keys_not_purged", error=error.message)
        await asyncio.sleep(_PURGE_EVERY_S)
