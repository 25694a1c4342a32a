"""Resolving secrets: once for many, kept for a while, and never across a change."""

import asyncio
import os
from datetime import timedelta

import pytest

from edge.errors import EdgeError
from edge.lookup.api_keys import PREFIX, ApiKeys
from edge.lookup.callers import Caller
from kit.clock import utc_now
from kit.timestamps import to_proto
from kit.tokens import make_token
from privaterouter.auth.v1 import auth_pb2
from privaterouter.auth.v1.auth_pb2_grpc import AuthServiceStub
from tests.edge.lookup.world import Clock, FakeAuth, active_key

NOW = utc_now()


@pytest.fixture
def api_keys(auth_stub: AuthServiceStub, clock: Clock) -> ApiKeys:
    return ApiKeys(auth_stub, clock=clock, now=lambda: NOW)


def new_secret() -> str:
    return make_token(PREFIX, os.urandom)


async def refused(api_keys: ApiKeys, secret: str) -> EdgeError:
    with pytest.raises(EdgeError) as caught:
        await api_keys.resolve(secret)
    return caught.value


async def test_a_key_is_resolved_with_its_limits_and_remembered_for_30_s(
    auth: FakeAuth, api_keys: ApiKeys, clock: Clock
) -> None:
    secret, key = new_secret(), active_key(monthly_limit_nanos=5)
    key.api_key.allowed_models.append("privaterouter/fast")
    key.api_key.rpm_limit = 3
    key.api_key.tpm_limit = 4_000
    key.api_key.max_in_flight = 2
    key.api_key.keeps_answers = True
    key.virtual_key = "sk-virtual"
    auth.keys[secret] = key
    assert api_keys.cached(secret) is None
    caller = await api_keys.resolve(secret)
    assert caller == Caller(
        api_key_id=key.api_key.id,
        account_id=key.account_id,
        monthly_limit_nanos=5,
        allowed_models=frozenset({"privaterouter/fast"}),
        rpm_limit=3,
        expire_time=None,
        virtual_key="sk-virtual",
        tpm_limit=4_000,
        max_in_flight=2,
        keeps_answers=True,
    )
    assert "sk-virtual" not in repr(caller)
    assert api_keys.cached(secret) is caller
    assert await api_keys.resolve(secret) is caller
    assert len(auth.resolves) == 1
    clock.now_s += 30.0
    assert api_keys.cached(secret) is None


async def test_a_key_without_limits_has_none(auth: FakeAuth, api_keys: ApiKeys) -> None:
    secret = new_secret()
    auth.keys[secret] = key = active_key()
    assert await api_keys.resolve(secret) == Caller(
        api_key_id=key.api_key.id,
        account_id=key.account_id,
        monthly_limit_nanos=None,
        allowed_models=frozenset(),
        rpm_limit=None,
        expire_time=None,
        virtual_key="",
        tpm_limit=None,
        max_in_flight=None,
        keeps_answers=False,
    )


async def test_a_limit_of_zero_is_a_limit(auth: FakeAuth, api_keys: ApiKeys) -> None:
    secret = new_secret()
    auth.keys[secret] = active_key(monthly_limit_nanos=0)
    assert (await api_keys.resolve(secret)).monthly_limit_nanos == 0


async def test_misses_of_one_moment_are_one_call_and_each_secret_is_asked_for_once(
    auth: FakeAuth, api_keys: ApiKeys
) -> None:
    secrets = [new_secret() for _ in range(20)]
    auth.keys = {secret: active_key() for secret in secrets}
    callers = await asyncio.gather(*(api_keys.resolve(secret) for secret in secrets * 5))
    assert [caller.api_key_id for caller in callers] == [auth.keys[secret].api_key.id for secret in secrets * 5]
    assert auth.resolves == [secrets]


async def test_what_has_not_the_form_of_a_key_is_refused_without_a_call(auth: FakeAuth, api_keys: ApiKeys) -> None:
    secret = new_secret()
    for wrong in ("", "sk-pr-live-", secret[:-1], secret[:-1] + "é", secret + "0", "' OR 1=1 --", secret.swapcase()):
        assert (await refused(api_keys, wrong)).code == "invalid_api_key"
    assert auth.resolves == []


@pytest.mark.parametrize(
    "outcome, word",
    [
        (auth_pb2.RESOLVE_OUTCOME_UNKNOWN, "not valid"),
        (auth_pb2.RESOLVE_OUTCOME_DISABLED, "switched off"),
        (auth_pb2.RESOLVE_OUTCOME_EXPIRED, "expired"),
        (auth_pb2.RESOLVE_OUTCOME_OWNER_DISABLED, "account"),
    ],
)
async def test_a_key_that_may_not_be_used_is_a_401_that_says_why_and_is_remembered_for_5_s(
    auth: FakeAuth,
    api_keys: ApiKeys,
    clock: Clock,
    outcome: auth_pb2.ResolveOutcome.ValueType,
    word: str,
) -> None:
    secret = new_secret()
    auth.keys[secret] = auth_pb2.ResolvedApiKey(outcome=outcome)
    for _ in range(2):
        error = await refused(api_keys, secret)
        assert (error.code, error.status) == ("invalid_api_key", 401)
        assert word in error.message
        assert secret not in error.message
    assert len(auth.resolves) == 1
    clock.now_s += 5.0
    await refused(api_keys, secret)
    assert len(auth.resolves) == 2


