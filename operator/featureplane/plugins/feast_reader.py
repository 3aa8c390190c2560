"""Rows of any of Feast's offline stores, by its own retrieval job: a span of event time after the other.

A job gives a whole table at once, so a window in one piece would be in memory as a whole. The spans go forward in time:
the newest row of an entity comes last, and the writer keeps the newest.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pyarrow as pa

from featureplane.errors import FeatureplaneError
from featureplane.materialization.readers.batching import count_nulls, without_nulls
from featureplane.materialization.readers.reader import BATCH_ROWS, NullCounts, Seen
from featureplane.materialization.readers.times import as_event_time
from featureplane.materialization.rows import EVENT_TIME, View, Window

# Spans of a window of up to a month, and how long they are at least; beyond it, going back, spans of a month, and
# beyond these, where there is seldom anything, each is as long as all after it.
_PARTS = 32
_SHORTEST = timedelta(hours=1)
_MONTH = timedelta(days=30)
_MONTHS = 36

# Feast's retrieval job for a span, both ends included.
Pull = Callable[[datetime, datetime], Any]


def spans(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The window from `start` to `end` in parts that share their bounds, the oldest first: finer times lie between two
    microseconds, and a row that comes twice does no harm.
    """
    if start >= end:
        yield start, end
        return
    bounds = [end]
    length = max((end - start) / _PARTS, _SHORTEST) if end - start <= _MONTH else _MONTH
    while bounds[-1] > start:
        length = length if len(bounds) <= _MONTHS else end - bounds[-1]
        bounds.append(max(bounds[-1] - length, start))
    bounds.reverse()
    yield from pairwise(bounds)


class FeastReader:
    """A `Reader` (see `materialization.readers.reader`) over retrieval jobs."""

    def __init__(self, view: View, window: Window, pull: Pull) -> None:
        self.counts = Seen()
        self._view = view
        self._window = window
        self._pull = pull
        self._is_cancelled = False

    def cancel(self) -> None:
        """Ends the reading before its next span: Feast's jobs themselves cannot be ended."""
        self._is_cancelled = True

    def batches(self) -> Iterator[pa.RecordBatch]:
        counts = self.counts = Seen()
        yield from self._rows([name for name, _ in self._view.features], counts)

    def null_counts(self, features: Sequence[str]) -> NullCounts:
        """Over every span's latest rows: an entity with rows in several counts several times."""
        return count_nulls(self._rows(features, Seen()), features)

    def _rows(self, features: Sequence[str], counts: Seen) -> Iterator[pa.RecordBatch]:
        keys = [name for name, _ in self._view.keys]
        columns = self._view.columns
        wanted = {name: columns[name] for name in [*keys, *features]}
        for start, end in spans(self._window.start, self._window.end):
            if self._is_cancelled:
                raise FeatureplaneError("the source was not read to its end: this was cancelled")
            table = self._pull(start, end).to_arrow()
            missing = [column for column in wanted.values() if column not in table.column_names]
            if missing:
                held = ", ".join(table.column_names[:12])
                raise FeatureplaneError(f"the source has no column {missing[0]!r}; its columns are {held}")
            times = table.column(self._view.source["timestamp_field"])
            arrays = {name: table.column(column) for name, column in wanted.items()}
            chosen = pa.table({**arrays, EVENT_TIME: times}).combine_chunks()
            for batch in chosen.to_batches(max_chunksize=BATCH_ROWS):
                counts.read += batch.num_rows
                keyed = without_nulls(batch, [*keys, EVENT_TIME])
                counts.keyless += batch.num_rows - keyed.num_rows
                counts.latest += keyed.num_rows
                place = keyed.schema.get_field_index(EVENT_TIME)
                yield keyed.set_column(place, EVENT_TIME, as_event_time(keyed.column(place)))
