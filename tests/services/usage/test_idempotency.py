"""Idempotency keys: a request runs once, and who repeats it is told what became of it."""

import asyncio
from hashlib import sha256
from typing import Any

import grpc
import pytest

from kit.errors import RemoteError
from privaterouter.usage.v1 import usage_pb2 as pb
from services.usage import idempotency
from tests.services.usage.conftest import RECOUNT, RECOUNT_MODELS, Usage, make_id
from tests.support.waiting import eventually

BODY = sha256(b"a body").digest()
OTHER_BODY = sha256(b"another body").digest()


async def claim(usage: Usage, request_id: str, **changes: Any) -> pb.ClaimIdempotencyKeyResponse:
    values = {
        "account_id": usage.account_id,
        "api_key_id": usage.api_key_id,
        "idempotency_key": "key",
        "body_digest": BODY,
        "request_id": request_id,
    }
    return await usage.stub.ClaimIdempotencyKey(pb.ClaimIdempotencyKeyRequest(**values | changes))


async def told(usage: Usage, request_id: str = "", **changes: Any) -> str:
    """The outcome by name."""
    answer = await claim(usage, request_id or make_id(), **changes)
    return pb.ClaimOutcome.Name(answer.outcome).removeprefix("CLAIM_OUTCOME_")


async def keep(usage: Usage, request_id: str, answer: bytes) -> None:
    await usage.stub.KeepAnswer(
        pb.KeepAnswerRequest(api_key_id=usage.api_key_id, idempotency_key="key", request_id=request_id, answer=answer)
    )


async def release(usage: Usage, request_id: str) -> None:
    await usage.stub.ReleaseIdempotencyKey(
        pb.ReleaseIdempotencyKeyRequest(api_key_id=usage.api_key_id, idempotency_key="key", request_id=request_id)
    )


async def age(usage: Usage, interval: str) -> None:
    """Makes all claims older."""
    await usage.admin.execute(f"UPDATE usage.idempotency_keys SET create_time = create_time - interval '{interval}'")


async def test_a_key_is_claimed_by_one_request_and_told_to_run_to_all_others(usage: Usage) -> None:
    first = make_id()
    assert await told(usage, first) == "CLAIMED"
    # A call whose answer was lost is made again.
    assert await told(usage, first) == "CLAIMED"
    assert await told(usage) == "RUNNING"
    assert await told(usage, body_digest=OTHER_BODY) == "OTHER_BODY"
    assert await told(usage, idempotency_key="another") == "CLAIMED"
    assert await told(usage, api_key_id=make_id()) == "CLAIMED"


async def test_of_many_claims_at_the_same_time_one_succeeds(usage: Usage) -> None:
    outcomes = await asyncio.gather(*(told(usage) for _ in range(20)))
    assert sorted(outcomes) == ["CLAIMED"] + ["RUNNING"] * 19


async def test_a_request_runs_while_its_record_is_open_and_has_ended_with_its_final(usage: Usage) -> None:
    opened = usage.open()
    assert await told(usage, opened.request_id) == "CLAIMED"
    await usage.outcomes(opened)
    await age(usage, "11 minutes")
    assert await told(usage) == "RUNNING"
    final = usage.record(request_id=opened.request_id, lease_id=opened.lease_id)
    assert await usage.outcomes(final) == ["TAKEN"]
    answer = await claim(usage, make_id())
    assert answer.outcome == pb.CLAIM_OUTCOME_ENDED
    assert answer.record == await usage.get(opened.request_id)
    assert answer.answer == b""
    assert await told(usage, body_digest=OTHER_BODY) == "OTHER_BODY"


async def test_a_claim_without_a_record_is_free_after_ten_minutes(usage: Usage) -> None:
    assert await told(usage) == "CLAIMED"
    await age(usage, "9 minutes 30 seconds")
    assert await told(usage) == "RUNNING"
    await age(usage, "1 minute")
    assert await told(usage) == "CLAIMED"
    assert await told(usage) == "RUNNING"


@pytest.mark.parametrize(
    "changes,outcome",
    [
        ({"status": pb.USAGE_STATUS_ERROR, "cost_nanos": 0, "uncharged_nanos": 16_000}, "CLAIMED"),
        ({"status": pb.USAGE_STATUS_CANCELLED, "cost_nanos": 0}, "CLAIMED"),
        ({"status": pb.USAGE_STATUS_CANCELLED}, "ENDED"),
        ({"status": pb.USAGE_STATUS_INTERRUPTED}, "ENDED"),
        ({"status": pb.USAGE_STATUS_SUCCESS, "cost_nanos": 0}, "ENDED"),
    ],
)
async def test_a_request_that_came_to_nothing_leaves_its_key_free(
    usage: Usage, changes: dict[str, Any], outcome: str
) -> None:
    record = usage.record(**changes)
    assert await told(usage, record.request_id) == "CLAIMED"
    assert await usage.outcomes(record) == ["TAKEN"]
    assert await told(usage) == outcome


