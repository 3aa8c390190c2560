"""Redis commands as Arrow arrays, a row each: put together by Arrow, never row by row in Python. Pure.

A command is an array of bulk strings (RESP, "Sending commands to a Redis server"). Rows that are null are not sent.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Pieces = Any
"""An Arrow binary array with a row each, or the bytes that all rows share."""

# Up to here a table with every length is made, beyond it one with those that occur.
_TABLE = 1024


def bulk(value: bytes) -> bytes:
    """A bulk string."""
    return b"$%d\r\n%b\r\n" % (len(value), value)


def bulks(*values: bytes) -> bytes:
    """Bulk strings, one behind the other."""
    return b"".join(bulk(value) for value in values)


def begin(*words: bytes, more: int) -> bytes:
    """A command's first words, before `more` others."""
    return b"*%d\r\n" % (len(words) + more) + bulks(*words)


def joined(*pieces: Pieces) -> pa.BinaryArray:
    """The pieces of each row one behind the other; null where one of them is."""
    return pc.binary_join_element_wise(*pieces, b"")


def texts(numbers: NDArray[Any], form: Callable[[int], bytes]) -> Pieces:
    """Numbers from 0, each in its form."""
    if not len(numbers):
        return pa.array([], pa.binary())
    most = int(numbers.max())
    if most == int(numbers.min()):
        return form(most)
    table, which = np.arange(most + 1), numbers
    if most >= _TABLE:
        table, which = np.unique(numbers, return_inverse=True)
    return pa.array([form(number) for number in table.tolist()], pa.binary()).take(pa.array(which))


def bulk_array(values: pa.BinaryArray) -> pa.BinaryArray:
    """Each row's value as a bulk string."""
    return joined(texts(pc.binary_length(values).to_numpy(), lambda length: b"$%d\r\n" % length), values, b"\r\n")


def numbers(values: NDArray[Any]) -> pa.BinaryArray:
    """Each row's number as a bulk string of decimal digits."""
    return bulk_array(pa.array(values).cast(pa.string()).cast(pa.binary()))


def packed(large: NDArray[Any], small: NDArray[Any]) -> pa.BinaryArray:
    """A pair of integers a row as one bulk string of 12 bytes, big-endian: what a script reads as `>i8>i4`."""
    rows = np.empty(len(large), np.dtype([("head", "S5"), ("large", ">i8"), ("small", ">i4"), ("end", "S2")]))
    rows["head"], rows["large"], rows["small"], rows["end"] = b"$12\r\n", large, small, b"\r\n"
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * rows.dtype.itemsize
    return pa.BinaryArray.from_buffers(pa.binary(), len(rows), [None, pa.py_buffer(offsets), pa.py_buffer(rows)])


def only_where(mask: NDArray[np.bool_], pieces: Pieces, otherwise: bytes | None = b"") -> Pieces:
    """The pieces of the rows of the mask; of others what `otherwise` says, None being null."""
    if mask.all():
        return pieces
    values = pa.scalar(pieces, pa.binary()) if isinstance(pieces, bytes) else pieces
    return pc.if_else(pa.array(mask), values, pa.scalar(otherwise, pa.binary()))


def flat(rows: pa.BinaryArray) -> memoryview:
    """The bytes of all rows, one behind the other, not copied. Nulls must hold none."""
    offsets, data = _buffers(rows)
    return data[offsets[0] : offsets[-1]]


def grouped(rows: pa.BinaryArray, starts: NDArray[Any]) -> pa.BinaryArray:
    """Rows of which each holds the bytes from one start to the next; they are not copied."""
    offsets, data = _buffers(rows)
    bounds = np.append(offsets[starts], offsets[-1]).astype(np.int32)
    return pa.BinaryArray.from_buffers(pa.binary(), len(starts), [None, pa.py_buffer(bounds), pa.py_buffer(data)])


def _buffers(rows: pa.BinaryArray) -> tuple[NDArray[np.int32], memoryview]:
    _, offsets, data = rows.buffers()
    bounds = (
        np.frombuffer(offsets, np.int32)[rows.offset : rows.offset + len(rows) + 1] if len(rows) else np.zeros(1, int)
    )
    return bounds, memoryview(data if data is not None else b"")


def script_calls(
    sha: bytes,
    keys: pa.BinaryArray,
    constants: Sequence[bytes],
    arguments: pa.BinaryArray,
    counts: NDArray[Any],
    size: int,
) -> pa.BinaryArray:
    """EVALSHA, one for every `size` rows.

    `keys` and `arguments` are a row's bulk strings, one key and as many arguments as `counts` says (int of n); the
    arguments of all rows follow the `constants`.
    """
    starts = np.arange(0, len(keys), size)
    rows = np.diff(starts, append=len(keys))
    words = 3 + rows + len(constants) + np.add.reduceat(counts, starts)
    return joined(
        texts(words, lambda count: b"*%d\r\n" % count),
        bulks(b"EVALSHA", sha),
        numbers(rows),
        grouped(keys, starts),
        bulks(*constants),
        grouped(arguments, starts),
    )
