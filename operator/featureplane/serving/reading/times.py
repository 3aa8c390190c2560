"""Event times: as Redis holds them, a serialized google.protobuf.Timestamp, and as JSON writes them, RFC 3339."""

from collections.abc import Sequence
from datetime import date, timedelta
from functools import lru_cache

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from featureplane.online.times import MICROSECONDS_PER_SECOND
from featureplane.serving.reading.values import Undecodable

EPOCH = "1970-01-01T00:00:00Z"
_DAY = 86_400
_FIRST = date(1970, 1, 1)


def read_times(stored: Sequence[bytes | None]) -> list[float | None]:
    """Seconds since 1970 of each, None where none is stored. Raises Undecodable."""
    return [_seconds(each) if each is not None else None for each in stored]


def written(stored: Sequence[bytes | None]) -> list[str]:
    """Each with no more digits than it takes, in steps of three, as protobuf's JSON has them; 1970 where there is none.

    Raises Undecodable.
    """
    return [_written(each) if each is not None else EPOCH for each in stored]


def micros_of(stored: bytes) -> int:
    """Microseconds since 1970; what is finer is cut. Raises Undecodable."""
    time = _parsed(stored)
    return int(time.seconds * MICROSECONDS_PER_SECOND + time.nanos // 1000)


@lru_cache(16_384)
def _seconds(stored: bytes) -> float:
    """Rows that were copied together often have one time, and some entities are asked for again and again."""
    time = _parsed(stored)
    return float(time.seconds + time.nanos / 1e9)


@lru_cache(16_384)
def _written(stored: bytes) -> str:
    time = _parsed(stored)
    # Feast's server goes through microseconds.
    seconds, micros = divmod(time.seconds * MICROSECONDS_PER_SECOND + round(time.nanos / 1000), MICROSECONDS_PER_SECOND)
    days, clock = divmod(seconds, _DAY)
    try:
        return f"{_date(days)}T{_clock(clock)}{_fraction(micros) if micros else ''}Z"
    except OverflowError as error:
        raise Undecodable("a stored event time is beyond the year 9999") from error


def _parsed(stored: bytes) -> Timestamp:
    try:
        return Timestamp.FromString(stored)
    except DecodeError as error:
        raise Undecodable("a stored event time cannot be read") from error


@lru_cache(4096)
def _date(days: int) -> str:
    return (_FIRST + timedelta(days)).isoformat()


@lru_cache(_DAY)
def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _fraction(micros: int) -> str:
    return f".{micros // 1000:03}" if micros % 1000 == 0 else f".{micros:06}"
