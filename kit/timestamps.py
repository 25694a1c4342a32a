"""Conversion between aware datetimes and protobuf timestamps, exact to the microsecond."""

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_proto(time: datetime) -> Timestamp:
    """The timestamp of an aware datetime; a naive one raises TypeError."""
    since = time - _EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1_000)


def from_proto(timestamp: Timestamp) -> datetime:
    """The datetime in UTC; nanoseconds are cut to microseconds."""
    return _EPOCH + timedelta(seconds=timestamp.seconds, microseconds=timestamp.nanos // 1_000)
