"""Columns as serialized `feast.types.Value` messages (feast/protos/feast/types/Value.proto), one a row, '' for a null.

Columns come as `conforming` leaves them. A test compares every type with what Feast writes for the same rows.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from featureplane.materialization.encoding.ragged import (
    Ints,
    Piece,
    binary,
    by_number,
    compact,
    constant,
    join,
    lengths,
    varint,
    varints,
)
from featureplane.model.types import FeatureType
from featureplane.registry.protos import Value

# Wire types of protobuf.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# What a repeated field of a list message is tagged with: its only field, number 1.
_ELEMENTS = b"\x0a"
# What Feast writes for a time that is missing (feast/type_map.py, NULL_TIMESTAMP_INT_VALUE).
NO_TIME = np.iinfo(np.int64).min

# The field of Value that holds a scalar. Feast keeps documents and pictures as bytes.
_FIELDS: Mapping[str, str] = {
    "String": "string_val", "Bytes": "bytes_val", "PdfBytes": "bytes_val", "ImageBytes": "bytes_val",
    "Bool": "bool_val", "Int32": "int32_val", "Int64": "int64_val", "Float32": "float_val", "Float64": "double_val",
    "UnixTimestamp": "unix_timestamp_val", "Uuid": "uuid_val", "TimeUuid": "time_uuid_val", "Decimal": "decimal_val",
}  # fmt: skip
_FLOATS: Mapping[str, type] = {"Float32": np.float32, "Float64": np.float64}
_INTEGERS = frozenset({"Bool", "Int32", "Int64", "UnixTimestamp"})
_TEXTS = frozenset(_FIELDS) - _INTEGERS - frozenset(_FLOATS)


def is_columnar(kind: FeatureType) -> bool:
    """Whether values of the type are encoded here; Feast's own code does the others (`feast_values`)."""
    of = kind.of if kind.name == "Array" else kind
    return of is not None and of.name in _FIELDS and not of.fields and of.of is None


def encode(column: pa.Array, kind: FeatureType) -> Piece:
    """A column of n as the serialized values of n rows: a piece (see `ragged`)."""
    if kind.name == "Array":
        assert kind.of
        return _list(column, kind.of.name)
    scalar: Callable[[pa.Array, str], Piece] = (
        _float if kind.name in _FLOATS else _integer if kind.name in _INTEGERS else _text
    )
    return scalar(column, kind.name)


def _tag(field: str, wire: int) -> bytes:
    return varint(Value.DESCRIPTOR.fields_by_name[field].number << 3 | wire)


def _valid(column: pa.Array) -> Any:
    """Which rows hold a value, bool of n; None where all do."""
    return column.is_valid().to_numpy(zero_copy_only=False) if column.null_count else None


def _little_endian(values: Any) -> Any:
    """Numbers as the bytes of each, n x width."""
    flat = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    return flat.view(np.uint8).reshape(len(flat), flat.dtype.itemsize)


def _or_nothing(piece: Any, valid: Any) -> Piece:
    """The matrix' rows, but nothing in those that hold no value."""
    if valid is None:
        return piece
    return compact(piece, np.where(valid, piece.shape[1], 0))


def _float(column: pa.Array, name: str) -> Piece:
    kind = _FLOATS[name]
    valid = _valid(column)
    values = column.fill_null(0) if valid is not None else column
    numbers = values.to_numpy(zero_copy_only=False).astype(kind, copy=False)
    tag = _tag(_FIELDS[name], _FIXED32 if kind is np.float32 else _FIXED64)
    return _or_nothing(np.concatenate([constant(tag, len(column)), _little_endian(numbers)], axis=1), valid)


def _numbers(column: pa.Array, instead: int) -> Ints:
    """Whole numbers, times or booleans, with a number instead of each null."""
    found: Ints = column.cast(pa.int64()).fill_null(instead).to_numpy(zero_copy_only=False)
    return found


def _integer(column: pa.Array, name: str) -> Piece:
    is_time = name == "UnixTimestamp"
    matrix, counts = varints(_numbers(column, NO_TIME if is_time else 0))
    tag = _tag(_FIELDS[name], _VARINT)
    whole = np.concatenate([constant(tag, len(column)), matrix], axis=1)
    counts = counts + len(tag)
    valid = None if is_time else _valid(column)
    return compact(whole, counts if valid is None else np.where(valid, counts, 0))


def _text(column: pa.Array, name: str) -> Piece:
    valid = _valid(column)
    content = column.cast(pa.binary())
    content = content.fill_null(b"") if valid is not None else content
    sizes = lengths(content)
    tag = _tag(_FIELDS[name], _BYTES)
    sizes = sizes if valid is None else np.where(valid, sizes, -1)
    return join(len(column), [by_number(sizes, lambda size: b"" if size < 0 else tag + varint(size)), content])


def _list(column: pa.Array, name: str) -> Piece:
    """Lists of scalars: numbers packed one behind the other, texts each with a tag and its length."""
    valid = _valid(column)
    counts = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(counts)])
    content = _elements(pc.list_flatten(column), name, starts)
    sizes = lengths(content)
    tag = _tag(f"{_FIELDS[name].removesuffix('_val')}_list_val", _BYTES)
    packed = name not in _TEXTS

    def header(size: int) -> bytes:
        if size < 0:
            return b""
        inner = _ELEMENTS + varint(size) if packed and size else b""
        return tag + varint(len(inner) + size) + inner

    sizes = sizes if valid is None else np.where(valid, sizes, -1)
    return join(len(column), [by_number(sizes, header), content])


def _elements(flat: pa.Array, name: str, starts: Ints) -> pa.BinaryArray:
    """The encoded elements of each list: those from one start to the next. A null among them is what Feast makes it."""
    if name in _FLOATS:
        kind = _FLOATS[name]
        numbers = flat.fill_null(float("nan")).to_numpy(zero_copy_only=False).astype(kind, copy=False)
        return binary(starts * numbers.itemsize, pa.py_buffer(_little_endian(numbers)))
    if name in _INTEGERS:
        # Whole rows with a null among their numbers were turned away; what is left are booleans and times.
        matrix, sizes = varints(_numbers(flat, NO_TIME if name == "UnixTimestamp" else 0))
        data = matrix[np.arange(matrix.shape[1])[None, :] < sizes[:, None]]
        return binary(np.concatenate([[0], np.cumsum(sizes)])[starts], pa.py_buffer(data))
    content = flat.cast(pa.binary()).fill_null(b"")
    sizes = lengths(content)
    whole = join(len(content), [_ELEMENTS, by_number(sizes, varint), content])
    ends = np.concatenate([[0], np.cumsum(lengths(whole))])
    begin = int(np.frombuffer(whole.buffers()[1], np.int32)[whole.offset]) if len(whole) else 0
    return binary(ends[starts] + begin, whole.buffers()[2] or pa.py_buffer(b""))
