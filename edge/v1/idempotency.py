"""`Idempotency-Key` on inference: a request runs once; who repeats it gets its kept answer, else a receipt.

    key = read_key(headers)
    if key is not None:
        claim = await idempotency.claim(key, ...)          before the hold
        if isinstance(claim, Replay): answer with it
        ...
        await idempotency.release(claim)                   nothing was charged, so a repeated call may run
        await idempotency.keep_answer(claim, body)         it succeeded, before its last byte goes out

Usage has the keys. Only requests that carry the header ask it.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec

from edge.errors import EdgeError, from_remote, unavailable
from edge.lookup.callers import Caller
from edge.v1.headers import Headers, find, invalid
from kit.errors import RemoteError
from kit.logs import get_logger
from kit.money import format_usd
from kit.timestamps import from_proto
from privaterouter.usage.v1 import usage_pb2 as pb
from privaterouter.usage.v1.usage_pb2_grpc import UsageServiceStub

HEADER = b"idempotency-key"
CLAIM_TIMEOUT_S = 2.0
END_TIMEOUT_S = 1.0
MOST_ANSWER_BYTES = 1 << 20
"""Longer answers are not kept; a repeated call gets the receipt."""
MOST_OWED = 1_000
LOOKS_S: Final = (0.1, 0.2, 0.4)
"""When it is asked again after a request that still runs: usage knows of one that has just ended within 200 ms."""
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_REPLAYED: Final = {"x-privaterouter-replayed": "true"}

log = get_logger()
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Claim:
    """A key that a request has for itself."""

    key: str
    caller: Caller
    request_id: str


@dataclass(frozen=True, slots=True)
class Replay:
    """What a repeated call is answered with: status 200, this JSON, these headers beside the usual ones."""

    body: bytes
    headers: dict[str, str]


def read_key(headers: Headers) -> str | None:
    """The key, None where the header is not there. EdgeError `invalid_parameter`."""
    key = find(headers, HEADER)
    if key is not None and not _KEY.fullmatch(key):
        raise invalid(HEADER, "has 1 to 255 characters, printable ASCII without spaces. Send a UUID, for instance.")
    return key


class Idempotency:
    """Claims keys, and says what became of them."""

    def __init__(self, usage: UsageServiceStub, *, retry_s: float = 1.0, looks_s: Sequence[float] = LOOKS_S) -> None:
        self._usage = usage
        self._looks_s = looks_s
        self._retry_s = retry_s
        self._owed: dict[str, Claim] = {}
        """By request id: what usage could not be told to release."""
        self._retrying: asyncio.Task[None] | None = None

    async def claim(self, key: str, caller: Caller, *, path: str, body: bytes, request_id: str) -> Claim | Replay:
        """Claims a key for a request that is about to run, or gives what became of an earlier one.

        EdgeError `idempotency_key_in_use` while that one runs, `idempotency_key_reused` where it had another body or
        path, `service_unavailable` where usage can't be asked.
        """
        request = pb.ClaimIdempotencyKeyRequest(
            account_id=caller.account_id,
            api_key_id=caller.api_key_id,
            idempotency_key=key,
            body_digest=_digest(path, body),
            request_id=request_id,
        )
        try:
            answer = await self._usage.ClaimIdempotencyKey(request, timeout=CLAIM_TIMEOUT_S)
            for pause_s in self._looks_s:
                if answer.outcome != pb.CLAIM_OUTCOME_RUNNING:
                    break
                await asyncio.sleep(pause_s)
                answer = await self._usage.ClaimIdempotencyKey(request, timeout=CLAIM_TIMEOUT_S)
        except RemoteError as error:
            log.warning("idempotency_key_not_claimed", request_id=request_id, error=str(error))
            # It may have been claimed all the same, and would then be in nobody's use for minutes.
            self._release_later(Claim(key, caller, request_id))
            raise from_remote(error) from error
        if answer.outcome == pb.CLAIM_OUTCOME_CLAIMED:
            return Claim(key, caller, request_id)
        if answer.outcome == pb.CLAIM_OUTCOME_ENDED:
            return Replay(answer.answer or receipt(answer.record), _REPLAYED)
        if answer.outcome == pb.CLAIM_OUTCOME_RUNNING:
            raise EdgeError(
                "idempotency_key_in_use",
                "The first request with this Idempotency-Key still runs. Try again in a moment: you pay once.",
                headers={"retry-after": "1"},
            )
        if answer.outcome == pb.CLAIM_OUTCOME_OTHER_BODY:
            raise EdgeError(
                "idempotency_key_reused",
                "This Idempotency-Key came before with another body or path. Use a new key for a new request.",
            )
        raise unavailable()

    async def release(self, claim: Claim) -> None:
        """Gives a key back whose request cost nothing. Never fails: where usage can't be told now, it is told later."""
        try:
            await self._release(claim)
        except RemoteError as error:
            log.warning("idempotency_key_not_released", request_id=claim.request_id, error=str(error))
            self._release_later(claim)

    async def keep_answer(self, claim: Claim, answer: bytes) -> None:
        """Keeps a whole answer for repeated calls, where the API key wants that. Never fails: there is the receipt."""
        if not claim.caller.keeps_answers or not 0 < len(answer) <= MOST_ANSWER_BYTES:
            return
        request = pb.KeepAnswerRequest(
            api_key_id=claim.caller.api_key_id,
            idempotency_key=claim.key,
            request_id=claim.request_id,
            answer=answer,
        )
        try:
            await self._usage.KeepAnswer(request, timeout=END_TIMEOUT_S)
        except RemoteError as error:
            log.warning("answer_not_kept", request_id=claim.request_id, error=str(error))

    async def close(self) -> None:
        """Ends telling usage; it frees what is left by itself, after minutes."""
        if self._retrying:
            self._retrying.cancel()
            await asyncio.gather(self._retrying, return_exceptions=True)

    async def _release(self, claim: Claim) -> None:
        request = pb.ReleaseIdempotencyKeyRequest(
            api_key_id=claim.caller.api_key_id, idempotency_key=claim.key, request_id=claim.request_id
        )
        await self._usage.ReleaseIdempotencyKey(request, timeout=END_TIMEOUT_S)

    def _release_later(self, claim: Claim) -> None:
        if len(self._owed) < MOST_OWED:
            self._owed[claim.request_id] = claim
        if self._retrying is None:
            self._retrying = asyncio.create_task(self._retry())

    async def _retry(self) -> None:
        try:
            while self._owed:
                await asyncio.sleep(self._retry_s)
                for claim in list(self._owed.values()):
                    try:
                        await self._release(claim)
                    except RemoteError:
                        break
                    del self._owed[claim.request_id]
        finally:
            self._retrying = None


def receipt(record: pb.UsageRecord) -> bytes:
    """What is told of a request whose answer was not kept, as JSON."""
    return _encoder.encode(
        {
            "object": "receipt",
            "request_id": record.request_id,
            "status": pb.UsageStatus.Name(record.status).removeprefix("USAGE_STATUS_").lower(),
            "model": record.served_model_public_name or record.model_public_name,
            "usage": {
                "prompt_tokens": record.input_tokens,
                "completion_tokens": record.output_tokens,
                "total_tokens": record.input_tokens + record.output_tokens,
                "prompt_tokens_details": {"cached_tokens": record.cached_input_tokens},
                "completion_tokens_details": {"reasoning_tokens": record.reasoning_tokens},
            },
            "cost_usd": format_usd(record.cost_nanos),
            "created_at": from_proto(record.start_time),
        }
    )


def _digest(path: str, body: bytes) -> bytes:
    hashed = sha256(path.encode())
    hashed.update(b"\n")
    hashed.update(body)
    return hashed.digest()
