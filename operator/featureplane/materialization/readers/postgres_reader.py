"""Latest rows of a PostgreSQL table: the server sorts, on its own disk, and the rows stream in."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
from sqlglot import exp

from featureplane.materialization.readers.batching import count_nulls, of_size
from featureplane.materialization.readers.postgres import asking, stream
from featureplane.materialization.readers.reader import BATCH_ROWS, NullCounts, Seen, schema_of_batches
from featureplane.materialization.readers.table import Table
from featureplane.materialization.readers.times import as_event_time
from featureplane.materialization.rows import EVENT_TIME, View, Window
from featureplane.settings import PostgresAddress


class PostgresReader:
    """A `Reader` of a table or view, in one transaction: counts and rows are of the same state of it."""

    def __init__(
        self,
        connection: Any,
        address: PostgresAddress,
        table: Table,
        view: View,
        window: Window,
        batch_rows: int = BATCH_ROWS,
    ) -> None:
        self.counts = Seen()
        self._connection = connection
        self._address = address
        self._table = table
        self._view = view
        self._window = window
        self._batch_rows = batch_rows
        self._keys = [name for name, _ in view.keys]
        self._event_time = table.time(view.source["timestamp_field"])
        created = view.source["created_timestamp_column"]
        self._created = table.time(created) if created else None

    @property
    def schema(self) -> pa.Schema:
        return schema_of_batches(self._view, self._table.kinds)

    def batches(self) -> Iterator[pa.RecordBatch]:
        counts = self.counts = Seen()
        with asking(self._address, self._table.place):
            (row,) = (row for batch in stream(self._connection, self._count()) for row in batch.to_pylist())
            counts.read, counts.keyless, counts.future, counts.late = row.values()
        for batch in self._rows([name for name, _ in self._view.features]):
            counts.latest += batch.num_rows
            yield batch

    def null_counts(self, features: Sequence[str]) -> NullCounts:
        return count_nulls(self._rows(features), features)

    def _rows(self, features: Sequence[str]) -> Iterator[pa.RecordBatch]:
        with asking(self._address, self._table.place):
            found = (_finished(batch) for batch in stream(self._connection, self._latest(features)))
            yield from of_size(found, self._batch_rows)

    def _latest(self, features: Sequence[str]) -> exp.Expr:
        """The newest row of each entity; of rows with the same times the greatest, to be the same one every time."""
        values = [self._table.value(name) for name in features]
        event_time = self._event_time.column
        keys = [self._table.value(name) for name in self._keys]
        names = [*self._keys, *features, EVENT_TIME]
        selected = [
            exp.alias_(value.copy(), name, quoted=True)
            for name, value in zip(names, [*keys, *values, event_time], strict=True)
        ]
        newest = [event_time, *([self._created.column] if self._created else []), *values]
        order = [
            *(key.copy() for key in keys),
            *(exp.Ordered(this=value.copy(), desc=True, nulls_first=False) for value in newest),
        ]
        query = self._table.query(*selected).where(self._event_time.within(self._window))
        return query.where(*(_is_null(key).not_() for key in keys)).distinct(*keys).order_by(*order)

    def _count(self) -> exp.Expr:
        """Rows in the window, those of them without a join key, rows after the window, and late ones before it."""
        within = self._event_time.within(self._window)
        keyless = exp.or_(*(_is_null(self._table.value(name)) for name in self._keys))
        late: exp.Expr = exp.false()
        if self._created and self._window.since is not None:
            late = exp.and_(self._event_time.before(self._window.start), self._created.later_than(self._window.since))
        future = self._event_time.later_than(self._window.end)
        counted = [within, exp.and_(within, keyless), future, late]
        columns = [
            exp.Filter(this=exp.Count(this=exp.Star()), expression=exp.Where(this=condition)) for condition in counted
        ]
        named = [exp.alias_(column, f"n{index}") for index, column in enumerate(columns)]
        return self._table.query(*named).where(exp.or_(within, future, late))


def _is_null(value: exp.Expr) -> exp.Expr:
    return exp.Is(this=value.copy(), expression=exp.null())


def _finished(batch: pa.RecordBatch) -> pa.RecordBatch:
    place = batch.schema.get_field_index(EVENT_TIME)
    return batch.set_column(place, EVENT_TIME, as_event_time(batch.column(place)))
