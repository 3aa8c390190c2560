"""The latest rows of many views of one entity as one stream, in which each entity comes once.

Each view is read by its own reader, and its rows are laid beside those of the others. What is more than memory may
hold goes into tables of DuckDB's, which are on the scratch disk as far as they have to be; then a part of the entities
at a time, chosen by the hash of their join keys, comes back. DuckDB's own join of fifty tables keeps some of each in
memory, which is more than a run may have.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlglot import exp

from featureplane.errors import SourceChanged, SourceError
from featureplane.materialization.checks import Mask, Rejected
from featureplane.materialization.encoding.conforming import conform_in, whole
from featureplane.materialization.readers.batching import BATCH_BYTES, of_size
from featureplane.materialization.readers.duck import Duck
from featureplane.materialization.readers.failures import reading
from featureplane.materialization.readers.reader import BATCH_ROWS, ReaderWithSchema, Seen
from featureplane.materialization.rows import View

_WHAT = "the latest rows of joined views"
_PASS_ROWS = 20_480
# What a value takes at least, be it there or not.
_LEAST_BYTES = 8

Begin = Callable[[], ReaderWithSchema]
Positions = npt.NDArray[np.int64]


class ViewUnreadable(SourceError):
    """One of the views cannot be read; the others might be without it."""

    def __init__(self, view: str, error: SourceError) -> None:
        self.view = view
        super().__init__(str(error))


@contextmanager
def about(view: View) -> Iterator[None]:
    """Say of a source that cannot be read whose it is. One that was replaced is only to be read again."""
    try:
        yield
    except SourceChanged:
        raise
    except SourceError as error:
        raise ViewUnreadable(view.name, error) from error


class JoinedReader:
    """Views with the same join keys, each read by what its item of `readers` makes with the same `duck`.

    `counts` and `schemas` are those of each view's reader, in the views' order, once there is a batch; but join keys
    have the form that their declared type gives them, and rows whose keys cannot have it are rejected.
    """

    def __init__(
        self,
        duck: Duck,
        views: Sequence[View],
        readers: Sequence[Begin],
        held_bytes: int,
        batch_rows: int = BATCH_ROWS,
    ) -> None:
        self.counts: list[Seen] = []
        self._duck = duck
        self._views = views
        self._readers = readers
        self._kept = Kept(duck, [name for name, _ in views[0].keys], held_bytes)
        self._batch_rows = batch_rows

    @property
    def schemas(self) -> list[pa.Schema]:
        return self._kept.schemas

    def cancel(self) -> None:
        """As a `Reader`'s."""
        self._duck.cancel()

    def batches(self) -> Iterator[list[pa.RecordBatch]]:
        """A batch for each view, all with the same entities in the same order; to be asked for once.

        Each has the form of its view's own reader, but for rows that the view does not have: these have no
        EVENT_TIME and no value.
        """
        for view, begin in zip(self._views, self._readers, strict=True):
            self._duck.check()
            self._keep(view, begin)
        for tables in self._kept.parts():
            for batches in side_by_side(tables, self._kept.keys, self._batch_rows):
                self._duck.check()
                yield batches

    def _keep(self, view: View, begin: Begin) -> None:
        keys, rejected = _Keys(view), Rejected()
        with about(view):
            reader = begin()
            schema = keys.conforming(pa.RecordBatch.from_pylist([], reader.schema), Rejected()).schema
            batches = reader.batches()
        self._kept.begin(schema)
        while True:
            with about(view):
                batch = next(batches, None)
                rows = None if batch is None else keys.conforming(batch, rejected)
            if rows is None:
                break
            self._kept.add(rows)  # what it raises is about the rows of all views
            del batch, rows  # not kept while the next one is made
        reader.counts.rejected = rejected
        self.counts.append(reader.counts)


