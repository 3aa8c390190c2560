"""The latest rows of many views of one entity as one stream, in which each entity comes once.

Each view is read by its own reader, and its rows are laid beside those of the others. What is more than memory may
hold goes into tables of DuckDB's, which are on the scratch disk as far as they have to be; then a part of the entities
at a time, chosen by the hash of their join keys, comes back. DuckDB's own join of fifty tables keeps some of each in
memory, which is more than a run may have.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from featureplane.errors import SourceError
from featureplane.materialization.encoding.conforming import WrongType, conform
from featureplane.materialization.readers.batching import BATCH_BYTES, of_size, without_nulls
from featureplane.materialization.readers.duck import Duck
from featureplane.materialization.readers.failures import reading
from featureplane.materialization.readers.reader import BATCH_ROWS, ReaderWithSchema, Seen
from featureplane.materialization.rows import View
from featureplane.model.types import parse_type

_PLACE = "the latest rows of joined views"
_PASS_ROWS = 20_480

Opening = Callable[[], ReaderWithSchema]
Places = npt.NDArray[np.int64]


class JoinedReader:
    """Views with the same join keys, each read by what its item of `readers` makes with the same `duck`.

    `counts` and `schemas` are those of each view's reader, in the views' order, once there is a batch; but join keys
    have the form that their declared type gives them, and rows whose keys have none lack them.
    """

    def __init__(
        self,
        duck: Duck,
        views: Sequence[View],
        readers: Sequence[Opening],
        memory_mb: int,
        batch_rows: int = BATCH_ROWS,
    ) -> None:
        self.counts: list[Seen] = []
        # How many parts of the entities are joined one after the other; as memory asks for unless it is set.
        self.parts: int | None = None
        self._duck = duck
        self._views = views
        self._readers = readers
        self.kept = Kept(duck, [name for name, _ in views[0].keys], memory_mb * 1024 * 1024)
        self._batch_rows = batch_rows

    @property
    def schemas(self) -> list[pa.Schema]:
        return self.kept.schemas

    def cancel(self) -> None:
        """As a `Reader`'s."""
        self._duck.cancel()

    def _keep_all(self) -> None:
        """Read each view, once."""
        for view, opening in list(zip(self._views, self._readers, strict=True))[len(self.counts) :]:
            self._duck.check()
            self._keep(view, opening())

    def _keep(self, view: View, reader: ReaderWithSchema) -> None:
        keys = _Keys(view)
        self.kept.begin(keys.conforming(pa.RecordBatch.from_pylist([], reader.schema)).schema)
        dropped = 0
        for batch in reader.batches():
            kept = keys.conforming(batch)
            dropped += batch.num_rows - kept.num_rows
            self.kept.add(kept)
            del batch, kept  # not kept while the next one is made
        reader.counts.keyless += dropped
        reader.counts.latest -= dropped
        self.counts.append(reader.counts)

    def batches(self) -> Iterator[list[pa.RecordBatch]]:
        """A batch for each view, all with the same entities in the same order.

        Each has the form of its view's own reader, but for rows that the view does not have: these have no
        EVENT_TIME and no value.
        """
        self._keep_all()
        for tables in self.kept.parts(self.parts):
            for batches in side_by_side(tables, self.kept.keys, self._batch_rows):
                yield batches
                self._duck.check()


