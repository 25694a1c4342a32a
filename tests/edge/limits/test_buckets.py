"""Limits: in Valkey by its clock, in the process while Valkey is away."""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from deploy.local.valkey import Valkey
from edge.limits.buckets import Buckets
from edge.limits.levels import Bucket, Slots, Taken, summary
from edge.limits.throttle import Throttle
from edge.limits.valkey import ValkeyError
from tests.support.waiting import eventually

NOBODY = "redis://127.0.0.1:1/0"
# So long that no token comes back while a test runs.
LONG_S = 10**6
ONE = Slots("one", 1)


@pytest.fixture
async def buckets(redis_url: str) -> AsyncIterator[Buckets]:
    made = Buckets(redis_url, probe_s=0.05)
    yield made
    await made.close()


async def calls(redis_url: str) -> int:
    async with Redis.from_url(redis_url) as redis:
        stats = await redis.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval"))


async def allows(buckets: Buckets, *limits: Bucket | Slots, member: str = "") -> bool:
    return (await buckets.take(*limits, member=member)).allowed


async def test_all_requests_of_a_tick_are_one_call(buckets: Buckets, redis_url: str) -> None:
    await buckets.take(Bucket("warm", 5, 60))
    before = await calls(redis_url)
    account, slots = Bucket("account", 60, 60), Slots("running", 50)
    answers = await asyncio.gather(
        *(buckets.take(account, Bucket(f"key-{number}", 1, 60), slots, member=str(number)) for number in range(100))
    )
    assert await calls(redis_url) == before + 1
    assert sum(answer.allowed for answer in answers) == 50


async def test_two_edges_share_the_limits(buckets: Buckets, redis_url: str) -> None:
    other = Buckets(redis_url)
    both = await asyncio.gather(
        *(
            each.take(Bucket("b", 20, LONG_S), Slots("s", 15), member=f"{each is other} {n}")
            for n in range(20)
            for each in (buckets, other)
        )
    )
    await other.close()
    assert sum(answer.allowed for answer in both) == 15


async def test_buckets_vanish_when_they_are_full_again(buckets: Buckets, redis_url: str) -> None:
    await buckets.take(Bucket("b", 60_000, 60))

    async def empty() -> bool:
        async with Redis.from_url(redis_url) as redis:
            return int(await redis.dbsize()) == 0

    await eventually(empty)


async def test_what_is_given_back_can_be_taken_again_and_a_bucket_holds_no_more_than_its_size(buckets: Buckets) -> None:
    large = Bucket("b", 1_000, LONG_S, amount=900, returns=True)
    small = Bucket("b", 1_000, LONG_S, amount=100, returns=True)
    assert await allows(buckets, large)
    assert not await allows(buckets, large)
    buckets.give(large, used=100)
    assert summary([large], await buckets.take(large)).remaining == 0
    # Never less than empty, never more than full.
    buckets.give(large, used=10**9)
    assert not await allows(buckets, small)
    for _ in range(5):
        buckets.give(large, used=0)
    assert summary([large], await buckets.take(large)).remaining == 100


async def test_a_request_larger_than_the_bucket_takes_all_of_it(buckets: Buckets) -> None:
    huge = Bucket("b", 1_000, LONG_S, amount=50_000, returns=True)
    answer = summary([huge], await buckets.take(huge))
    assert (answer.allowed, answer.limit, answer.remaining) == (True, 1_000, 0)
    one = Bucket("b", 1_000, LONG_S, returns=True)
    assert not await allows(buckets, one)
    buckets.give(huge, used=400)
    assert summary([huge], await buckets.take(one)).remaining == 599


async def test_who_was_refused_is_refused_again_without_asking_valkey_until_it_may_be_allowed(redis_url: str) -> None:
    now_us = 0
    buckets = Buckets(redis_url, now_us=lambda: now_us)
    fast, slow = Bucket("fast", 100, 60), Bucket("slow", 1, 60)
    assert await allows(buckets, fast, slow)
    refused = await buckets.take(fast, slow)
    before = await calls(redis_url)
    now_us = 999_000
    again = await buckets.take(fast, slow)
    assert await calls(redis_url) == before
    assert not again.allowed
    assert again.levels == [max(level - now_us, 0) for level in refused.levels]
    # Another size is another limit, and without the empty bucket nothing refuses.
    assert await allows(buckets, fast, Bucket("slow", 4, 120))
    assert await allows(buckets, fast)
    assert await calls(redis_url) == before + 2
    now_us = 1_000_000
    assert not await allows(buckets, fast, slow)
    assert await calls(redis_url) == before + 3
    await buckets.close()


async def test_a_refusal_is_not_remembered_beyond_the_moment_when_its_bucket_allows_one(redis_url: str) -> None:
    now_us = 0
    buckets = Buckets(redis_url, now_us=lambda: now_us)
    bucket = Bucket("b", 2, 1)
    assert [await allows(buckets, bucket) for _ in range(3)] == [True, True, False]
    before = await calls(redis_url)
    now_us = 400_000
    assert not await allows(buckets, bucket)
    assert await calls(redis_url) == before

    async def allows_later() -> bool:
        nonlocal now_us
        now_us += 500_000
        return await allows(buckets, bucket)

    await eventually(allows_later)
    await buckets.close()


