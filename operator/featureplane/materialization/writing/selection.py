"""Which rows of a batch are written at all, and its parts and pieces. Pure.

What is not to be written is taken out of a part's `present`; a row that is left with no part is taken out of the batch.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featureplane.materialization.encoding.encoded import Encoded, Part

Mask = NDArray[np.bool_]


def present(part: Part) -> Mask:
    """Where the part has a row, bool of n."""
    return np.ones(len(part.times), bool) if part.present is None else np.asarray(part.present, bool)


def matrix(rows: Encoded) -> Mask:
    """Which parts each row has: bool of n rows x parts."""
    return np.column_stack([present(part) for part in rows.parts])


def take(rows: Encoded, indexes: NDArray[Any]) -> Encoded:
    """Some rows, in the order of their indexes."""
    where = pa.array(indexes)
    parts = tuple(
        replace(
            part,
            times=part.times[indexes],
            present=None if part.present is None else part.present[indexes],
            body=part.body.take(where),
        )
        for part in rows.parts
    )
    return Encoded(rows.keys.take(where), parts)


def piece(rows: Encoded, start: int, end: int) -> Encoded:
    """The rows from `start` to before `end`; not copied."""
    parts = tuple(
        replace(
            part,
            times=part.times[start:end],
            present=None if part.present is None else part.present[start:end],
            body=part.body.slice(start, end - start),
        )
        for part in rows.parts
    )
    return Encoded(rows.keys.slice(start, end - start), parts)


def pieces(rows: Encoded, most_rows: int, most_bytes: int) -> Iterator[Encoded]:
    """Batches of at most so many rows, and of at most so many bytes but for a single row that has more."""
    ends = _ends(rows.keys)
    for part in rows.parts:
        ends = ends + _ends(part.body)
    start = 0
    while start < len(rows):
        within = int(np.searchsorted(ends, ends[start] + most_bytes, side="right")) - 1
        end = min(max(within, start + 1), start + most_rows, len(rows))
        yield piece(rows, start, end)
        start = end


def _ends(array: pa.BinaryArray) -> NDArray[np.int64]:
    """Where each row begins, and where the last one ends."""
    offsets = np.frombuffer(array.buffers()[1], np.int32)[array.offset : array.offset + len(array) + 1]
    return offsets.astype(np.int64)


def narrowed(rows: Encoded, keep: Mask) -> Encoded:
    """Without what `keep` (bool of n x parts) does not have."""
    parts = tuple(
        replace(part, present=None if mask.all() else mask) for part, mask in zip(rows.parts, keep.T, strict=True)
    )
    left = Encoded(rows.keys, parts)
    some = keep.any(axis=1)
    return left if some.all() else take(left, np.flatnonzero(some))


def unexpired(rows: Encoded, now_ms: int) -> Mask:
    """What has not outlived its view's ttl, of what is there: bool of n x parts."""
    return np.column_stack(
        [present(part) & ((part.times // 1000 + part.ttl_ms > now_ms) if part.ttl_ms else True) for part in rows.parts]
    )


def newest(rows: Encoded) -> Mask:
    """For each key and part the last of the rows with the newest event time: bool of n x parts."""
    there = matrix(rows)
    codes = rows.keys.dictionary_encode()
    if len(codes.dictionary) == len(rows):
        return there
    key = codes.indices.to_numpy()
    kept = np.zeros_like(there)
    for column, part in enumerate(rows.parts):
        candidates = np.flatnonzero(there[:, column])
        if len(candidates):
            ordered = candidates[np.lexsort((part.times[candidates], key[candidates]))]
            is_last = np.append(key[ordered][1:] != key[ordered][:-1], True)
            kept[ordered[is_last], column] = True
    return kept
