"""Values of a request, from JSON or gRPC, as plain Python values of their features' types: checked, never made to fit.

    Int32, Int64, UnixTimestamp (seconds)   int        Bool                          bool
    Float32, Float64                        float      Bytes and its kin             bytes, base64 in JSON
    String, Uuid, Decimal, Json (its text)  str        ZonedTimestamp                (seconds, name of the zone)
    Array, Set                              list       Map, Struct                   dict
    ScalarMap                               its message

The rules are those of a run (materialization/encoding/conforming.py), a test compares the two: a whole number that came
as 5.0 is 5, a String may come as a whole number, and a Float that is NaN is no value at all.
"""

import binascii
import json
import math
from base64 import b64decode
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from struct import Struct
from typing import Any
from uuid import UUID

from featureplane.model.types import FeatureType
from featureplane.online.times import MICROSECONDS_PER_SECOND
from featureplane.serving.writing.misfits import Misfit, shown
from featureplane.serving.writing.moments import micros, moment, zone_of

Plain = Callable[[Any], Any]

# A time that is missing (feast/type_map.py, NULL_TIMESTAMP_INT_VALUE).
NO_TIME = -(2**63)
_SINGLE = Struct("<f")
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@lru_cache(4096)
def plain_for(kind: FeatureType) -> Plain:
    """What makes a value of the type plain; it is not asked of nulls, and answers None for a NaN. It raises Misfit."""
    if kind.name == "Array":
        assert kind.of
        return _array(kind.of)
    if kind.name == "Set":
        assert kind.of
        return _set(kind.of)
    if kind.name == "Struct":
        return _struct({name: plain_for(member) for name, member in kind.fields})
    return _SCALARS[kind.name]


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    if type(value) is int:
        return str(value)
    raise Misfit("is no String; write a text")


def _flag(value: Any) -> bool:
    if type(value) is bool:
        return value
    raise Misfit("is no Bool; write true or false")


def _whole(least: int, most: int) -> Plain:
    def plain(value: Any) -> int:
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is not int or not least <= value <= most:
            raise Misfit(f"is no whole number from {least} to {most}")
        return value

    return plain


def _double(value: Any) -> float | None:
    number = _number(value)
    return None if math.isnan(number) else number


