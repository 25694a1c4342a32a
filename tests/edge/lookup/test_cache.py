"""The memory of answers: bounded in time and number, and never older than a change that we have seen."""

from edge.lookup.cache import Cache
from tests.edge.lookup.world import Clock


def new_cache(clock: Clock, *, most: int = 10) -> Cache[str]:
    return Cache(ttl_s=30.0, most=most, clock=clock)


def test_a_value_is_kept_for_its_time(clock: Clock) -> None:
    cache = new_cache(clock)
    cache.put("k", "v", about=("s",))
    cache.put("short", "v", about=(), within_s=5.0)
    cache.put("long", "v", about=(), within_s=500.0)
    clock.now_s += 4.9
    assert (cache.get("k"), cache.get("short")) == ("v", "v")
    clock.now_s += 0.1
    assert cache.get("short") is None
    clock.now_s += 25.0
    assert (cache.get("k"), cache.get("long")) == (None, None)


def test_the_oldest_make_room_for_the_newest(clock: Clock) -> None:
    cache = new_cache(clock, most=3)
    for key in "abcb":
        cache.put(key, key, about=("s",))
    cache.put("d", "d", about=("s",))
    assert [cache.get(key) for key in "abcd"] == [None, "b", "c", "d"]
    assert len(cache) == 3


def test_a_change_drops_all_that_is_about_its_subject_and_nothing_else(clock: Clock) -> None:
    cache = new_cache(clock)
    cache.put("one", "1", about=("key-1", "user"))
    cache.put("two", "2", about=("key-2", "user"))
    cache.put("three", "3", about=("key-3", "other"))
    cache.drop("key-1", None)
    assert [cache.get(key) for key in ("one", "two", "three")] == [None, "2", "3"]
    cache.drop("user", None)
    assert [cache.get(key) for key in ("one", "two", "three")] == [None, None, "3"]
    assert cache._keys == {"key-3": {"three"}, "other": {"three"}}


def test_an_answer_asked_for_before_a_hint_came_may_be_older(clock: Clock) -> None:
    cache = new_cache(clock)
    asked_s = clock()
    clock.now_s += 1.0
    cache.drop("key", None)
    clock.now_s += 1.0
    assert cache.outdated(("user", "key"), asked_s=asked_s, sequence=10**6)
    assert not cache.outdated(("user", "other"), asked_s=asked_s, sequence=0)
    assert not cache.outdated(("key",), asked_s=clock(), sequence=0)
    assert cache.changed_since(asked_s)
    assert not cache.changed_since(clock())


def test_an_answer_that_reflects_a_numbered_change_is_not_older_whenever_it_was_asked_for(clock: Clock) -> None:
    cache = new_cache(clock)
    cache.drop("key", 7)
    assert not cache.outdated(("key",), asked_s=0.0, sequence=7)
    assert cache.outdated(("key",), asked_s=clock() + 100.0, sequence=6)


def test_changes_are_remembered_for_a_minute(clock: Clock) -> None:
    cache = new_cache(clock)
    cache.drop("key", 7)
    clock.now_s += 61.0
    cache.drop("other", 8)
    assert list(cache._seen) == ["other"]
