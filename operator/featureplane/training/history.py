"""All rows of a view's source, as DuckDB reads them for a join in time: files where they lie, tables in a copy.

A table is copied once, to where DuckDB may spill: what is joined then has one way, and is one state of the table.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb
import pyarrow as pa
from sqlglot import exp

from featureplane.errors import FeatureplaneError
from featureplane.materialization.readers.among import FewKeys, among
from featureplane.materialization.readers.database import Database
from featureplane.materialization.readers.duck import Duck
from featureplane.materialization.readers.failures import reading
from featureplane.materialization.readers.scan import Found, open_scan
from featureplane.materialization.readers.table import open_table
from featureplane.materialization.readers.times import SOURCE_ROW, TimeColumn
from featureplane.materialization.rows import View

_MICROSECOND = timedelta(microseconds=1)
# "For ever" is written so; nothing comes after it.
_LAST = datetime.max.replace(tzinfo=UTC) - _MICROSECOND
_EVENT_TIME, _CREATED, _NUMBER = "__event_timestamp", "__created_timestamp", "__row_number"


@dataclass(frozen=True)
class Span:
    """From the first to the last moment that a training set asks for, both included. Aware."""

    start: datetime
    end: datetime

    def of_rows(self, time: TimeColumn, ttl_seconds: int) -> exp.Expr:
        """Whether a row can be the newest within its ttl at any of the moments."""
        known = time.before(min(self.end, _LAST) + _MICROSECOND)
        if not ttl_seconds:
            return known
        try:
            oldest = self.start - timedelta(seconds=ttl_seconds) - _MICROSECOND
        except OverflowError:  # a ttl of thousands of years
            return known
        return exp.and_(known, time.later_than(oldest))


@dataclass(frozen=True)
class History:
    """The rows of a view: `source` is what to select from, `values` are its join keys and features in a query.

    Of rows with the same times the one with the greatest `number` counts. `check` raises SourceChanged where files
    were replaced while they were read.
    """

    view: View
    place: str
    source: exp.Expr
    values: Mapping[str, exp.Expr]
    kinds: Mapping[str, pa.DataType]
    event_time: TimeColumn
    created: TimeColumn | None
    number: exp.Expr
    check: Callable[[], None]


def of_files(duck: Duck, view: View, found: Found) -> History:
    """Files are read again for each chunk of moments, of each only what can matter for them."""
    scan = open_scan(duck, view, found)
    created = view.source["created_timestamp_column"]
    columns = view.columns
    return History(
        view,
        scan.place,
        scan.source,
        {name: scan.column(column) for name, column in columns.items()},
        {name: scan.schema.field(column).type for name, column in columns.items()},
        scan.time(view.source["timestamp_field"]),
        scan.time(created) if created else None,
        scan.number,
        scan.unchanged.check,
    )


def of_table(duck: Duck, view: View, database: Database, span: Span, name: str, keys: FewKeys) -> History:
    """A table is copied into DuckDB's own table `name`, in the order in which its rows count; rows that have none of
    these keys may stay where they are.
    """
    table = open_table(database, view)
    event_time = table.time(view.source["timestamp_field"])
    column = view.source["created_timestamp_column"]
    created = table.time(column) if column else None
    # Features by place: one may be called as a column of ours.
    named = {f"v{index}": table.value(each) for index, each in enumerate(view.columns)}
    times = {_EVENT_TIME: event_time.column, **({_CREATED: created.column} if created else {})}
    selected = [exp.alias_(value.copy(), alias, quoted=True) for alias, value in {**named, **times}.items()]
    weighed = [*times.values(), *(table.value(each) for each in table.ordered())]
    order = [exp.Ordered(this=each.copy(), nulls_first=True) for each in weighed]
    wanted = exp.and_(span.of_rows(event_time, view.ttl_seconds), among(keys, table.value, table.kinds))
    query = table.query(*selected).where(wanted).order_by(*order)
    kinds = {f"v{index}": table.kinds[each] for index, each in enumerate(view.columns)}
    kinds |= {_EVENT_TIME: event_time.kind, **({_CREATED: created.kind} if created else {})}
    schema = pa.schema([*(pa.field(alias, kind) for alias, kind in kinds.items()), pa.field(_NUMBER, pa.int64())])
    _keep(duck, name, schema, database.stream(query, table.place), table.place)
    return History(
        view,
        table.place,
        exp.alias_(exp.Table(this=exp.to_identifier(name, quoted=True)), SOURCE_ROW, table=True),
        {each: _own(f"v{index}") for index, each in enumerate(view.columns)},
        table.kinds,
        TimeColumn(_own(_EVENT_TIME), event_time.kind),
        TimeColumn(_own(_CREATED), created.kind) if created else None,
        _own(_NUMBER),
        lambda: None,
    )


def _keep(duck: Duck, name: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch], place: str) -> None:
    """Put the rows into a table of DuckDB's. Raises what the batches raise, of which DuckDB would keep the text."""
    raised: list[FeatureplaneError] = []

    def noting() -> Iterator[pa.RecordBatch]:
        try:
            yield from _numbered(batches, schema)
        except FeatureplaneError as error:
            raised.append(error)
            raise

    with reading(place):
        try:
            duck.connection.from_arrow(pa.RecordBatchReader.from_batches(schema, noting())).create(name)
        except duckdb.Error:
            if raised:
                raise raised[0] from None
            raise


def _own(name: str) -> exp.Column:
    return exp.column(exp.to_identifier(name, quoted=True), table=SOURCE_ROW)


def _numbered(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    count = 0
    for batch in batches:
        numbers = pa.array(range(count, count + batch.num_rows), pa.int64())
        yield pa.RecordBatch.from_arrays([*batch.columns, numbers], schema=schema)
        count += batch.num_rows
