"""An entity's rows in the source of a view, the newest first: asked for with a filter, never read as a whole."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
from sqlglot import exp

from featureplane.entities.conditions import is_value
from featureplane.entities.entity import Entity
from featureplane.materialization.encoding.conforming import conformed
from featureplane.materialization.encoding.encoder import ViewEncoder
from featureplane.materialization.readers.database import Database
from featureplane.materialization.readers.duck import open_duckdb
from featureplane.materialization.readers.failures import reading
from featureplane.materialization.readers.opening import Places, open_database
from featureplane.materialization.readers.scan import find_source
from featureplane.materialization.readers.table import open_table
from featureplane.materialization.readers.times import SOURCE_ROW, TimeColumn, as_event_time
from featureplane.materialization.rows import EVENT_TIME, View, Window
from featureplane.parity.judging import SourceRow
from featureplane.parity.source import encoded
from featureplane.training.history import of_files

_BATCH_ROWS = 2_048


@dataclass(frozen=True)
class _Source:
    """An open source: what to select from, the values of join keys and features with their types, and its times. Of
    rows with the same times `last` orders them. `stream` runs a query.
    """

    rows: exp.Expr
    values: Mapping[str, exp.Expr]
    kinds: Mapping[str, pa.DataType]
    event_time: TimeColumn
    created: TimeColumn | None
    last: Sequence[exp.Expr]
    stream: Callable[[exp.Expr], Iterator[pa.RecordBatch]]


def newest_rows(
    entity: Entity, places: Places, most: int, *, until: datetime | None = None, at: datetime | None = None
) -> list[SourceRow]:
    """Up to so many rows of an entity, the newest first: of those with one event time the one that was created last,
    then the one that a run would take. Only those up to `until`, or `at` a moment, itself included.

    Raises SourceError, SourceChanged, StoreUnavailable.
    """
    view = entity.view
    with _open(view, places) as source:
        found = list(source.stream(_query(entity, source, most, until, at)))
    return [row for batch in found for row in _rows(entity, _finished(batch))]


@contextmanager
def _open(view: View, places: Places) -> Iterator[_Source]:
    if view.source["type"] != "file":
        with open_database(view, places) as database:
            yield _of_table(view, database)
        return
    with open_duckdb(places.scratch) as duck:
        found = find_source(view, places.repo_path)
        duck.confine([found.files])
        files = of_files(duck, view, found)

        def stream(query: exp.Expr) -> Iterator[pa.RecordBatch]:
            with reading(files.place):
                yield from duck.stream(query, _BATCH_ROWS)
                files.check()

        yield _Source(files.source, files.values, files.kinds, files.event_time, files.created, [files.number], stream)


def _of_table(view: View, database: Database) -> _Source:
    created = view.source["created_timestamp_column"]
    table = open_table(database, view)
    values = {name: table.value(name) for name in view.columns}
    ordered = table.ordered()
    return _Source(
        exp.alias_(table.table.copy(), SOURCE_ROW, table=True),
        values,
        table.kinds,
        table.time(view.source["timestamp_field"]),
        table.time(created) if created else None,
        [values[name] for name, _ in view.features if name in ordered],
        lambda query: database.stream(query, table.place),
    )


def _query(entity: Entity, source: _Source, most: int, until: datetime | None, at: datetime | None) -> exp.Expr:
    view, event_time = entity.view, source.event_time
    created = {view.source["created_timestamp_column"]: source.created.column} if source.created else {}
    selected = {**source.values, EVENT_TIME: event_time.column, **created}
    wanted = [
        is_value(source.values[name], source.kinds[name], kind, value)
        for (name, kind), value in zip(view.keys, entity.values, strict=True)
    ]
    wanted.append(exp.not_(exp.Is(this=event_time.column.copy(), expression=exp.null())))
    if at is not None:
        wanted.append(event_time.within(Window(at, at)))
    if until is not None:
        wanted.append(exp.not_(event_time.later_than(until)))
    order = [event_time.column, *created.values(), *source.last]
    query = exp.select(*(exp.alias_(value.copy(), name, quoted=True) for name, value in selected.items()))
    query = query.from_(source.rows.copy()).where(*wanted)
    query = query.order_by(*(exp.Ordered(this=value.copy(), desc=True, nulls_first=False) for value in order))
    return query.limit(most)


def _finished(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Times in the one form."""
    place = batch.schema.get_field_index(EVENT_TIME)
    return batch.set_column(place, EVENT_TIME, as_event_time(batch.column(place)))


def _rows(entity: Entity, batch: pa.RecordBatch) -> list[SourceRow]:
    """Those of the batch that are the entity's indeed."""
    view = entity.view
    columns = conformed(batch, view)
    keys = ViewEncoder(view).keys({name: columns[name].column for name, _ in view.keys}).to_pylist()
    rows = encoded(columns, batch, view, view.source["created_timestamp_column"])
    return [row for key, row in zip(keys, rows, strict=True) if key == entity.key]
