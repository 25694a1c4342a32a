"""Clocks and timestamps."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from kit.clock import boottime_s, utc_now
from kit.timestamps import from_proto, to_proto


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_time_is_the_same_after_the_wire(time: datetime) -> None:
    assert from_proto(to_proto(time)) == time
    assert to_proto(time).ToDatetime(UTC) == time


def test_another_zone_is_the_same_moment() -> None:
    time = datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert to_proto(time) == to_proto(datetime(2026, 3, 1, 10, tzinfo=UTC))


def test_nanoseconds_are_cut() -> None:
    assert from_proto(Timestamp(seconds=1, nanos=1_999)).microsecond == 1


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(TypeError):
        to_proto(datetime(2026, 1, 1))  # noqa: DTZ001


def test_clocks_are_aware_and_never_run_back() -> None:
    assert utc_now().tzinfo is UTC
    readings = [boottime_s() for _ in range(100)]
    assert readings == sorted(readings)