class Kept:
    """Rows of views, one view after the other: in memory while they are at most so many bytes, else in DuckDB."""

    def __init__(self, duck: Duck, keys: Sequence[str], held_bytes: int) -> None:
        self.schemas: list[pa.Schema] = []
        self.keys = keys
        self._duck = duck
        self._most = held_bytes
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
        if self._bytes > self._most:
            self._put_away()

    def parts(self) -> Iterator[list[pa.Table]]:
        """The rows of each view, a part of the entities after the other: as many parts as memory asks for."""
        number = max(math.ceil(self._bytes / (self._most / 2)), 1) if self._is_away else 1
        for part in range(number):
            with reading(_WHAT):
                yield [self._rows(view, part, number) for view in range(len(self.schemas))]

    def _put_away(self) -> None:
        if not self._is_away:
            self._is_away = True
            for view in range(len(self.schemas)):
                self._make_table(view)
        with reading(_WHAT):
            for view, batches in enumerate(self._held):
                for batch in batches:  # not handed over as a stream: an error in it would lose its type
                    self._duck.connection.from_arrow(pa.Table.from_batches([batch])).insert_into(_name(view))
                batches.clear()

    def _make_table(self, view: int) -> None:
        with reading(_WHAT):
            self._duck.connection.from_arrow(self.schemas[view].empty_table()).create(_name(view))

    def _rows(self, view: int, part: int, parts: int) -> pa.Table:
        """A view's rows of a part of the entities."""
        if not self._is_away:
            held = pa.Table.from_batches(self._held[view], self.schemas[view]).combine_chunks()
            self._held[view] = []
            return held
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

    def conforming(self, batch: pa.RecordBatch, rejected: Rejected) -> pa.RecordBatch:
        """The rows whose keys have that form; the others are noted, each once."""
        unfit: Mask | None = None
        for name, _ in self._view.keys:
            found = whole(conform_in(batch, name, self._view))
            batch = batch.set_column(batch.schema.get_field_index(name), name, found.column)
            if found.wrong is not None and found.wrong.any():
                rejected.note(name, found.why, int(found.wrong.sum()), "")
                unfit = found.wrong if unfit is None else unfit | found.wrong
        if unfit is None:
            return batch
        rejected.rows += int(unfit.sum())
        return batch.filter(pa.array(~unfit))


def side_by_side(tables: Sequence[pa.Table], keys: Sequence[str], batch_rows: int) -> Iterator[list[pa.RecordBatch]]:
    """Rows of tables with the same unique `keys` as batches of the same entities, one batch a table at a time."""
    entities, numbers = number_entities([table.select(keys) for table in tables])
    where = [_positions(number, len(entities)) for number in numbers]
    batch_rows = max(min(batch_rows, BATCH_BYTES // _row_bytes(tables, len(entities))), 1)
    for start in range(0, len(entities), batch_rows):
        chosen = entities.slice(start, batch_rows)
        yield [
            _batch(chosen, table, positions[start : start + batch_rows])
            for table, positions in zip(tables, where, strict=True)
        ]


def _row_bytes(tables: Sequence[pa.Table], entities: int) -> int:
    """About what a row of all tables takes: what is not there takes space as well."""
    filled: int = sum(table.nbytes for table in tables) // max(entities, 1)
    return filled + _LEAST_BYTES * sum(len(table.column_names) for table in tables)


def number_entities(tables: Sequence[pa.Table]) -> tuple[pa.Table, list[Positions]]:
    """The distinct rows of all tables, and for each table which of them each of its rows is."""
    rows = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    numbers: Positions = np.zeros(len(rows), np.int64)
    firsts: Positions = numbers[:1]
    for column in rows.columns:
        codes = _whole(column).dictionary_encode()
        values = codes.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        _, firsts, numbers = np.unique(numbers * len(codes.dictionary) + values, return_index=True, return_inverse=True)
    return rows.take(pa.array(firsts)), np.split(numbers, np.cumsum([len(table) for table in tables])[:-1])


def _positions(numbers: Positions, entities: int) -> Positions:
    """For each entity its row, -1 for none."""
    positions: Positions = np.full(entities, -1, np.int64)
    positions[numbers] = np.arange(len(numbers))
    return positions


def _batch(entities: pa.Table, table: pa.Table, positions: Positions) -> pa.RecordBatch:
    """The rows at these positions under the keys of their entities."""
    chosen = table.drop_columns(entities.column_names).take(pa.array(positions, mask=positions < 0))
    columns = [*entities.columns, *chosen.columns]
    names = [*entities.column_names, *chosen.column_names]
    return pa.RecordBatch.from_arrays([_whole(column) for column in columns], names=names)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _name(view: int) -> str:
    return f"view {view}"
