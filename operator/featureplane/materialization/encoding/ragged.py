"""Byte strings of different lengths, a row each, put together without a Python object for any of them.

A piece of a row is the same for all rows (`bytes`), of one width in all rows (a matrix of uint8, n x width), or of
different widths (an Arrow binary array of n). `join` makes rows of pieces.
"""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Bytes2D = NDArray[np.uint8]
Ints = NDArray[np.int64]
Piece = Any

_LONGEST_VARINT = 10


def binary(offsets: Any, data: Any) -> pa.BinaryArray:
    """A binary array over a buffer: `offsets` are n + 1 ascending positions in it. Raises ValueError beyond 2 GB."""
    if len(offsets) and offsets[-1] > np.iinfo(np.int32).max:
        raise ValueError("a batch has more than 2 GB in one column")
    narrow = np.ascontiguousarray(offsets, dtype=np.int32)
    return pa.Array.from_buffers(pa.binary(), len(narrow) - 1, [None, pa.py_buffer(narrow), data])


def fixed(matrix: Bytes2D) -> pa.BinaryArray:
    """The rows of a matrix, n x width, as a binary array."""
    rows, width = matrix.shape
    return binary(np.arange(rows + 1, dtype=np.int64) * width, pa.py_buffer(np.ascontiguousarray(matrix)))


def constant(text: bytes, rows: int) -> Bytes2D:
    """The same bytes in every row, as a matrix."""
    return np.broadcast_to(np.frombuffer(text, np.uint8), (rows, len(text)))


def join(rows: int, pieces: Sequence[Piece]) -> pa.BinaryArray:
    """The pieces of each row, one behind the other."""
    merged: list[Any] = []
    for is_fixed, group in groupby(pieces, key=lambda piece: isinstance(piece, bytes | np.ndarray)):
        found = list(group)
        if not is_fixed:
            merged += found
        elif all(isinstance(piece, bytes) for piece in found):
            merged.append(pa.scalar(b"".join(found), pa.binary()))
        else:
            matrices = [constant(piece, rows) if isinstance(piece, bytes) else piece for piece in found]
            merged.append(fixed(np.concatenate(matrices, axis=1)))
    if len(merged) == 1 and isinstance(merged[0], pa.Array):
        return merged[0]
    if all(isinstance(piece, pa.Scalar) for piece in merged):
        return fixed(constant(b"".join(piece.as_py() for piece in merged), rows))
    return pc.binary_join_element_wise(*merged, pa.scalar(b"", pa.binary()))


def lengths(column: pa.BinaryArray) -> Ints:
    """How many bytes each row has."""
    return np.diff(offsets(column)).astype(np.int64)


def offsets(column: pa.BinaryArray) -> NDArray[np.int32]:
    """Where each row begins, and the last one ends, in the column's own data buffer."""
    return np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]


def by_number(numbers: Ints, make: Callable[[int], bytes]) -> Piece:
    """`make(number)` for every row; it is called once for each number that occurs."""
    if not len(numbers):
        return b""
    first = int(numbers[0])
    if (numbers == first).all():
        return make(first)
    found, inverse = np.unique(numbers, return_inverse=True)
    return pa.array([make(int(number)) for number in found], pa.binary()).take(pa.array(inverse))


def varint(number: int) -> bytes:
    """One number, not negative, in protobuf's base 128 (protobuf.dev, "Encoding")."""
    low = []
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        low.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*low, number])


def varints(values: Ints) -> tuple[Bytes2D, Ints]:
    """Numbers in base 128, a row each: the bytes, n x longest, and how many of a row's count. Negatives take ten."""
    unsigned = values.astype(np.int64, copy=False).view(np.uint64)
    counts = np.ones(len(values), np.int64)
    for more in range(1, _LONGEST_VARINT):
        above = unsigned >= np.uint64(1 << (7 * more))
        if not above.any():
            break
        counts += above
    longest = int(counts.max(initial=1))
    shifts = (np.arange(longest, dtype=np.uint64) * 7)[None, :]
    matrix = ((unsigned[:, None] >> shifts) & np.uint64(0x7F)).astype(np.uint8)
    goes_on = np.arange(longest)[None, :] < (counts - 1)[:, None]
    matrix |= goes_on.astype(np.uint8) << 7
    return matrix, counts


def compact(matrix: Bytes2D, counts: Ints) -> Piece:
    """The first bytes of each row, as many as its count; a matrix again where all have as many."""
    width = matrix.shape[1]
    if len(counts) and (counts == counts[0]).all():
        return matrix[:, : int(counts[0])]
    data = matrix[np.arange(width)[None, :] < counts[:, None]]
    return binary(np.concatenate([[0], np.cumsum(counts)]), pa.py_buffer(data))
