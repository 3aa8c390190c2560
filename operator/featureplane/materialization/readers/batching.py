"""Record batches of the size that a caller wants, and what is counted in them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from featureplane.materialization.readers.reader import NullCounts

# What a batch takes at most, unless a single row takes more: a text, a list or a picture may be long.
BATCH_BYTES: Final = 4 * 1024 * 1024


def of_size(batches: Iterable[pa.RecordBatch], rows: int, size: int = BATCH_BYTES) -> Iterator[pa.RecordBatch]:
    """The same rows in the same order in batches of just `rows`, the last one of what is left; none is empty.

    Where so many take more than about `size` bytes, a batch has fewer.
    """
    kept: list[pa.RecordBatch] = []
    missing, room = rows, size
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            head = _head(batch.slice(start), missing, room)
            kept.append(head)
            start += head.num_rows
            missing -= head.num_rows
            room -= head.nbytes
            if not missing or room <= 0 or start < batch.num_rows:
                whole, kept, missing, room = _joined(kept), [], rows, size
                yield whole
        del batch  # not kept while the next one is made
    if kept:
        yield _joined(kept)


def _head(batch: pa.RecordBatch, rows: int, size: int) -> pa.RecordBatch:
    """The first rows, as many as there may be and take no more than `size`; one in any case."""
    head = batch.slice(0, rows)
    if head.nbytes <= size:
        return head
    while head.num_rows > 1 and head.nbytes > size:
        head = head.slice(0, head.num_rows // 2)
    # A copy: a part of the batch would hold the memory of all of it.
    return pa.concat_batches([head, head.slice(0, 0)])


def _joined(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)


def count_nulls(batches: Iterable[pa.RecordBatch], features: Sequence[str]) -> NullCounts:
    """The rows of the batches, and how many of them lack each feature."""
    rows = 0
    nulls = dict.fromkeys(features, 0)
    for batch in batches:
        rows += batch.num_rows
        for feature in features:
            column = batch.column(feature)
            nan_too = pa.types.is_floating(column.type)
            nulls[feature] += pc.sum(pc.is_null(column, nan_is_null=nan_too), min_count=0).as_py()
    return NullCounts(rows, nulls)


def without_nulls(batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """The rows that have a value in each of these columns. NaN is none: Feast has it for a missing number."""
    complete = [mask for name in names if (mask := _valid(batch.column(name))) is not None]
    for mask in complete[1:]:
        complete[0] = pc.and_(complete[0], mask)
    return batch.filter(complete[0]) if complete else batch


def _valid(column: pa.Array) -> pa.Array | None:
    """Which rows have a value, None for all of them."""
    if pa.types.is_floating(column.type):
        return pc.invert(pc.is_null(column, nan_is_null=True))
    return column.is_valid() if column.null_count else None
