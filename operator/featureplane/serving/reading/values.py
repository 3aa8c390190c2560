"""Serialized values of a feature to what JSON says of them, a whole column at a time.

Feast stores a `feast.types.Value` in each field of a hash; a null is an empty one. What JSON shows follows Feast's own
server (feast/feature_server_utils.py, `_value_to_native`): bytes are base64, numbers that JSON has not are text, a
moment with a zone is ISO 8601, maps with keys that are no text are null. A test compares the two for every type.
"""

import base64
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from itertools import chain
from struct import Struct
from typing import Any
from zoneinfo import ZoneInfo

from google.protobuf.message import DecodeError

from featureplane.registry.protos import Value

# A time that is missing (feast/type_map.py, NULL_TIMESTAMP_INT_VALUE).
_NO_TIME = -(2**63)

# Tags of fields of feast.types.Value, as they begin a serialized one: number << 3 | wire type.
_DOUBLE, _FLOAT = 0x29, 0x35
_STRING, _INT32, _INT64, _BOOL, _TIME = 0x12, 0x18, 0x20, 0x38, 0x40
_WIDTHS = {_DOUBLE: ("xd", 9), _FLOAT: ("xf", 5)}
# Layouts of so many numbers are kept, at some 30 bytes a number.
_SMALL = 8_192
# Up to here the length of a text is one byte, and so is a number.
_SHORT = 0x80


class Undecodable(Exception):
    """Something in Redis that is no value of Feast's."""


def numbers_of(columns: Sequence[Sequence[bytes | None]]) -> tuple[float, ...] | None:
    """The values of columns of one length, one column after the other, where all are finite floats of one type."""
    first = columns[0][0] if columns and columns[0] else None
    if not first or first[0] not in _WIDTHS:
        return None
    return _numbers(chain.from_iterable(columns), first[0], len(columns[0]) * len(columns))


def decode(column: Sequence[bytes | None]) -> Sequence[Any]:
    """What JSON says of each; None for a null and for what is not there. Raises Undecodable."""
    first = next(filter(None, column), None)
    if first is None:
        return [None] * len(column)
    tag = first[0]
    if tag in _WIDTHS:
        found = _numbers(column, tag, len(column))
        if found is not None:
            return found
    try:
        one = _SHORTCUTS.get(tag, _any)
        return [one(value) if value else None for value in column]
    except (DecodeError, ValueError, OverflowError, OSError) as error:
        raise Undecodable(f"a stored value cannot be read ({type(error).__name__})") from error


def _numbers(values: Iterable[bytes | None], tag: int, count: int) -> tuple[float, ...] | None:
    """All `count` at once, where each is there and finite."""
    try:
        joined = b"".join(values)  # type: ignore[arg-type]  # a TypeError is the answer to whether one is missing
    except TypeError:
        return None
    kind, width = _WIDTHS[tag]
    if len(joined) != width * count or joined[::width] != bytes((tag,)) * count:
        return None
    numbers = _layout(kind, count).unpack(joined)
    # What is not finite makes the sum so.
    return numbers if math.isfinite(sum(numbers)) else None


def _layout(kind: str, count: int) -> Struct:
    return _small_layout(kind, count) if count <= _SMALL else Struct("<" + kind * count)


@lru_cache(256)
def _small_layout(kind: str, count: int) -> Struct:
    return Struct("<" + kind * count)


def _text(value: bytes) -> Any:
    if value[0] == _STRING and len(value) > 1 and value[1] < _SHORT and len(value) == value[1] + 2:
        return value[2:].decode()
    return _any(value)


def _whole(value: bytes) -> Any:
    if len(value) == 2 and value[0] in _WHOLE and value[1] < _SHORT:  # noqa: PLR2004 - a tag and a byte
        return value[1]
    return _any(value)


def _flag(value: bytes) -> Any:
    if value == b"\x38\x01":
        return True
    return False if value == b"\x38\x00" else _any(value)


