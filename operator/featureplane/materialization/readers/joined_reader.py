"""The latest rows of many views of one entity as one stream, in which each entity comes once.

Each view is read by its own reader into a table of DuckDB's, which is on the scratch disk as far as it does not fit
into memory. Then a part of the entities at a time, chosen by the hash of their join keys, has its rows of every table
laid side by side. DuckDB's own join of fifty tables keeps some of each in memory, which is more than a run may have.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

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

Opening = Callable[[], AbstractContextManager[ReaderWithSchema]]
Places = npt.NDArray[np.int64]


class JoinedReader:
    """Views with the same join keys, each read by what its item of `readers` opens.

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
        self.schemas: list[pa.Schema] = []
        # How many parts of the entities are joined one after the other; as memory asks for unless it is set.
        self.parts: int | None = None
        self._duck = duck
        self._views = views
        self._readers = readers
        self._reader: ReaderWithSchema | None = None
        self._bytes = 0
        self._keys = [name for name, _ in views[0].keys]
        self._memory = memory_mb * 1024 * 1024
        self._batch_rows = batch_rows

    def cancel(self) -> None:
        """As a `Reader`'s."""
        self._duck.cancel()
        reader = self._reader
        if reader is not None:
            reader.cancel()

    def _keep_all(self) -> None:
        """Read each view into its table, once."""
        for view, opening in list(zip(self._views, self._readers, strict=True))[len(self.schemas) :]:
            with opening() as reader:
                self._reader = reader
                self._duck.check()
                self._keep(view, reader)
                self._reader = None

    def _keep(self, view: View, reader: ReaderWithSchema) -> None:
        keys = _Keys(view)
        schema = keys.conforming(pa.RecordBatch.from_pylist([], reader.schema)).schema
        name = _name(len(self.schemas))
        dropped = 0
        with reading(_PLACE):
            self._duck.connection.from_arrow(schema.empty_table()).create(name)
            for batch in reader.batches():  # not handed to DuckDB as a stream: an error in it would lose its type
                kept = keys.conforming(batch)
                dropped += batch.num_rows - kept.num_rows
                self._bytes += kept.nbytes
                self._duck.connection.from_arrow(pa.Table.from_batches([kept])).insert_into(name)
                del batch, kept  # not kept while the next one is made
        reader.counts.keyless += dropped
        reader.counts.latest -= dropped
        self.counts.append(reader.counts)
        self.schemas.append(schema)

    def batches(self) -> Iterator[list[pa.RecordBatch]]:
        """A batch for each view, all with the same entities in the same order.

        Each has the form of its view's own reader, but for rows that the view does not have: these have no
        EVENT_TIME and no value.
        """
        self._keep_all()
        parts = self.parts or max(math.ceil(self._bytes / (self._memory / 2)), 1)
        for part in range(parts):
            with reading(_PLACE):
                tables = [self._rows(view, part, parts) for view in range(len(self._views))]
            for batches in side_by_side(tables, self._keys, self._batch_rows):
                yield batches
                self._duck.check()

    def _rows(self, view: int, part: int, parts: int) -> pa.Table:
        """A view's rows of a part of the entities."""
        query = exp.select("*").from_(exp.Table(this=exp.to_identifier(_name(view), quoted=True)))
        if parts > 1:
            keys = [exp.column(exp.to_identifier(name, quoted=True)) for name in self._keys]
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
