"""Token buckets: in Valkey by its clock, in the process while Valkey is away, and the same in both."""

import asyncio
import os
import random
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from deploy.local.valkey import Valkey
from edge.limits import buckets as module
from edge.limits.buckets import Bucket, Buckets, LocalBuckets, RateAnswer
from edge.limits.rates import Rates
from edge.limits.throttle import Throttle
from tests.support.waiting import eventually

NOBODY = "redis://127.0.0.1:1/0"


@pytest.fixture
async def buckets(redis_url: str) -> AsyncIterator[Buckets]:
    made = Buckets(redis_url, probe_s=0.05)
    yield made
    await made.close()


async def calls(redis_url: str) -> int:
    async with Redis.from_url(redis_url) as redis:
        stats = await redis.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval"))


async def test_an_account_gets_its_rpm_at_once_and_no_more(buckets: Buckets) -> None:
    rates = Rates(buckets)
    answers = [await rates.check("account", 7, "key", None) for _ in range(8)]
    assert [answer.allowed for answer in answers] == [True] * 7 + [False]
    assert [answer.remaining for answer in answers] == [6, 5, 4, 3, 2, 1, 0, 0]
    assert {answer.limit for answer in answers} == {7}
    assert 0 < answers[-1].retry_after_s <= 60 / 7
    assert 60 - 60 / 7 < answers[-1].reset_s <= 60


async def test_tokens_come_back_evenly(buckets: Buckets) -> None:
    rates = Rates(buckets)
    for _ in range(600):
        answer = await rates.check("account", 600, "key", None)
    assert answer.remaining <= 10
    while answer.allowed:
        answer = await rates.check("account", 600, "key", None)
    assert answer.retry_after_s <= 0.1

    async def again() -> bool:
        return (await rates.check("account", 600, "key", None)).allowed

    await eventually(again, within_s=1.0)


async def test_account_and_key_must_both_allow_and_neither_pays_for_the_others_refusal(buckets: Buckets) -> None:
    rates = Rates(buckets)
    for _ in range(2):
        assert (await rates.check("account", 5, "narrow", 2)).allowed
    refused = await rates.check("account", 5, "narrow", 2)
    assert (refused.allowed, refused.limit, refused.remaining) == (False, 2, 0)
    # The account's bucket has lost two, not three.
    other = await rates.check("account", 5, "other", None)
    assert (other.allowed, other.remaining) == (True, 2)
    for _ in range(2):
        assert (await rates.check("account", 5, "wide", 100)).allowed
    refused = await rates.check("account", 5, "wide", 100)
    assert (refused.allowed, refused.limit) == (False, 5)
    # Nor has the key's bucket lost anything to the account's refusal.
    assert (await rates.check("another", 1_000, "wide", 100)).remaining == 97


async def test_the_numbers_are_those_of_the_bucket_with_the_least_left(buckets: Buckets) -> None:
    rates = Rates(buckets)
    answer = await rates.check("account", 100, "key", 10)
    assert (answer.limit, answer.remaining) == (10, 9)
    answer = await rates.check("account-2", 5, "key-2", 10)
    assert (answer.limit, answer.remaining) == (5, 4)


async def test_a_changed_limit_keeps_what_share_was_used(buckets: Buckets) -> None:
    rates = Rates(buckets)
    for _ in range(10):
        await rates.check("account", 20, "key", None)
    answer = await rates.check("account", 200, "key", None)
    assert 98 <= answer.remaining <= 100


async def test_a_limit_of_0_refuses(buckets: Buckets) -> None:
    answer = await Rates(buckets).check("account", 0, "key", None)
    assert (answer.allowed, answer.limit, answer.retry_after_s) == (False, 0, 60.0)


async def test_all_requests_of_a_tick_are_one_call(buckets: Buckets, redis_url: str) -> None:
    rates = Rates(buckets)
    await rates.check("warm", 5, "key", None)
    before = await calls(redis_url)
    answers = await asyncio.gather(*(rates.check("account", 60, f"key-{number}", 1) for number in range(100)))
    assert await calls(redis_url) == before + 1
    assert sum(answer.allowed for answer in answers) == 60


async def test_two_edges_share_the_buckets(buckets: Buckets, redis_url: str) -> None:
    other = Buckets(redis_url)
    both = await asyncio.gather(
        *(Rates(each).check("account", 20, "key", None) for _ in range(20) for each in (buckets, other))
    )
    await other.close()
    assert sum(answer.allowed for answer in both) == 20


