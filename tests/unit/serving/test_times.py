"""Event times as JSON says them."""

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from featureplane.serving.reading.times import written

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECONDS = st.integers(-62_135_596_800, 253_402_300_798)


def said(seconds: int, nanos: int) -> str:
    (text,) = written([Timestamp(seconds=seconds, nanos=nanos).SerializeToString()])
    return text


@given(SECONDS, st.integers(0, 999_999))
def test_microseconds_are_said_as_protobuf_says_them(seconds: int, micros: int) -> None:
    assert said(seconds, micros * 1000) == Timestamp(seconds=seconds, nanos=micros * 1000).ToJsonString()


@given(SECONDS, st.integers(0, 999_999_999))
def test_nanoseconds_are_said_as_the_nearest_microsecond(seconds: int, nanos: int) -> None:
    nearest = EPOCH + timedelta(seconds=seconds, microseconds=round(nanos / 1000))
    assert datetime.fromisoformat(said(seconds, nanos)) == nearest


@pytest.mark.parametrize(
    ("seconds", "nanos", "text"),
    [
        (1_700_000_000, 999_999_600, "2023-11-14T22:13:21Z"),
        (1_700_006_399, 999_999_999, "2023-11-15T00:00:00Z"),
        (1_700_000_000, 400, "2023-11-14T22:13:20Z"),
        (-1, 999_999_600, "1970-01-01T00:00:00Z"),
        (1_700_000_000, 1_000, "2023-11-14T22:13:20.000001Z"),
    ],
)
def test_nanoseconds_that_round_to_a_second_are_that_second(seconds: int, nanos: int, text: str) -> None:
    """As Feast's server, which makes a datetime of seconds that have a fraction."""
    assert said(seconds, nanos) == text
    stored = datetime.fromtimestamp(seconds + nanos / 1e9, tz=UTC)
    assert datetime.fromisoformat(text) == stored
