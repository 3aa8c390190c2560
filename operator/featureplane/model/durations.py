"""Durations as people write them in Kubernetes and Feast: `90m`, `2d`, `1h30m`."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from featureplane.model.base import shown, wrong

# Days to seconds, each at most once and in this order: what cannot be misread is the only spelling.
PATTERN = r"^([0-9]{1,5}d)?([0-9]{1,6}h)?([0-9]{1,8}m)?([0-9]{1,9}s)?$"
_PARTS = re.compile(
    r"(?:(?P<days>\d{1,5})d)?(?:(?P<hours>\d{1,6})h)?(?:(?P<minutes>\d{1,8})m)?(?:(?P<seconds>\d{1,9})s)?", re.ASCII
)

# A hundred years: longer than any window or ttl means something, and far inside protobuf's Duration.
LONGEST = timedelta(days=36_500)


def parse_duration(text: str) -> timedelta:
    """`1h30m` to a timedelta of whole seconds, longer than nothing and at most `LONGEST`.

    Raises ValueError with what is wrong and what to write.
    """
    parts = _PARTS.fullmatch(text)
    if parts is None or not text:
        raise ValueError(
            "is not a duration; write days, hours, minutes and seconds in this order, like 90m, 2d or 1h30m"
        )
    value = timedelta(**{unit: int(number) for unit, number in parts.groupdict().items() if number})
    if not value:
        raise ValueError("is no time at all; write at least 1s, or leave the field out")
    if value > LONGEST:
        raise ValueError(f"is longer than {format_duration(LONGEST)}; write less, or leave the field out")
    return value


def format_duration(value: timedelta) -> str:
    """The shortest spelling that `parse_duration` reads back: whole seconds, parts of zero left out."""
    seconds = int(value.total_seconds())
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def _validate(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise wrong(f"must be a duration, not {shown(value)}", "write a number with its unit, like 90m, 2d or 1h30m")
    try:
        return parse_duration(value)
    except ValueError as error:
        why, _, remedy = str(error).partition("; ")
        raise wrong(f"{shown(value)} {why}", remedy) from None


Duration = Annotated[
    timedelta,
    BeforeValidator(_validate),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "minLength": 2, "maxLength": 32, "pattern": PATTERN}),
]