class Kept:
    """Rows of views, one view after the other: in memory while they are at most so many bytes, else in DuckDB."""

    def __init__(self, duck: Duck, keys: Sequence[str], memory: int) -> None:
        self.schemas: list[pa.Schema] = []
        self.keys = keys
        self._duck = duck
        self.memory = memory
        self._bytes = 0
        self._held: list[list[pa.RecordBatch]] = []
        self._is_away = False

    def begin(self, schema: pa.Schema) -> None:
        """The rows that are added from now on are those of the next view."""
        self.schemas.append(schema)
        self._held.append([])
        if self._is_away:
            self._make_table(len(self.schemas) - 1)

    def add(self, rows: pa.RecordBatch) -> None:
        self._held[-1].append(rows)
        self._bytes += rows.nbytes
        if self._bytes > self.memory:
            self._put_away()

    def parts(self, number: int | None) -> Iterator[list[pa.Table]]:
        """The rows of each view, so many parts of the entities one after the other; as many as it takes for None."""
        if number is None:
            number = max(math.ceil(self._bytes / (self.memory / 2)), 1) if self._is_away else 1
        if number > 1:
            self._put_away()
        for part in range(number):
            with reading(_PLACE):
                yield [self._rows(view, part, number) for view in range(len(self.schemas))]

    def _put_away(self) -> None:
        if not self._is_away:
            self._is_away = True
            for view in range(len(self.schemas)):
                self._make_table(view)
        with reading(_PLACE):
            for view, batches in enumerate(self._held):
                for batch in batches:  # not handed over as a stream: an error in it would lose its type
                    self._duck.connection.from_arrow(pa.Table.from_batches([batch])).insert_into(_name(view))
                batches.clear()

    def _make_table(self, view: int) -> None:
        with reading(_PLACE):
            self._duck.connection.from_arrow(self.schemas[view].empty_table()).create(_name(view))

    def _rows(self, view: int, part: int, parts: int) -> pa.Table:
        """A view's rows of a part of the entities."""
        if not self._is_away:
            return pa.Table.from_batches(self._held[view], self.schemas[view]).combine_chunks()
        query = exp.select("*").from_(exp.Table(this=exp.to_identifier(_name(view), quoted=True)))
        if parts > 1:
            keys = [exp.column(exp.to_identifier(name, quoted=True)) for name in self.keys]
            number = exp.Mod(this=exp.Anonymous(this="hash", expressions=keys), expression=exp.Literal.number(parts))
            query = query.where(exp.EQ(this=number, expression=exp.Literal.number(part)))
        rows = of_size(self._duck.stream_wide(query, BATCH_BYTES), _PASS_ROWS)
        return pa.Table.from_batches(rows, self.schemas[view]).combine_chunks()


class _Keys:
    """The join keys of a view in the form that their declared types give them, whatever they are in its source."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._kinds = {name: parse_type(kind) for name, kind in view.keys}

    def conforming(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows whose keys have that form."""
        for name, kind in self._kinds.items():
            try:
                found = conform(batch.column(name), kind)
            except WrongType as error:
                column = self._view.columns[name]
                raise SourceError(f"{name}: the column {column!r}: {error}; correct the type or the source") from error
            column = found.column
            if found.wrong is not None:
                column = pc.if_else(pa.array(found.wrong), None, column)
            batch = batch.set_column(batch.schema.get_field_index(name), name, column)
        return without_nulls(batch, list(self._kinds))


def side_by_side(tables: Sequence[pa.Table], keys: Sequence[str], batch_rows: int) -> Iterator[list[pa.RecordBatch]]:
    """Rows of tables with the same unique `keys` as batches of the same entities, one batch a table at a time."""
    entities, numbers = number_entities([table.select(keys) for table in tables])
    where = [_places(number, len(entities)) for number in numbers]
    size = sum(table.nbytes for table in tables)
    batch_rows = max(min(batch_rows, len(entities) * BATCH_BYTES // max(size, 1)), 1)
    for start in range(0, len(entities), batch_rows):
        chosen = entities.slice(start, batch_rows)
        yield [
            _batch(chosen, table, places[start : start + batch_rows])
            for table, places in zip(tables, where, strict=True)
        ]


def number_entities(tables: Sequence[pa.Table]) -> tuple[pa.Table, list[Places]]:
    """The distinct rows of all tables, and for each table which of them each of its rows is."""
    rows = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    numbers: Places = np.zeros(len(rows), np.int64)
    firsts: Places = numbers[:1]
    for column in rows.columns:
        codes = _whole(column).dictionary_encode()
        values = codes.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        _, firsts, numbers = np.unique(numbers * len(codes.dictionary) + values, return_index=True, return_inverse=True)
    return rows.take(pa.array(firsts)), np.split(numbers, np.cumsum([len(table) for table in tables])[:-1])


def _places(numbers: Places, entities: int) -> Places:
    """For each entity its row, -1 for none."""
    places: Places = np.full(entities, -1, np.int64)
    places[numbers] = np.arange(len(numbers))
    return places


def _batch(entities: pa.Table, table: pa.Table, places: Places) -> pa.RecordBatch:
    """The rows at these places under the keys of their entities."""
    chosen = table.drop_columns(entities.column_names).take(pa.array(places, mask=places < 0))
    columns = [*entities.columns, *chosen.columns]
    names = [*entities.column_names, *chosen.column_names]
    return pa.RecordBatch.from_arrays([_whole(column) for column in columns], names=names)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _name(view: int) -> str:
    return f"view {view}"
