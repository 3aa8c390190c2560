"""Whether two serialized `feast.types.Value`s are the same value of a feature's type. Pure.

Both are read as the feature server reads them. Bytes that differ may be the same value all the same: a map has its
entries in any order, a client may have pushed a whole number in another width, and a missing value has several forms.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from featureplane.model.types import FeatureType
from featureplane.registry.protos import Value
from featureplane.serving.reading.values import native

# What the server says of a value that is no finite number; as a feature it is a missing one (see `conforming`).
_NAN = "NaN"
_NO_TIME = -(2**63)
_NUMBERS = frozenset({"int32_val", "int64_val", "float_val", "double_val"})
_FLOATS = frozenset({"Float32", "Float64"})
UNREADABLE = "<unreadable>"


def is_same(online: bytes | None, offline: bytes | None, kind: FeatureType) -> bool:
    """Whether they are one value; nothing at all is a null."""
    if (online or b"") == (offline or b""):
        return True
    first, second = _parsed(online), _parsed(offline)
    if first is None or second is None:
        return False
    fields = first.WhichOneof("val"), second.WhichOneof("val")
    values = shown(online), shown(offline)
    if None in values:
        return values == (None, None) and "scalar_map_val" not in fields
    if fields[0] != fields[1] and not _NUMBERS.issuperset(fields):
        return False
    return first == second or _alike(*values, kind)


def shown(stored: bytes | None) -> Any:
    """What the server says of a value: None for one that is missing."""
    message = _parsed(stored)
    if message is None:
        return UNREADABLE
    try:
        value = native(message)
    except (ValueError, OverflowError, OSError, KeyError):
        return UNREADABLE
    field = message.WhichOneof("val")
    is_missing = (field == "unix_timestamp_val" and value == _NO_TIME) or (
        field in {"float_val", "double_val"} and value == _NAN
    )
    return None if is_missing else value


def distance(online: bytes | None, offline: bytes | None) -> float:
    """How far apart two values are that are not the same: numbers by their size, up to 2, all others 1."""
    first, second = shown(online), shown(offline)
    if not (_is_number(first) and _is_number(second)):
        return 1.0
    return float(abs(first - second) / max(abs(first), abs(second), 1e-300))


def _parsed(stored: bytes | None) -> Any:
    """The message, None for what is none."""
    try:
        return Value.FromString(stored or b"")
    except DecodeError:
        return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _alike(first: Any, second: Any, kind: FeatureType | None) -> bool:
    """Values as the server says them, compared in the precision of their type."""
    if isinstance(first, list) and isinstance(second, list):
        return _lists_alike(first, second, kind)
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        inner = dict(kind.fields) if kind else {}
        return first.keys() == second.keys() and all(_alike(first[key], second[key], inner.get(key)) for key in first)
    if kind is not None and kind.name in _FLOATS and _is_number(first) and _is_number(second):
        return _rounded(first, kind) == _rounded(second, kind)
    return type(first) is type(second) and bool(first == second)


def _lists_alike(first: list[Any], second: list[Any], kind: FeatureType | None) -> bool:
    if len(first) != len(second):
        return False
    if kind is not None and kind.name == "Set":
        first, second = sorted(first, key=repr), sorted(second, key=repr)
    inner = kind.of if kind else None
    return all(_alike(one, other, inner) for one, other in zip(first, second, strict=True))


def _rounded(number: float, kind: FeatureType) -> float:
    if kind.name == "Float64":
        return float(number)
    with np.errstate(over="ignore"):
        return float(np.float32(number))