async def test_a_slot_is_free_for_the_next_request_of_the_same_edge(buckets: Buckets) -> None:
    for number in range(50):
        assert await buckets.take(ONE, member=str(number)) == Taken(True, [1])
        assert await buckets.take(ONE, member="another") == Taken(False, [1])
        buckets.free([ONE], str(number))


async def test_what_ends_rides_along_with_what_begins(buckets: Buckets, redis_url: str) -> None:
    await buckets.take(ONE, member="first")
    before = await calls(redis_url)
    buckets.free([ONE], "first")
    assert await allows(buckets, ONE, member="second")
    assert await calls(redis_url) == before + 1


async def test_a_slot_is_free_for_other_edges_soon(buckets: Buckets, redis_url: str) -> None:
    other = Buckets(redis_url)
    assert await allows(buckets, ONE, member="here")
    assert not await allows(other, ONE, member="there")
    buckets.free([ONE], "here")
    await eventually(lambda: allows(other, ONE, member="there"))
    await other.close()


async def test_the_slots_of_an_edge_that_has_died_come_free(buckets: Buckets, redis_url: str) -> None:
    dead = Buckets(redis_url, slot_s=1.5, renew_s=60)
    assert await allows(dead, ONE, member="lost")
    assert not await allows(buckets, ONE, member="next")
    await eventually(lambda: allows(buckets, ONE, member="next"))
    await dead.close()


async def test_slots_of_what_runs_are_renewed_and_those_of_what_has_ended_are_not(redis_url: str) -> None:
    alive = Buckets(redis_url, slot_s=2.0, renew_s=0.05)
    two = Slots("two", 2)
    assert await allows(alive, two, member="long")
    assert await allows(alive, two, member="short")
    alive.free([two], "short")
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        first = await redis.zscore("two", "long")
        assert first

        async def renewed() -> bool:
            return (await redis.zscore("two", "long") or 0) >= first + 1_000_000

        await eventually(renewed)
        assert await redis.zrange("two", 0, -1) == ["long"]
        alive.free([two], "long")

        async def gone() -> bool:
            return not await redis.exists("two")

        await eventually(gone)

    async def rests() -> bool:
        return alive._renew is None

    await eventually(rests)
    await alive.close()


async def test_who_leaves_while_it_is_asked_holds_no_slot(buckets: Buckets, redis_url: str) -> None:
    asking = [asyncio.create_task(buckets.take(ONE, member=str(number))) for number in range(2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    await eventually(lambda: allows(buckets, ONE, member="next"))
    assert buckets._local.running == {"one": {"next"}}


async def test_without_valkey_the_process_limits_by_itself() -> None:
    alone = Buckets(NOBODY)
    three = Bucket("b", 3, LONG_S)
    assert [await allows(alone, three) for _ in range(4)] == [True, True, True, False]
    assert [await allows(alone, ONE, member=str(number)) for number in range(2)] == [True, False]
    alone.free([ONE], "0")
    assert await allows(alone, ONE, member="2")
    large = Bucket("tokens", 100, LONG_S, amount=100, returns=True)
    assert [await allows(alone, large) for _ in range(2)] == [True, False]
    alone.give(large, used=0)
    assert await allows(alone, large)
    await alone.close()


async def test_what_runs_when_valkey_goes_and_comes_back_keeps_its_slots() -> None:
    with tempfile.TemporaryDirectory(prefix="privaterouter-test-") as directory:
        server = Valkey(Path(directory))
        server.start()
        limited = Buckets(server.url, probe_s=0.05)
        two = Slots("two", 2)
        try:
            assert await allows(limited, two, member="before")
            os.kill(server.child.pid, signal.SIGKILL)
            # The process knows of the one that runs.
            assert await limited.take(two, member="during") == Taken(True, [2])
            assert not await allows(limited, two, member="one too many")
            assert limited._probe
            probing = limited._probe
        finally:
            server.stop()
            await limited.close()
        assert probing.done()


async def test_a_probe_ends_when_valkey_answers_and_tells_it_what_runs(buckets: Buckets, redis_url: str) -> None:
    two = Slots("two", 2)
    assert await allows(buckets, two, member="ends meanwhile")
    buckets._leave(ValkeyError("away"))
    assert await allows(buckets, Bucket("b", 5, 60), two, member="meanwhile")
    buckets.free([two], "ends meanwhile")
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        assert not await redis.exists("b")

        async def told() -> bool:
            return buckets._probe is None and await redis.zrange("two", 0, -1) == ["meanwhile"]

        await eventually(told)
        assert await allows(buckets, Bucket("b", 5, 60))
        assert await redis.exists("b")


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
