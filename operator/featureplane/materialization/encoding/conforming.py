"""Columns as their features' types ask for them: whatever the source's type, one Arrow type for each of Feast's.

Strings are `string`, bytes `binary`, numbers of their width (both integers `int64`), times `int64` seconds since 1970,
arrays lists of these. A row whose value cannot be what the feature declares is named, and never made to fit.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from featureplane.errors import SourceError
from featureplane.materialization.encoding.values import is_columnar
from featureplane.materialization.rows import View
from featureplane.model.types import FeatureType, parse_type

Mask = NDArray[np.bool_]

_BITS = {"Int32": 32, "Int64": 64}
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DAY = 86_400
# Doubles below it are whole numbers of 64 bits.
_BEYOND_INT64 = 2.0**63


@dataclass(frozen=True)
class Conforming:
    """A column of n, and which of its rows hold something else than the feature's type (None: none of them)."""

    column: pa.Array
    wrong: Mask | None = None
    why: str = ""


def whole(key: Conforming) -> Conforming:
    """A join key's column, in which a row without a value is wrong: no entity has it."""
    if not key.column.null_count:
        return key
    missing = key.column.is_null().to_numpy(zero_copy_only=False)
    wrong = missing if key.wrong is None else missing | key.wrong
    return Conforming(key.column, wrong, key.why or "is no value that an entity can have")


class WrongType(TypeError):
    """The whole column is of a type that the feature's values cannot come from."""


def conform(column: pa.Array, kind: FeatureType) -> Conforming:
    """The column in the form that the encoder takes. Raises WrongType."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_null(column.type):
        return Conforming(pa.nulls(len(column), _CANONICAL[kind.name]()) if kind.name in _CANONICAL else column)
    if not is_columnar(kind):
        return Conforming(column)
    try:
        if kind.name == "Array":
            assert kind.of
            return _array(column, kind.of)
        return _SCALARS[kind.name](column, kind)
    except pa.ArrowInvalid as error:
        raise WrongType(f"a column of {column.type} is no {kind}: {error}") from error


def conform_in(batch: pa.RecordBatch, name: str, view: View) -> Conforming:
    """The batch's column of one of the view's keys or features. Raises SourceError, naming the source's column."""
    kind = dict((*view.keys, *view.features))[name]
    try:
        return conform(batch.column(name), parse_type(kind))
    except WrongType as error:
        column = view.columns[name]
        raise SourceError(f"{name}: the column {column!r}: {error}; correct the type or the source") from error


def conformed(batch: pa.RecordBatch, view: View) -> dict[str, Conforming]:
    """All of the view's keys and features in a batch. Raises SourceError."""
    keys = {name: whole(conform_in(batch, name, view)) for name, _ in view.keys}
    return keys | {name: conform_in(batch, name, view) for name, _ in view.features}


def _refuse(column: pa.Array, kind: FeatureType) -> WrongType:
    return WrongType(f"a column of {column.type} is no {kind}")


def _text(column: pa.Array, kind: FeatureType) -> Conforming:
    if pa.types.is_integer(column.type) and kind.name == "String":
        return Conforming(column.cast(pa.string()))
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return Conforming(column.cast(pa.string()))
    if pa.types.is_string_view(column.type):
        return Conforming(column.cast(pa.string()))
    if pa.types.is_decimal(column.type) and kind.name == "Decimal":
        return Conforming(pa.array([None if each is None else str(each) for each in column.to_pylist()], pa.string()))
    raise _refuse(column, kind)


def _bytes(column: pa.Array, kind: FeatureType) -> Conforming:
    types = pa.types
    if (
        types.is_binary(column.type)
        or types.is_large_binary(column.type)
        or types.is_fixed_size_binary(column.type)
        or types.is_binary_view(column.type)
    ):
        return Conforming(column.cast(pa.binary()))
    raise _refuse(column, kind)


def _bool(column: pa.Array, kind: FeatureType) -> Conforming:
    if pa.types.is_boolean(column.type):
        return Conforming(column)
    raise _refuse(column, kind)


def _float(column: pa.Array, kind: FeatureType) -> Conforming:
    types = pa.types
    if types.is_decimal(column.type) or types.is_integer(column.type):
        column = column.cast(pa.float64(), safe=False)
    if not types.is_floating(column.type):
        raise _refuse(column, kind)
    # What no number is, is missing: Feast asks pandas' isnull.
    column = pc.if_else(pc.is_nan(column), None, column) if _has_nan(column) else column
    if kind.name == "Float64":
        return Conforming(column.cast(pa.float64()))
    return Conforming(column.cast(pa.float32(), safe=False))


def _has_nan(column: pa.Array) -> bool:
    return bool(pc.any(pc.is_nan(column)).as_py())


