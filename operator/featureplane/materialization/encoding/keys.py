"""The Redis keys of a batch's rows: see `online.layout` for what they are made of."""

from typing import Any

import numpy as np
import pyarrow as pa

from featureplane.materialization.encoding.ragged import Piece, by_number, constant, join, lengths
from featureplane.online.layout import VALUE_TYPES, Keys, prefix

_WIDTHS: dict[str, Any] = {"Int32": np.dtype("<i4"), "Int64": np.dtype("<i8"), "UnixTimestamp": np.dtype("<i8")}


def encode_keys(columns: dict[str, pa.Array], keys: Keys, project: str) -> pa.BinaryArray:
    """A key for each row; `columns` are the join keys' without nulls, as `conforming` leaves them."""
    rows = len(next(iter(columns.values()))) if columns else 0
    pieces: list[Piece] = [prefix(keys)]
    for name, kind in keys:
        pieces += _value(columns[name], kind, rows)
    return join(rows, [*pieces, project.encode()])


def _value(column: pa.Array, kind: str, rows: int) -> list[Piece]:
    """Type, length and bytes of one join key's value."""
    type_ = VALUE_TYPES[kind].to_bytes(4, "little")
    if kind in _WIDTHS:
        numbers: Any = np.ascontiguousarray(column.to_numpy(zero_copy_only=False), dtype=_WIDTHS[kind])
        width = numbers.dtype.itemsize
        return [constant(type_ + width.to_bytes(4, "little"), rows), numbers.view(np.uint8).reshape(rows, width)]
    content = column.cast(pa.binary())
    return [type_, by_number(lengths(content), lambda length: length.to_bytes(4, "little")), content]
