"""Record batches of the size that a caller wants, and what is counted in them."""

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from featureplane.materialization.readers.reader import NullCounts


def of_size(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """The same rows in the same order in batches of just `rows`, the last one of what is left; none is empty."""
    kept: list[pa.RecordBatch] = []
    missing = rows
    for whole in batches:
        batch = whole
        while batch.num_rows >= missing:
            yield _joined([*kept, batch.slice(0, missing)])
            batch = batch.slice(missing)
            kept, missing = [], rows
        if batch.num_rows:
            kept.append(batch)
            missing -= batch.num_rows
    if kept:
        yield _joined(kept)


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
    """The rows that have a value in each of these columns."""
    complete = [batch.column(name).is_valid() for name in names if batch.column(name).null_count]
    for mask in complete[1:]:
        complete[0] = pc.and_(complete[0], mask)
    return batch.filter(complete[0]) if complete else batch
