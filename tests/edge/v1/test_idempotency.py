"""A request with an Idempotency-Key runs once; usage is a typed stand-in behind a real gRPC server."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
import pytest

from edge.errors import EdgeError
from edge.v1.idempotency import Claim, Idempotency, Replay, read_key
from kit import server
from kit.client import channel
from kit.errors import AppError
from kit.timestamps import to_proto
from privaterouter.usage.v1 import usage_pb2 as pb
from privaterouter.usage.v1.usage_pb2_grpc import (
    UsageServiceServicer,
    UsageServiceStub,
    add_UsageServiceServicer_to_server,
)
from tests.edge.v1.gateway import CALLER
from tests.support.waiting import eventually

LOOKS_S = (0.001, 0.002)
PATH, BODY = "/v1/chat/completions", b'{"model":"m"}'
RECORD = pb.UsageRecord(
    request_id="request-0",
    status=pb.USAGE_STATUS_SUCCESS,
    model_public_name="privaterouter/fast",
    input_tokens=100,
    cached_input_tokens=10,
    output_tokens=20,
    reasoning_tokens=5,
    cost_nanos=16_000,
    start_time=to_proto(datetime(2026, 5, 15, 6, 23, tzinfo=UTC)),
)
RECEIPT = {
    "object": "receipt",
    "request_id": "request-0",
    "status": "success",
    "model": "privaterouter/fast",
    "usage": {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 10},
        "completion_tokens_details": {"reasoning_tokens": 5},
    },
    "cost_usd": "0.000016",
    "created_at": "2026-05-15T06:23:00Z",
}


class Away(AppError):
    """Not retried by the client."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    reason = "AWAY"
    domain = "test"


@dataclass
class FakeKeys(UsageServiceServicer):
    """Answers claims with `answers` as long as there are, then with `answer`, and notes what it is told."""

    answer: pb.ClaimIdempotencyKeyResponse = field(
        default_factory=lambda: pb.ClaimIdempotencyKeyResponse(outcome=pb.CLAIM_OUTCOME_CLAIMED)
    )
    answers: list[pb.ClaimIdempotencyKeyResponse] = field(default_factory=list)
    calls: list[Any] = field(default_factory=list)
    away: bool = False

    async def ClaimIdempotencyKey(
        self, request: pb.ClaimIdempotencyKeyRequest, context: object
    ) -> pb.ClaimIdempotencyKeyResponse:
        self._note(request)
        return self.answers.pop(0) if self.answers else self.answer

    async def ReleaseIdempotencyKey(
        self, request: pb.ReleaseIdempotencyKeyRequest, context: object
    ) -> pb.ReleaseIdempotencyKeyResponse:
        self._note(request)
        return pb.ReleaseIdempotencyKeyResponse()

    async def KeepAnswer(self, request: pb.KeepAnswerRequest, context: object) -> pb.KeepAnswerResponse:
        self._note(request)
        return pb.KeepAnswerResponse()

    def _note(self, request: object) -> None:
        self.calls.append(request)
        if self.away:
            raise Away("away")


@pytest.fixture
def keys() -> FakeKeys:
    return FakeKeys()  # type: ignore[abstract]  # an edge calls only what it has


@pytest.fixture
async def idempotency(keys: FakeKeys, tmp_path: Path) -> AsyncIterator[Idempotency]:
    async with (
        server.running(
            listen=f"unix:{tmp_path}/usage",
            register=lambda real: add_UsageServiceServicer_to_server(keys, real),
            drain_s=0,
        ) as target,
        channel(target, pb.DESCRIPTOR.services_by_name["UsageService"]) as usage,
    ):
        made = Idempotency(UsageServiceStub(usage), retry_s=0.02, looks_s=LOOKS_S)
        yield made
        await made.close()


async def claim(idempotency: Idempotency, key: str = "key", path: str = PATH) -> Claim | Replay:
    return await idempotency.claim(key, CALLER_OF_UUIDS, path=path, body=BODY, request_id="request-1")


CALLER_OF_UUIDS = replace(CALLER, api_key_id="key-1", account_id="account-1")
RELEASE = pb.ReleaseIdempotencyKeyRequest(api_key_id="key-1", idempotency_key="key", request_id="request-1")


async def test_a_claimed_key_lets_the_request_run(keys: FakeKeys, idempotency: Idempotency) -> None:
    assert await claim(idempotency) == Claim("key", CALLER_OF_UUIDS, "request-1")
    assert keys.calls == [
        pb.ClaimIdempotencyKeyRequest(
            account_id="account-1",
            api_key_id="key-1",
            idempotency_key="key",
            body_digest=sha256(b'/v1/chat/completions\n{"model":"m"}').digest(),
            request_id="request-1",
        )
    ]


async def test_what_has_ended_is_answered_with_its_receipt(keys: FakeKeys, idempotency: Idempotency) -> None:
    keys.answer = pb.ClaimIdempotencyKeyResponse(outcome=pb.CLAIM_OUTCOME_ENDED, record=RECORD)
    replay = await claim(idempotency)
    assert isinstance(replay, Replay)
    assert json.loads(replay.body) == RECEIPT
    assert replay.headers == {"x-privaterouter-replayed": "true"}