async def test_what_is_presumed_of_a_lost_edge_may_still_cost_something(usage: Usage) -> None:
    opened = usage.open(output_tokens=0, reasoning_tokens=0)
    assert await told(usage, opened.request_id) == "CLAIMED"
    await usage.outcomes(opened)
    await usage.admin.execute(
        "UPDATE usage.usage_records SET status = 'interrupted', cost_nanos = 0, revision = 1, presumed = true,"
        " record_time = now()"
    )
    await usage.admin.execute(f"INSERT INTO usage.usage_daily {RECOUNT}")
    await usage.admin.execute(f"INSERT INTO usage.model_daily {RECOUNT_MODELS}")
    assert await told(usage) == "ENDED"


async def test_a_key_that_was_given_back_can_be_claimed_again(usage: Usage) -> None:
    first, second = make_id(), make_id()
    assert await told(usage, first) == "CLAIMED"
    await release(usage, first)
    assert await told(usage, second, body_digest=OTHER_BODY) == "CLAIMED"
    # The key is another request's now.
    await release(usage, first)
    assert await told(usage, body_digest=OTHER_BODY) == "RUNNING"


async def test_a_key_can_be_used_anew_after_a_day(usage: Usage) -> None:
    record = usage.record()
    assert await told(usage, record.request_id) == "CLAIMED"
    await usage.outcomes(record)
    await keep(usage, record.request_id, b"an answer")
    await age(usage, "23 hours 59 minutes")
    assert await told(usage) == "ENDED"
    await age(usage, "1 minute")
    later = usage.record()
    assert await told(usage, later.request_id, body_digest=OTHER_BODY) == "CLAIMED"
    await usage.outcomes(later)
    answer = await claim(usage, make_id(), body_digest=OTHER_BODY)
    assert (answer.record.request_id, answer.answer) == (later.request_id, b"")


async def test_an_answer_is_kept_sealed_for_the_request_that_has_the_key(usage: Usage) -> None:
    record = usage.record()
    assert await told(usage, record.request_id) == "CLAIMED"
    await keep(usage, make_id(), b"of another request")
    await keep(usage, record.request_id, b"what the model said")
    # Before the record has come, nobody gets it.
    assert await told(usage) == "RUNNING"
    await usage.outcomes(record)
    assert (await claim(usage, make_id())).answer == b"what the model said"
    stored = await usage.admin.fetchval("SELECT sealed_answer FROM usage.idempotency_keys")
    assert b"said" not in stored
    # Moved to another request, it cannot be opened: the receipt is all that there is then.
    other = usage.record()
    await usage.outcomes(other)
    await usage.admin.execute("UPDATE usage.idempotency_keys SET request_id = $1::text::uuid", other.request_id)
    answer = await claim(usage, make_id())
    assert (answer.record.request_id, answer.answer) == (other.request_id, b"")


async def test_an_answer_of_a_mebibyte_is_kept(usage: Usage) -> None:
    record = usage.record()
    await told(usage, record.request_id)
    await usage.outcomes(record)
    await keep(usage, record.request_id, b"x" * 2**20)
    assert (await claim(usage, make_id())).answer == b"x" * 2**20


async def refused(usage: Usage, call: Any) -> str:
    with pytest.raises(RemoteError) as caught:
        await call
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert await usage.admin.fetchval("SELECT count(*) FROM usage.idempotency_keys") == 0
    return caught.value.metadata["field"]


async def test_nonsense_is_refused(usage: Usage) -> None:
    assert await refused(usage, claim(usage, make_id(), idempotency_key="")) == "idempotency_key"
    assert await refused(usage, claim(usage, make_id(), idempotency_key="k" * 256)) == "idempotency_key"
    assert await refused(usage, claim(usage, make_id(), body_digest=b"short")) == "body_digest"
    assert await refused(usage, claim(usage, "x")) == "request_id"
    assert await refused(usage, claim(usage, make_id(), account_id="x")) == "account_id"
    assert await refused(usage, keep(usage, make_id(), b"")) == "answer"
    assert await refused(usage, keep(usage, make_id(), b"x" * (2**20 + 1))) == "answer"
    assert await refused(usage, release(usage, "x")) == "request_id"


async def test_what_has_expired_is_deleted_in_batches(usage: Usage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "_PURGED_AT_ONCE", 2)
    for number in range(5):
        await told(usage, idempotency_key=str(number))
    await age(usage, "24 hours")
    assert await told(usage, idempotency_key="young") == "CLAIMED"
    usage.tasks.append(asyncio.create_task(idempotency.purge(usage.database)))

    async def purged() -> bool:
        return bool(await usage.admin.fetchval("SELECT count(*) = 1 FROM usage.idempotency_keys"))

    await eventually(purged)
    assert await told(usage, idempotency_key="young") == "RUNNING"
