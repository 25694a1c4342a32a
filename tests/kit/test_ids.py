"""UUIDv7: layout, order, time, and what counts as an id in text."""

import os
from datetime import UTC, datetime
from uuid import RFC_4122, UUID

import pytest

from kit.errors import InvalidArgument
from kit.ids import IdFactory, lowest_id, parse_uuid, time_of, uuid7

NOW_NS = 1_645_557_742_000_999_999


def test_the_example_of_the_rfc_is_reproduced() -> None:
    # RFC 9562, appendix A.6: unix_ts_ms 0x017F22E279B0, rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F.
    random = (0xCC3 << 62) | 0x18C4DC0C0C07398F
    made = uuid7(0x017F22E279B0 * 1_000_000, random.to_bytes)
    assert str(made) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


def test_version_variant_and_time_stand_in_every_id() -> None:
    made = uuid7(NOW_NS, os.urandom)
    assert (made.version, made.variant) == (7, RFC_4122)
    assert time_of(made) == datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)


def test_ids_rise_while_the_clock_stands_and_when_it_goes_back() -> None:
    ticks = iter([NOW_NS] * 1000 + [NOW_NS - 10**9] * 1000 + [NOW_NS + 10**9] * 1000)
    new_id = IdFactory(lambda: next(ticks))
    made = [new_id() for _ in range(3000)]
    assert made == sorted(set(made))
    assert time_of(made[-1]) > time_of(made[0])


def test_ids_rise_when_the_random_part_is_full() -> None:
    new_id = IdFactory(lambda: NOW_NS, lambda size: b"\xff" * size)
    made = [new_id() for _ in range(3)]
    assert made == sorted(set(made))
    assert {one.version for one in made} == {7}


def test_an_id_in_text_is_read() -> None:
    made = uuid7(NOW_NS, os.urandom)
    assert parse_uuid(str(made), "key_id") == made
    assert parse_uuid(str(made).upper(), "key_id") == made


@pytest.mark.parametrize(
    "text", ["", "1", "x" * 36, "{017f22e2-79b0-7cc3-98c4-dc0c0c073}", str(UUID(int=0)) + "\n", UUID(int=0).hex]
)
def test_anything_else_names_the_field(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_uuid(text, "key_id")
    assert caught.value.metadata == {"field": "key_id"}


def test_the_lowest_id_of_a_moment_parts_those_before_from_those_after() -> None:
    moment = datetime(2026, 5, 15, 6, 23, 0, 500_000, tzinfo=UTC)
    at_ns = int(moment.timestamp() * 1_000) * 1_000_000
    before = uuid7(at_ns - 1, lambda size: b"\xff" * size)
    after = uuid7(at_ns, lambda size: b"\0" * size)
    assert before < lowest_id(moment) <= after
    assert lowest_id(datetime(1900, 1, 1, tzinfo=UTC)) == UUID(int=0)
