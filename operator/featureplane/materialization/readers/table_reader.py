"""Latest rows of a table: its database sorts, on its own disk, and the rows stream in."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
from sqlglot import exp

from featureplane.materialization.readers.among import FewKeys, among
from featureplane.materialization.readers.batching import count_nulls, of_size
from featureplane.materialization.readers.database import Database
from featureplane.materialization.readers.reader import BATCH_ROWS, NullCounts, Seen, schema_of_batches
from featureplane.materialization.readers.table import Table
from featureplane.materialization.readers.times import as_event_time, by_second
from featureplane.materialization.rows import EVENT_TIME, View, Window


class TableReader:
    """A `Reader` of a table or view. In PostgreSQL counts and rows are of the same state of it, by one transaction."""

    def __init__(
        self,
        database: Database,
        table: Table,
        view: View,
        window: Window,
        batch_rows: int = BATCH_ROWS,
        keys: FewKeys | None = None,
    ) -> None:
        self.counts = Seen()
        self._database = database
        self._table = table
        self._view = view
        self._window = window
        self._batch_rows = batch_rows
        self._among = among(keys or {}, table.value, table.kinds)
        self._keys = [name for name, _ in view.keys]
        self._event_time = table.time(view.source["timestamp_field"])
        created = view.source["created_timestamp_column"]
        self._created = table.time(created) if created else None

    @property
    def schema(self) -> pa.Schema:
        return schema_of_batches(self._view, self._table.kinds)

    def batches(self) -> Iterator[pa.RecordBatch]:
        counts = self.counts = Seen()
        (row,) = (row for batch in self._stream(self._count()) for row in batch.to_pylist())
        counts.read, counts.keyless, counts.future, counts.late = row.values()
        for batch in self._rows([name for name, _ in self._view.features]):
            counts.latest += batch.num_rows
            yield batch

    def null_counts(self, features: Sequence[str]) -> NullCounts:
        return count_nulls(self._rows(features), features)

    def cancel(self) -> None:
        self._database.cancel()

    def _rows(self, features: Sequence[str]) -> Iterator[pa.RecordBatch]:
        found = (_finished(batch) for batch in self._stream(self._latest(features)))
        yield from of_size(found, self._batch_rows)

    def _stream(self, query: exp.Expr) -> Iterator[pa.RecordBatch]:
        return self._database.stream(query, self._table.place)

    def _latest(self, features: Sequence[str]) -> exp.Expr:
        """The newest row of each entity; of rows with the same times the greatest, to be the same one every time."""
        values = [self._table.value(name) for name in features]
        ordered = [self._table.value(name) for name in features if name in self._table.ordered()]
        event_time = self._event_time.column
        keys = [self._table.value(name) for name in self._keys]
        names = [*self._keys, *features, EVENT_TIME]
        selected = [
            exp.alias_(value.copy(), name, quoted=True)
            for name, value in zip(names, [*keys, *values, event_time], strict=True)
        ]
        newest = [event_time, *([self._created.column] if self._created else []), *ordered]
        groups = [self._group(name, kind) for name, kind in self._view.keys]
        order = [
            *(group.copy() for group in groups),
            *(exp.Ordered(this=value.copy(), desc=True, nulls_first=False) for value in newest),
        ]
        query = self._table.query(*selected).where(exp.and_(self._event_time.within(self._window), self._among))
        return query.where(exp.not_(self._keyless())).distinct(*groups).order_by(*order)

    def _group(self, name: str, kind: str) -> exp.Expr:
        """What rows of one entity have in common of a key."""
        value = self._table.value(name)
        return by_second(value, self._table.kinds[name]) if kind == "UnixTimestamp" else value

    def _keyless(self) -> exp.Expr:
        """Whether a row lacks a join key."""
        kinds = self._table.kinds
        return exp.or_(*(_is_missing(self._table.value(name), kinds[name]) for name in self._keys))

    def _count(self) -> exp.Expr:
        """Rows in the window, those of them without a join key, rows after the window, and late ones before it."""
        within = self._event_time.within(self._window)
        late: exp.Expr = exp.false()
        if self._created and self._window.since is not None:
            late = exp.and_(self._event_time.before(self._window.start), self._created.later_than(self._window.since))
        future = self._event_time.later_than(self._window.end)
        counted = [within, exp.and_(within, self._keyless()), future, late]
        columns = [
            exp.Filter(this=exp.Count(this=exp.Star()), expression=exp.Where(this=condition)) for condition in counted
        ]
        named = [exp.alias_(column, f"n{index}") for index, column in enumerate(columns)]
        return self._table.query(*named).where(exp.or_(within, future, late))


def _is_missing(value: exp.Expr, kind: pa.DataType) -> exp.Expr:
    """Whether a value is null, or NaN, which is none as well."""
    is_null = exp.Is(this=value.copy(), expression=exp.null())
    if not pa.types.is_floating(kind):
        return is_null
    nan = exp.cast(exp.Literal.string("NaN"), "DOUBLE PRECISION", dialect="postgres")
    return exp.or_(is_null, exp.EQ(this=value.copy(), expression=nan))


def _finished(batch: pa.RecordBatch) -> pa.RecordBatch:
    place = batch.schema.get_field_index(EVENT_TIME)
    return batch.set_column(place, EVENT_TIME, as_event_time(batch.column(place)))