def _single(value: bytes) -> Any:
    return _number(*_ONE_FLOAT(value, 1)) if value[0] == _FLOAT and len(value) == _WIDTHS[_FLOAT][1] else _any(value)


def _double(value: bytes) -> Any:
    return _number(*_ONE_DOUBLE(value, 1)) if value[0] == _DOUBLE and len(value) == _WIDTHS[_DOUBLE][1] else _any(value)


_ONE_FLOAT, _ONE_DOUBLE = Struct("<f").unpack_from, Struct("<d").unpack_from
_WHOLE = {_INT32, _INT64, _TIME}
_SHORTCUTS: dict[int, Callable[[bytes], Any]] = {
    _STRING: _text, _BOOL: _flag, _FLOAT: _single, _DOUBLE: _double, **dict.fromkeys(_WHOLE, _whole),
}  # fmt: skip


def _any(value: bytes) -> Any:
    return native(Value.FromString(value))


def native(value: Any) -> Any:
    """What JSON says of a message of type `feast.types.Value`."""
    field = value.WhichOneof("val")
    return _FORMS[field](getattr(value, field)) if field is not None else None


def _as_it_is(held: Any) -> Any:
    return held


def _base64(held: bytes) -> str:
    return base64.b64encode(held).decode("ascii")


def _numbers_of(held: Any) -> list[float | str]:
    numbers = list(held.val)
    return numbers if math.isfinite(sum(numbers)) else [_number(each) for each in numbers]


def _number(number: float) -> float | str:
    """JSON has no other numbers than finite ones; the text is that of protobuf's JSON."""
    if math.isfinite(number):
        return number
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def _mapping(message: Any) -> dict[str, Any]:
    return {key: native(each) for key, each in message.val.items()}


def _zoned(moment: Any) -> str | None:
    if moment.unix_timestamp == _NO_TIME:
        return None
    return datetime.fromtimestamp(moment.unix_timestamp, tz=_zone(moment.zone)).isoformat()


@lru_cache(1024)
def _zone(name: str) -> tzinfo:
    """A zone by the name that Feast stores: IANA's, or an offset like UTC-07:00; what is neither is UTC."""
    if not name:
        return UTC
    with suppress(ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        try:
            return ZoneInfo(name)
        except KeyError:
            pass
    found = re.fullmatch(r"(?:UTC|GMT)?([+-])(\d{2}):?(\d{2})", name.strip())
    if found is None:
        return UTC
    sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-offset if sign == "-" else offset)


_TEXTS = ("string_val", "json_val", "uuid_val", "time_uuid_val", "decimal_val")
_LISTS = ("bool", "int32", "int64", "string", "unix_timestamp", "uuid", "time_uuid", "decimal")
_FORMS: Mapping[str, Callable[[Any], Any]] = {
    "null_val": lambda _: None,
    # Feast's server has no form for it.
    "scalar_map_val": lambda _: None,
    **dict.fromkeys((*_TEXTS, "int32_val", "int64_val", "bool_val", "unix_timestamp_val"), _as_it_is),
    **dict.fromkeys(("double_val", "float_val"), _number),
    "bytes_val": _base64,
    "zoned_timestamp_val": _zoned,
    **dict.fromkeys(("map_val", "struct_val"), _mapping),
    **dict.fromkeys(("map_list_val", "struct_list_val"), lambda held: [_mapping(each) for each in held.val]),
    **dict.fromkeys(("list_val", "set_val"), lambda held: [native(each) for each in held.val]),
    **{f"{kind}_{form}_val": lambda held: list(held.val) for kind in _LISTS for form in ("list", "set")},
    "json_list_val": lambda held: list(held.val),
    **{f"{kind}_{form}_val": _numbers_of for kind in ("double", "float") for form in ("list", "set")},
    **{f"bytes_{form}_val": lambda held: [_base64(each) for each in held.val] for form in ("list", "set")},
}