async def test_buckets_vanish_when_they_are_full_again(buckets: Buckets, redis_url: str) -> None:
    await Rates(buckets).check("account", 60_000, "key", None)

    async def empty() -> bool:
        async with Redis.from_url(redis_url) as redis:
            return int(await redis.dbsize()) == 0

    await eventually(empty)


async def test_the_same_requests_get_the_same_answers_in_valkey_and_in_the_process(buckets: Buckets) -> None:
    local = LocalBuckets(lambda: 0)
    chance = random.Random(7)  # noqa: S311 (the same every time, on purpose)
    # Windows so long that no token comes back while the test runs.
    kinds = [Bucket(f"b{number}", number + 1, 10**6) for number in range(5)]
    for _ in range(200):
        wanted = chance.sample(kinds, chance.choice((1, 2)))
        here, there = local.take(wanted), await buckets.take(*wanted)
        assert (here.allowed, here.limit, here.remaining) == (there.allowed, there.limit, there.remaining)
        assert there.reset_s == pytest.approx(here.reset_s, abs=60)


def test_a_token_of_the_process_comes_back_in_its_time() -> None:
    now_us = 0
    local = LocalBuckets(lambda: now_us)
    bucket = Bucket("b", 2, 60)
    assert local.take([bucket]) == RateAnswer(allowed=True, limit=2, remaining=1, reset_s=30.0, retry_after_s=0.0)
    assert local.take([bucket]).remaining == 0
    now_us = 10_000_000
    assert local.take([bucket]) == RateAnswer(allowed=False, limit=2, remaining=0, reset_s=50.0, retry_after_s=20.0)
    now_us = 30_000_000
    assert local.take([bucket]).allowed


def test_the_process_keeps_a_bounded_number_of_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LOCAL_BUCKETS", 10)
    local = LocalBuckets(lambda: 0)
    for number in range(100):
        assert local.take([Bucket(f"b{number}", 2, 60)]).allowed
    assert len(local._full_at) <= 10


async def test_without_valkey_the_process_limits_by_itself() -> None:
    alone = Buckets(NOBODY)
    rates = Rates(alone)
    answers = [await rates.check("account", 3, "key", None) for _ in range(4)]
    await alone.close()
    assert [answer.allowed for answer in answers] == [True, True, True, False]


async def test_valkey_is_used_again_when_it_is_back() -> None:
    with tempfile.TemporaryDirectory(prefix="privaterouter-test-") as directory:
        server = Valkey(Path(directory))
        server.start()
        url = server.url
        limited = Buckets(url, probe_s=0.05)
        rates = Rates(limited)
        try:
            assert (await rates.check("account", 5, "key", None)).remaining == 4
            os.kill(server.child.pid, signal.SIGKILL)
            assert (await rates.check("account", 5, "key", None)).remaining == 4  # of a bucket of our own
            assert limited._probe
            probing = limited._probe
        finally:
            server.stop()
            await limited.close()
        assert probing.done()


async def test_a_probe_ends_when_valkey_answers(buckets: Buckets, redis_url: str) -> None:
    buckets._leave(OSError("away"))
    assert (await Rates(buckets).check("account", 5, "key", None)).allowed
    assert await calls_of_bucket(redis_url) == 0

    async def back() -> bool:
        return buckets._probe is None

    await eventually(back)
    assert (await Rates(buckets).check("account", 5, "key", None)).allowed
    assert await calls_of_bucket(redis_url) == 1


async def calls_of_bucket(redis_url: str) -> int:
    async with Redis.from_url(redis_url) as redis:
        return int(await redis.exists("rpm:account:account"))


async def test_a_subject_has_so_many_attempts_whatever_case_it_is_written_in(buckets: Buckets, redis_url: str) -> None:
    throttle = Throttle(buckets)
    answers = [
        await throttle.check("login", email, limit=3, window_s=900)
        for email in ("a@example.com", "A@example.com ", "a@EXAMPLE.com", "a@example.com")
    ]
    assert [answer.allowed for answer in answers] == [True, True, True, False]
    assert answers[-1].retry_after_s <= 300
    assert (await throttle.check("signup", "a@example.com", limit=3, window_s=900)).allowed
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        assert not any("example" in key for key in await redis.keys())