async def test_a_silent_auth_is_a_503_and_never_a_401(auth: FakeAuth, api_keys: ApiKeys) -> None:
    secret = new_secret()
    auth.keys[secret] = active_key()
    auth.away = True
    error = await refused(api_keys, secret)
    assert (error.code, error.status) == ("service_unavailable", 503)
    auth.away = False
    await api_keys.resolve(secret)


async def test_an_answer_that_makes_no_sense_is_a_503(auth: FakeAuth, api_keys: ApiKeys) -> None:
    secret = new_secret()
    auth.keys[secret] = auth_pb2.ResolvedApiKey()
    assert (await refused(api_keys, secret)).code == "service_unavailable"


async def test_a_key_is_forgotten_at_its_expiry(auth: FakeAuth, api_keys: ApiKeys, clock: Clock) -> None:
    secret, key = new_secret(), active_key()
    key.api_key.expire_time.CopyFrom(to_proto(NOW + timedelta(seconds=3)))
    auth.keys[secret] = key
    await api_keys.resolve(secret)
    clock.now_s += 2.9
    assert api_keys.cached(secret)
    clock.now_s += 0.2
    assert api_keys.cached(secret) is None


async def test_a_revocation_drops_the_key_and_one_of_the_user_drops_all_of_his(
    auth: FakeAuth, api_keys: ApiKeys
) -> None:
    secrets = [new_secret() for _ in range(3)]
    auth.keys = dict(zip(secrets, (active_key(account_id=who) for who in ("a", "a", "b")), strict=True))
    one, _, _ = [await api_keys.resolve(secret) for secret in secrets]
    api_keys.drop(one.api_key_id, "a")
    assert [api_keys.cached(secret) is None for secret in secrets] == [True, False, False]
    api_keys.drop("", "a")
    assert [api_keys.cached(secret) is None for secret in secrets] == [True, True, False]


async def test_an_answer_older_than_a_revocation_that_came_meanwhile_is_asked_for_again(
    auth: FakeAuth, api_keys: ApiKeys
) -> None:
    secret, key = new_secret(), active_key()
    auth.keys[secret] = key

    async def revoke() -> None:
        auth.after_reading = None
        auth.keys[secret] = auth_pb2.ResolvedApiKey(outcome=auth_pb2.RESOLVE_OUTCOME_DISABLED)
        api_keys.drop(key.api_key.id, key.account_id)

    auth.after_reading = revoke
    assert (await refused(api_keys, secret)).code == "invalid_api_key"
    assert api_keys.cached(secret) is None
    assert len(auth.resolves) == 2


async def test_an_answer_that_reflects_the_revocation_is_kept(auth: FakeAuth, api_keys: ApiKeys) -> None:
    secret, key = new_secret(), active_key()
    auth.keys[secret] = key
    auth.revocations.append((key.api_key.id, key.account_id))

    async def hear() -> None:
        api_keys.drop(key.api_key.id, key.account_id, 1)

    auth.after_reading = hear
    caller = await api_keys.resolve(secret)
    assert api_keys.cached(secret) is caller
    assert len(auth.resolves) == 1


async def test_a_key_that_changes_all_the_time_is_answered_but_not_kept(auth: FakeAuth, api_keys: ApiKeys) -> None:
    secret, key = new_secret(), active_key()
    auth.keys[secret] = key

    async def change() -> None:
        api_keys.drop(key.api_key.id, key.account_id)

    auth.after_reading = change
    assert (await api_keys.resolve(secret)).api_key_id == key.api_key.id
    assert api_keys.cached(secret) is None
    assert len(auth.resolves) == 3


async def test_a_refusal_is_forgotten_and_not_kept_across_a_change(auth: FakeAuth, api_keys: ApiKeys) -> None:
    secret = new_secret()
    await refused(api_keys, secret)
    auth.keys[secret] = active_key()
    api_keys.drop("some key", "some user")
    await api_keys.resolve(secret)
    other = new_secret()

    async def change() -> None:
        auth.after_reading = None
        api_keys.drop("some key", "some user")

    auth.after_reading = change
    await refused(api_keys, other)
    auth.keys[other] = active_key()
    await api_keys.resolve(other)


async def test_uses_are_reported_once_for_each_key_and_kept_while_auth_is_away(
    auth: FakeAuth, api_keys: ApiKeys
) -> None:
    secret, key = new_secret(), active_key()
    auth.keys[secret] = key
    caller = await api_keys.resolve(secret)
    await api_keys.report_uses()
    assert auth.uses == []
    for _ in range(3):
        api_keys.note_use(caller)
    auth.away = True
    await api_keys.report_uses()
    auth.away = False
    await api_keys.report_uses()
    await api_keys.report_uses()
    assert auth.uses == [{key.api_key.id: int(NOW.timestamp())}] * 2
