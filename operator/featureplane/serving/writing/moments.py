"""Moments as requests write them: ISO 8601, or seconds since 1970. What has no zone is UTC, as everywhere in Feast."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from featureplane.online.times import MICROSECONDS_PER_SECOND
from featureplane.serving.writing.misfits import Misfit

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# The years 1 to 9999, which a google.protobuf.Timestamp may have.
_FIRST, _LAST = -62_135_596_800 * MICROSECONDS_PER_SECOND, 253_402_300_800 * MICROSECONDS_PER_SECOND - 1
_FORM = "write ISO 8601, like 2026-01-31T12:00:00Z, or seconds since 1970"


def micros(value: Any) -> int:
    """Microseconds since 1970; what is finer is cut off. Raises Misfit."""
    if type(value) is str:
        found = _of_text(value)
    elif type(value) is int:
        found = value * MICROSECONDS_PER_SECOND
    elif type(value) is float and value == value:  # noqa: PLR0124 - a NaN is not
        found = round(max(min(value, 1e15), -1e15) * MICROSECONDS_PER_SECOND)
    else:
        raise Misfit(f"is no time; {_FORM}")
    if not _FIRST <= found <= _LAST:
        raise Misfit(f"is no time of the years 1 to 9999; {_FORM}")
    return found


@lru_cache(4096)
def _of_text(text: str) -> int:
    """Rows that are sent together often have one time."""
    return (moment(text) - _EPOCH) // _MICROSECOND


def moment(text: str) -> datetime:
    """An aware time. Raises Misfit."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Misfit(f"is no time; {_FORM}") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def zone_of(text: str) -> str:
    """The zone that a time names, as Feast keeps it (feast/type_map.py, `_zone_name`): an offset; none is empty."""
    found = datetime.fromisoformat(text).tzinfo
    return "" if found is None else str(found)