async def test_a_kept_answer_comes_as_it_was(keys: FakeKeys, idempotency: Idempotency) -> None:
    keys.answer = pb.ClaimIdempotencyKeyResponse(outcome=pb.CLAIM_OUTCOME_ENDED, record=RECORD, answer=b'{"id": 1}')
    assert await claim(idempotency) == Replay(b'{"id": 1}', {"x-privaterouter-replayed": "true"})


@pytest.mark.parametrize(
    "outcome,expected",
    [
        (pb.CLAIM_OUTCOME_RUNNING, (409, "idempotency_key_in_use", {"retry-after": "1"})),
        (pb.CLAIM_OUTCOME_OTHER_BODY, (422, "idempotency_key_reused", {})),
        (pb.CLAIM_OUTCOME_UNSPECIFIED, (503, "service_unavailable", {"retry-after": "1"})),
    ],
)
async def test_a_key_that_cannot_be_had_says_why(
    keys: FakeKeys,
    idempotency: Idempotency,
    outcome: "pb.ClaimOutcome.ValueType",
    expected: tuple[int, str, dict[str, str]],
) -> None:
    keys.answer = pb.ClaimIdempotencyKeyResponse(outcome=outcome)
    with pytest.raises(EdgeError) as caught:
        await claim(idempotency)
    assert (caught.value.status, caught.value.code, caught.value.headers) == expected
    assert len(keys.calls) == (1 + len(LOOKS_S) if outcome == pb.CLAIM_OUTCOME_RUNNING else 1)


async def test_a_request_that_has_just_ended_is_waited_for(keys: FakeKeys, idempotency: Idempotency) -> None:
    keys.answers = [
        pb.ClaimIdempotencyKeyResponse(outcome=pb.CLAIM_OUTCOME_RUNNING),
        pb.ClaimIdempotencyKeyResponse(outcome=pb.CLAIM_OUTCOME_ENDED, record=RECORD),
    ]
    replay = await claim(idempotency)
    assert isinstance(replay, Replay)
    assert json.loads(replay.body) == RECEIPT
    assert keys.calls == [keys.calls[0]] * 2


async def test_where_usage_is_away_nothing_runs_and_what_it_may_have_claimed_is_given_back(
    keys: FakeKeys, idempotency: Idempotency
) -> None:
    keys.away = True
    with pytest.raises(EdgeError) as caught:
        await claim(idempotency)
    assert (caught.value.status, caught.value.code) == (503, "service_unavailable")
    await eventually(lambda: asyncio.sleep(0, len(keys.calls) > 2))
    keys.away = False
    told = len(keys.calls)
    await eventually(lambda: asyncio.sleep(0, len(keys.calls) > told))
    assert keys.calls[-1] == RELEASE
    await eventually(lambda: asyncio.sleep(0, not idempotency._owed))


async def test_a_key_is_given_back_at_once_or_as_soon_as_usage_answers(
    keys: FakeKeys, idempotency: Idempotency
) -> None:
    claimed = await claim(idempotency)
    assert isinstance(claimed, Claim)
    await idempotency.release(claimed)
    assert keys.calls[1:] == [RELEASE]
    keys.away = True
    await idempotency.release(claimed)
    assert idempotency._owed == {"request-1": claimed}
    keys.away = False
    await eventually(lambda: asyncio.sleep(0, idempotency._owed == {}))


async def test_an_answer_is_kept_only_where_the_api_key_wants_it(keys: FakeKeys, idempotency: Idempotency) -> None:
    plain = Claim("key", CALLER_OF_UUIDS, "request-1")
    keeps = replace(plain, caller=replace(CALLER_OF_UUIDS, keeps_answers=True))
    await idempotency.keep_answer(plain, b"{}")
    await idempotency.keep_answer(keeps, b"")
    await idempotency.keep_answer(keeps, b"x" * (2**20 + 1))
    assert keys.calls == []
    await idempotency.keep_answer(keeps, b"{}")
    assert keys.calls == [
        pb.KeepAnswerRequest(api_key_id="key-1", idempotency_key="key", request_id="request-1", answer=b"{}")
    ]
    keys.away = True
    await idempotency.keep_answer(keeps, b"{}")


def test_no_header_is_no_key() -> None:
    assert read_key([(b"authorization", b"x")]) is None
    assert read_key([(b"idempotency-key", b"a-1~")]) == "a-1~"
    assert read_key([(b"idempotency-key", b"k" * 255)]) == "k" * 255


@pytest.mark.parametrize("value", [b"", b"k" * 256, b"a b", b"a\tb", b"\x7f", b"\xc3\xa4", b"a\n"])
def test_a_malformed_key_is_refused(value: bytes) -> None:
    with pytest.raises(EdgeError) as caught:
        read_key([(b"idempotency-key", value)])
    assert (caught.value.status, caught.value.code, caught.value.param) == (
        400,
        "invalid_parameter",
        "idempotency-key",
    )


def test_a_key_that_is_given_twice_is_refused() -> None:
    with pytest.raises(EdgeError, match="given twice"):
        read_key([(b"idempotency-key", b"a"), (b"idempotency-key", b"a")])
