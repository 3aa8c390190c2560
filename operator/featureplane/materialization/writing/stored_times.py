"""Event times as Redis holds them: serialized google.protobuf.Timestamp, read many at once. Pure.

Field 1 is the seconds, field 2 the nanoseconds, both varints, and either is left out where it is 0. The bytes of
varints do not sort as their numbers do, so they are decoded.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featureplane.online.times import MICROSECONDS_PER_SECOND

_SECONDS, _NANOS = 0x08, 0x10
_LONGEST = 10  # bytes of a varint
_LAST = 0x7F  # a greater byte is followed by another one


@dataclass(frozen=True)
class Times:
    """Event times of n rows: seconds since 1970 and nanoseconds, int64; `known` is false where there is none."""

    seconds: NDArray[np.int64]
    nanos: NDArray[np.int64]
    known: NDArray[np.bool_]


def split(micros: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Microseconds since 1970 as a Timestamp has them: seconds, and nanoseconds from 0."""
    seconds, rest = np.divmod(np.asarray(micros, np.int64), MICROSECONDS_PER_SECOND)
    return seconds, rest * 1000


def decode(values: list[bytes | None]) -> Times:
    """What Redis answered. What is no Timestamp counts as none at all."""
    array = pa.array(values, pa.binary())
    n = len(array)
    known = np.ones(n, bool) if not array.null_count else array.is_valid().to_numpy(zero_copy_only=False)
    zeros = np.zeros(n, np.int64)
    if not known.any():
        return Times(zeros, zeros, known)
    _, bounds, data = array.buffers()
    offsets = np.frombuffer(bounds, np.int32)[: n + 1].astype(np.int64)
    # Reading past a value's end must meet something.
    content = np.concatenate(
        [np.frombuffer(data if data is not None else b"", np.uint8), np.zeros(_LONGEST + 2, np.uint8)]
    )
    at, end = offsets[:-1], offsets[1:]
    seconds, at = _field(content, at, end, _SECONDS)
    nanos, at = _field(content, at, end, _NANOS)
    return Times(seconds, nanos, known & (at == end))


def not_older(micros: NDArray[Any], stored: Times) -> NDArray[np.bool_]:
    """Where the new event time is the stored one's or after it, or nothing is stored."""
    seconds, nanos = split(micros)
    same = (seconds == stored.seconds) & (nanos >= stored.nanos)
    return np.asarray((seconds > stored.seconds) | same | ~stored.known)


def _field(
    content: NDArray[np.uint8], at: NDArray[np.int64], end: NDArray[np.int64], tag: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The field of this tag where it comes next, else 0, and where to read on; -1 where a varint has no end."""
    there = (at >= 0) & (at < end) & (content[np.maximum(at, 0)] == tag)
    start = np.where(there, at + 1, len(content) - _LONGEST)
    value = np.zeros(len(at), np.uint64)
    length = np.zeros(len(at), np.int64)
    going = there.copy()
    for position in range(_LONGEST):
        byte = content[start + position].astype(np.uint64)
        value |= np.where(going, (byte & np.uint64(_LAST)) << np.uint64(7 * position), np.uint64(0))
        length += going
        going &= byte > _LAST
        if not going.any():
            break
    return value.view(np.int64), np.where(going, -1, np.where(there, start + length, at))
