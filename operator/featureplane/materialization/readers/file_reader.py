"""Latest rows of files in two passes, so that no pass holds a row for longer than it takes to look at it.

The first reads join keys and times alone and finds the number of each entity's newest row, which DuckDB sorts within
its memory and scratch space; the second streams the wanted columns and keeps the rows with these numbers.
"""

from collections.abc import Iterator, Sequence

import pyarrow as pa
from sqlglot import exp

from featureplane.materialization.readers.batching import BATCH_BYTES, count_nulls, of_size, without_nulls
from featureplane.materialization.readers.duck import Duck
from featureplane.materialization.readers.failures import reading
from featureplane.materialization.readers.marks import Marks
from featureplane.materialization.readers.newest import Newest
from featureplane.materialization.readers.reader import BATCH_ROWS, NullCounts, Seen, schema_of_batches
from featureplane.materialization.readers.scan import Scan
from featureplane.materialization.readers.times import as_event_time, by_second
from featureplane.materialization.rows import EVENT_TIME, View, Window

# Rows to look at in one step: enough to make it cheap, few enough to stay in a processor's cache.
_PASS_ROWS = 20_480
_NUMBER = "__row_number"


class FileReader:
    """A `Reader` of Parquet files, which a Delta table is made of as well."""

    def __init__(
        self,
        duck: Duck,
        scan: Scan,
        view: View,
        window: Window,
        batch_rows: int = BATCH_ROWS,
    ) -> None:
        self.counts = Seen()
        self._duck = duck
        self._scan = scan
        self._view = view
        self._window = window
        self._batch_rows = batch_rows
        self._keys = [name for name, _ in view.keys]
        self._event_time = scan.time(view.source["timestamp_field"])
        self._latest: Marks | None = None

    @property
    def schema(self) -> pa.Schema:
        columns = self._view.columns
        return schema_of_batches(
            self._view, {name: self._scan.schema.field(column).type for name, column in columns.items()}
        )

    def batches(self) -> Iterator[pa.RecordBatch]:
        counts = self.counts = Seen()
        yield from self._rows([name for name, _ in self._view.features], counts)

    def null_counts(self, features: Sequence[str]) -> NullCounts:
        return count_nulls(self._rows(features, Seen()), features)

    def cancel(self) -> None:
        self._duck.cancel()

    def _rows(self, features: Sequence[str], counts: Seen) -> Iterator[pa.RecordBatch]:
        """The latest rows with their keys and these features."""
        with reading(self._scan.place):
            counts.future, counts.late = self._outside()
            latest = self._find_latest()
            yield from of_size(self._second_pass(features, latest, counts), self._batch_rows)
            self._scan.unchanged.check()

    def _outside(self) -> tuple[int, int]:
        """How many rows lie after the window, and how many before it that were created since the last run."""
        future = self._count(self._event_time.later_than(self._window.end))
        created = self._view.source["created_timestamp_column"]
        if not created or self._window.since is None:
            return future, 0
        is_new = self._scan.time(created).later_than(self._window.since)
        return future, self._count(exp.and_(self._event_time.before(self._window.start), is_new))

    def _count(self, condition: exp.Expr) -> int:
        query = self._scan.query(exp.Count(this=exp.Star())).where(condition)
        ((count,),) = self._duck.fetch(query)
        return int(count)

    def _find_latest(self) -> Marks:
        """The first pass, once."""
        if self._latest is None:
            marks = Marks(self._scan.rows)
            keys = [self._group(name, kind) for name, kind in self._view.keys]
            within = self._event_time.within(self._window)
            query = self._scan.query(exp.alias_(self._newest(within), _NUMBER, quoted=True))
            query = query.where(within).group_by(*keys)
            for batch in self._duck.stream(query, _PASS_ROWS):
                marks.add(batch.column(0).to_numpy())
            self._scan.unchanged.check()
            self._latest = marks
        return self._latest

    def _group(self, name: str, kind: str) -> exp.Expr:
        """What rows of one entity have in common of a key."""
        column = self._view.columns[name]
        value = self._scan.column(column)
        return by_second(value, self._scan.schema.field(column).type) if kind == "UnixTimestamp" else value

    def _newest(self, within: exp.Expr) -> exp.Expr:
        """The number of an entity's newest row."""
        created = self._view.source["created_timestamp_column"]
        times = [self._event_time, *([self._scan.time(created)] if created else [])]
        newest = Newest(times, self._scan.number, self._scan.number_bits)
        (extremes,) = self._duck.fetch(self._scan.query(*newest.extremes()).where(within))
        return newest.aggregate(extremes)

    def _second_pass(self, features: Sequence[str], latest: Marks, counts: Seen) -> Iterator[pa.RecordBatch]:
        columns = [
            exp.alias_(self._scan.column(self._view.columns[name]), name, quoted=True)
            for name in [*self._keys, *features]
        ]
        event_time = exp.alias_(self._event_time.column.copy(), EVENT_TIME, quoted=True)
        query = self._scan.query(*columns, event_time, exp.alias_(self._scan.number, _NUMBER, quoted=True))
        query = query.where(self._event_time.within(self._window))
        for batch in of_size(self._duck.stream_wide(query, BATCH_BYTES // 2), _PASS_ROWS):
            counts.read += batch.num_rows
            keyed = without_nulls(batch, self._keys)
            counts.keyless += batch.num_rows - keyed.num_rows
            chosen = latest.has(keyed.column(_NUMBER).to_numpy())
            rows = keyed if chosen.all() else keyed.filter(pa.array(chosen))
            counts.latest += rows.num_rows
            yield _finished(rows)


def _finished(rows: pa.RecordBatch) -> pa.RecordBatch:
    """The rows as they leave: without their numbers, times in the one form."""
    rows = rows.drop_columns([_NUMBER])
    place = rows.schema.get_field_index(EVENT_TIME)
    return rows.set_column(place, EVENT_TIME, as_event_time(rows.column(place)))