def _number(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is int:
        return float(value)
    found = _NOT_FINITE.get(value) if type(value) is str else None
    if found is None:
        raise Misfit('is no number; write one, or "NaN", "Infinity" or "-Infinity"')
    return found


def _single(value: Any) -> float | None:
    number = _double(value)
    return None if number is None else _rounded(number)


def _rounded(number: float) -> float:
    """As single precision holds it."""
    try:
        found: tuple[float] = _SINGLE.unpack(_SINGLE.pack(number))
    except OverflowError:
        raise Misfit("is beyond what a Float32 holds; declare the feature as Float64") from None
    return found[0]


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        if type(value) is str:
            return b64decode(value, validate=True)
    except (binascii.Error, ValueError):  # a text that is not ASCII
        pass
    raise Misfit("is not base64, in which JSON has bytes")


_seconds_of_number = _whole(-(2**63), 2**63 - 1)


def _seconds(value: Any) -> int:
    """Rounded down."""
    return micros(value) // MICROSECONDS_PER_SECOND if type(value) is str else int(_seconds_of_number(value))


def _seconds_towards_zero(value: Any) -> int:
    """As Feast rounds times in arrays."""
    if type(value) is not str:
        return int(_seconds_of_number(value))
    found = micros(value)
    return found // MICROSECONDS_PER_SECOND if found >= 0 else -(-found // MICROSECONDS_PER_SECOND)


def _zoned(value: Any) -> tuple[int, str]:
    if isinstance(value, tuple):
        return value
    if type(value) is not str:
        raise Misfit("is no time with a zone; write ISO 8601, like 2026-01-31T12:00:00+01:00")
    return int(moment(value).timestamp()), zone_of(value)


def _json(value: Any) -> str:
    try:
        if type(value) is not str:
            return json.dumps(value)
        json.loads(value)
    except (ValueError, RecursionError):
        raise Misfit("is a text that is not JSON; write a document") from None
    return value


def _uuid(value: Any) -> str:
    try:
        if type(value) is str:
            UUID(value)
            return value
    except ValueError:
        pass
    raise Misfit("is no UUID")


def _decimal(value: Any) -> str:
    try:
        if type(value) is int or (type(value) is str and Decimal(value).is_finite()):
            return str(value)
    except InvalidOperation:
        pass
    raise Misfit("is no Decimal; write it as text, so that no digit is lost")


def _object(value: Any) -> dict[str, Any]:
    """Or the text of one, which Feast's SDK sends. What is in a Map tells its types by itself."""
    if type(value) is str:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise Misfit("is a text that is not JSON; write an object") from None
    if not isinstance(value, dict):
        raise Misfit("is no object")
    return value


def _scalar_map(value: Any) -> Any:
    """The message itself, which gRPC has."""
    if hasattr(value, "DESCRIPTOR"):
        return value
    raise Misfit("is no ScalarMap, and JSON has none: its keys are texts; push it over gRPC, or declare a Map")


def _struct(members: Mapping[str, Plain]) -> Plain:
    def plain(value: Any) -> dict[str, Any]:
        found = {}
        for name, member in _object(value).items():
            if name not in members:
                raise Misfit(f"has {shown(name)}, which is no field of this Struct; take it out")
            try:
                found[name] = None if member is None else members[name](member)
            except Misfit as misfit:
                raise Misfit(f"has {shown(member)} as its {name}, which {misfit}") from None
        return found

    return plain


def _array(of: FeatureType) -> Plain:
    # A NaN in an array stays one.
    element = _IN_ARRAYS.get(of.name) or plain_for(of)
    null = _NULLS.get(of.name, _REFUSED)

    def plain(value: Any) -> list[Any]:
        if type(value) is not list:
            raise Misfit("is no list")
        return [_element(each, element, null) for each in value]

    return plain


def _set(of: FeatureType) -> Plain:
    element = _IN_ARRAYS.get(of.name) or plain_for(of)

    def plain(value: Any) -> list[Any]:
        if type(value) is not list:
            raise Misfit("is no list of a set's elements")
        return list(dict.fromkeys(_element(each, element, _REFUSED) for each in value))

    return plain


def _element(value: Any, element: Plain, null: Any) -> Any:
    if value is None:
        if null is _REFUSED:
            raise Misfit("has a null among its elements; leave it out")
        return null
    try:
        return element(value)
    except Misfit as misfit:
        raise Misfit(f"has the element {shown(value)}, which {misfit}") from None


def _single_element(value: Any) -> float:
    number = _number(value)
    return number if math.isnan(number) else _rounded(number)


_REFUSED = object()
# What Feast, and a run, make of a null among elements.
_NULLS: Mapping[str, Any] = {
    **dict.fromkeys(("String", "Uuid", "TimeUuid", "Decimal"), ""), "Bytes": b"", "Bool": False, "Float32": math.nan,
    "Float64": math.nan, "UnixTimestamp": NO_TIME, "Json": "null", "Array": None, "Set": None,
}  # fmt: skip
_IN_ARRAYS: Mapping[str, Plain] = {
    "Float32": _single_element, "Float64": _number, "UnixTimestamp": _seconds_towards_zero,
}  # fmt: skip
_SCALARS: Mapping[str, Plain] = {
    "String": _text, "Bytes": _bytes, "PdfBytes": _bytes, "ImageBytes": _bytes, "Bool": _flag,
    "Int32": _whole(-(2**31), 2**31 - 1), "Int64": _whole(-(2**63), 2**63 - 1), "Float32": _single,
    "Float64": _double, "UnixTimestamp": _seconds, "ZonedTimestamp": _zoned, "Map": _object, "ScalarMap": _scalar_map,
    "Json": _json, "Uuid": _uuid, "TimeUuid": _uuid, "Decimal": _decimal,
}  # fmt: skip
