"""The latest rows of many views of one entity as one stream, in which each entity comes once.

Each view is read by its own reader into a table of DuckDB's, which is on the scratch disk as far as it does not fit
into memory. Then a part of the entities at a time, chosen by the hash of their join keys, has its rows of every table
laid side by side. DuckDB's own join of fifty tables keeps some of each in memory, which is more than a run may have.
"""

import math
from collections.abc import Iterator, Sequence

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlglot import exp

from featureplane.materialization.readers.duck import stream
from featureplane.materialization.readers.failures import reading
from featureplane.materialization.readers.reader import BATCH_ROWS, ReaderWithSchema, Seen
from featureplane.materialization.rows import View

_PLACE = "the latest rows of joined views"
# What a value takes in memory, its place in a batch and its share of a text included; in bytes.
_VALUE_BYTES = 16
_PASS_ROWS = 20_480

Places = npt.NDArray[np.int64]


class JoinedReader:
    """Views with the same join keys. `counts` and `schemas` have those of each view's reader, in the views' order."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, views: Sequence[View], memory_mb: int, batch_rows: int = BATCH_ROWS
    ) -> None:
        self.counts: list[Seen] = []
        self.schemas: list[pa.Schema] = []
        # How many parts of the entities are joined one after the other; as memory asks for unless it is set.
        self.parts: int | None = None
        self._connection = connection
        self._views = views
        self._keys = [name for name, _ in views[0].keys]
        self._memory = memory_mb * 1024 * 1024
        self._batch_rows = batch_rows

    def keep(self, reader: ReaderWithSchema) -> None:
        """Read the next view into its table."""
        name = _name(len(self.schemas))
        with reading(_PLACE):
            self._connection.from_arrow(reader.schema.empty_table()).create(name)
            for batch in reader.batches():  # not handed to DuckDB as a stream: an error in it would lose its type
                self._connection.from_arrow(pa.Table.from_batches([batch])).insert_into(name)
        self.counts.append(reader.counts)
        self.schemas.append(reader.schema)

    def batches(self) -> Iterator[list[pa.RecordBatch]]:
        """A batch for each view, all with the same entities in the same order.

        Each has the form of its view's own reader, but for rows that the view does not have: these have no
        EVENT_TIME and no value.
        """
        parts = self.parts or self._needed_parts()
        for part in range(parts):
            with reading(_PLACE):
                tables = [self._rows(view, part, parts) for view in range(len(self._views))]
            yield from side_by_side(tables, self._keys, self._batch_rows)

    def _needed_parts(self) -> int:
        values = sum(seen.latest * len(schema.names) for seen, schema in zip(self.counts, self.schemas, strict=True))
        return max(math.ceil(values * _VALUE_BYTES / (self._memory / 2)), 1)

    def _rows(self, view: int, part: int, parts: int) -> pa.Table:
        """A view's rows of a part of the entities."""
        query = exp.select("*").from_(exp.Table(this=exp.to_identifier(_name(view), quoted=True)))
        if parts > 1:
            keys = [exp.column(exp.to_identifier(name, quoted=True)) for name in self._keys]
            number = exp.Mod(this=exp.Anonymous(this="hash", expressions=keys), expression=exp.Literal.number(parts))
            query = query.where(exp.EQ(this=number, expression=exp.Literal.number(part)))
        return pa.Table.from_batches(stream(self._connection, query, _PASS_ROWS), self.schemas[view]).combine_chunks()


def side_by_side(tables: Sequence[pa.Table], keys: Sequence[str], batch_rows: int) -> Iterator[list[pa.RecordBatch]]:
    """Rows of tables with the same unique `keys` as batches of the same entities, one batch a table at a time."""
    entities, numbers = number_entities([table.select(keys) for table in tables])
    where = [_places(number, len(entities)) for number in numbers]
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