def _integer(column: pa.Array, kind: FeatureType) -> Conforming:
    bits = _BITS[kind.name]
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    if pa.types.is_integer(column.type):
        wrong = _outside(column, low, high)
        whole = column if wrong is None else pc.if_else(pa.array(wrong), None, column)
        return Conforming(whole.cast(pa.int64()), wrong, f"is not from {low} to {high}")
    if not pa.types.is_floating(column.type):
        raise _refuse(column, kind)
    # A file written from pandas has whole numbers as doubles where some are missing.
    numbers = pc.fill_null(column, float("nan")).to_numpy(zero_copy_only=False).astype(np.float64)
    missing = np.isnan(numbers)
    with np.errstate(invalid="ignore"):
        beyond = (numbers >= _BEYOND_INT64) | (numbers < -_BEYOND_INT64) | (numbers > high) | (numbers < low)
        bad = ~missing & (beyond | (numbers != np.trunc(numbers)))
    values = np.where(missing | bad, 0.0, numbers).astype(np.int64)
    found = pa.array(values, mask=missing | bad)
    return Conforming(found, bad if bad.any() else None, f"is no whole number from {low} to {high}")


def _outside(column: pa.Array, low: int, high: int) -> Mask | None:
    """Integers beyond the bounds, if any; only a wider or unsigned type can hold them."""
    width = column.type.bit_width
    signed = pa.types.is_signed_integer(column.type)
    if (2 ** (width - 1) - 1 if signed else 2**width - 1) <= high:
        return None
    above = pc.greater(column, pa.scalar(high, column.type))
    bad = pc.or_(above, pc.less(column, pa.scalar(low, column.type))) if signed else above
    found: Mask = bad.fill_null(False).to_numpy(zero_copy_only=False)
    return found if found.any() else None


def _time(column: pa.Array, kind: FeatureType) -> Conforming:
    """Seconds since 1970, rounded down. A time without a zone is UTC, as everywhere in Feast."""
    return _seconds(column, kind, np.floor_divide)


def _seconds(column: pa.Array, kind: FeatureType, divide: Callable[[Any, int], Any]) -> Conforming:
    if pa.types.is_date(column.type):
        return Conforming(pc.multiply(column.cast(pa.date32()).cast(pa.int32()).cast(pa.int64()), _DAY))
    if pa.types.is_integer(column.type):
        return Conforming(column.cast(pa.int64()))
    if not pa.types.is_timestamp(column.type):
        raise _refuse(column, kind)
    ticks = column.cast(pa.int64())
    per_second = _PER_SECOND[column.type.unit]
    if per_second == 1:
        return Conforming(ticks)
    numbers = divide(ticks.fill_null(0).to_numpy(zero_copy_only=False), per_second)
    missing = ticks.is_null().to_numpy(zero_copy_only=False) if ticks.null_count else None
    return Conforming(pa.array(numbers, mask=missing))


def _towards_zero(ticks: Any, per_second: int) -> Any:
    return np.sign(ticks) * (np.abs(ticks) // per_second)


def is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _array(column: pa.Array, of: FeatureType) -> Conforming:
    if not is_list(column.type):
        raise WrongType(f"a column of {column.type} is no Array({of})")
    counts = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(counts)])
    flat = pc.list_flatten(column)
    # Feast rounds the times in an array towards 1970, and a time of its own down.
    inner = _seconds(flat, of, _towards_zero) if of.name == "UnixTimestamp" else conform(flat, of)
    # Feast has no null among numbers: its own run ends with an error.
    nulls = inner.column.is_null().to_numpy(zero_copy_only=False) if of.name in _BITS else None
    wrong, why = inner.wrong, inner.why
    if nulls is not None and nulls.any():
        wrong, why = nulls, inner.why if inner.wrong is not None else "has a null among its numbers"
    missing = column.is_null() if column.null_count else None
    lists = pa.ListArray.from_arrays(pa.array(starts, pa.int32()), inner.column, mask=missing)
    return Conforming(lists, None if wrong is None else _rows_with(wrong, starts), why)


def _rows_with(elements: Mask, starts: Any) -> Mask | None:
    found = np.concatenate([[0], np.cumsum(elements)])
    wrong: Mask = np.diff(found[starts]) > 0
    return wrong if wrong.any() else None


_SCALARS: Mapping[str, Callable[[pa.Array, FeatureType], Conforming]] = {
    **dict.fromkeys(("String", "Uuid", "TimeUuid", "Decimal"), _text),
    **dict.fromkeys(("Bytes", "PdfBytes", "ImageBytes"), _bytes),
    **dict.fromkeys(("Float32", "Float64"), _float),
    **dict.fromkeys(("Int32", "Int64"), _integer),
    "Bool": _bool,
    "UnixTimestamp": _time,
}
_CANONICAL: Mapping[str, Callable[[], pa.DataType]] = {
    **dict.fromkeys(("String", "Uuid", "TimeUuid", "Decimal"), pa.string),
    **dict.fromkeys(("Bytes", "PdfBytes", "ImageBytes"), pa.binary),
    **dict.fromkeys(("Int32", "Int64", "UnixTimestamp"), pa.int64),
    "Float32": pa.float32,
    "Float64": pa.float64,
    "Bool": pa.bool_,
}
