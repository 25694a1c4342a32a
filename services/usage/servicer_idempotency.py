"""The RPCs of idempotency keys: unpack, one transaction, pack."""

from kit.clock import Clock
from kit.database import Database
from kit.ids import parse_uuid
from kit.interceptors import Context
from privaterouter.usage.v1 import usage_pb2 as pb
from privaterouter.usage.v1.usage_pb2_grpc import UsageServiceServicer
from services.usage import idempotency, store_idempotency
from services.usage.records import to_message


class IdempotencyServicer(UsageServiceServicer):
    """The part of privaterouter.usage.v1.UsageService that keeps requests from running twice."""

    _database: Database
    _answers: idempotency.Answers
    _now: Clock

    async def ClaimIdempotencyKey(
        self, request: pb.ClaimIdempotencyKeyRequest, context: Context
    ) -> pb.ClaimIdempotencyKeyResponse:
        wanted = idempotency.read_claim(request, self._now())
        async with self._database.transaction() as connection:
            told = await idempotency.claim(connection, wanted, self._answers)
        return pb.ClaimIdempotencyKeyResponse(
            outcome=told.outcome,
            record=to_message(told.record) if told.record else None,
            answer=told.answer,
        )

    async def ReleaseIdempotencyKey(
        self, request: pb.ReleaseIdempotencyKeyRequest, context: Context
    ) -> pb.ReleaseIdempotencyKeyResponse:
        api_key_id = parse_uuid(request.api_key_id, "api_key_id")
        request_id = parse_uuid(request.request_id, "request_id")
        key_digest = idempotency.digest(request.idempotency_key)
        async with self._database.transaction() as connection:
            await store_idempotency.delete(connection, api_key_id, key_digest, request_id)
        return pb.ReleaseIdempotencyKeyResponse()

    async def KeepAnswer(self, request: pb.KeepAnswerRequest, context: Context) -> pb.KeepAnswerResponse:
        api_key_id = parse_uuid(request.api_key_id, "api_key_id")
        request_id = parse_uuid(request.request_id, "request_id")
        key_digest = idempotency.digest(request.idempotency_key)
        sealed = self._answers.seal(request.answer, api_key_id, key_digest=key_digest, request_id=request_id)
        async with self._database.transaction() as connection:
            await store_idempotency.keep(connection, api_key_id, key_digest, request_id, sealed)
        return pb.KeepAnswerResponse()
