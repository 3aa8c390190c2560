"""The join in time: for each moment of an entity the row that was newest then, as the online store would have had it.

Of an entity's rows up to the moment, it included, the one with the latest event time counts; of several the one that
was created last, then the one that stands last. Where it is older than the view's ttl there is no value; a row that is
just as old as the ttl is still good.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from featureplane.errors import SourceError
from featureplane.materialization.encoding.conforming import WrongType, conform
from featureplane.materialization.readers.duck import Duck
from featureplane.materialization.readers.failures import first_line, reading
from featureplane.materialization.readers.times import UTC_MICROSECONDS, by_second, rounded_down
from featureplane.model.types import FeatureType, parse_type
from featureplane.online.times import MICROSECONDS_PER_SECOND
from featureplane.training.history import History, Span

_ENTITIES, _ROWS = "entities", "history"
_MOMENT, _PLACE, _AGE = "moment", "place", "age"
_PER_MICROSECOND = 10**3
# Beyond any time and number that a source has.
_LAST = 2**63 - 1
_BATCH_ROWS = 20_480


@dataclass(frozen=True)
class Moments:
    """Rows to find features for: when, as timestamp[us, UTC], and for which join keys, in the form of `conform`."""

    times: pa.Array
    keys: Mapping[str, pa.Array]

    @property
    def span(self) -> Span:
        """Raises ValueError without any rows."""
        found = pc.min_max(self.times)
        # Not as_py(), which would want the system's time zones.
        first, last = (found[name].cast(pa.int64()).as_py() for name in ("min", "max"))
        return Span(moment(first), moment(last))


def moment(microseconds: int) -> dt.datetime:
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=microseconds)


def join(duck: Duck, history: History, moments: Moments, keys: Sequence[str], features: Sequence[str]) -> pa.Table:
    """The features of each moment, in the order of the moments. `keys` name the moments' keys in the view's order.

    Raises SourceError, SourceChanged.
    """
    columns = {f"k{index}": moments.keys[name] for index, name in enumerate(keys)}
    places = pa.array(range(len(moments.times)), pa.int64())
    entities = pa.table({_PLACE: places, _MOMENT: moments.times.cast(pa.int64()), **columns})
    duck.connection.from_arrow(entities).create(_ENTITIES)
    try:
        query = _query(history, moments.span, features)
        with reading(history.place), _joining(history.place):
            found = pa.Table.from_batches(list(duck.stream(query, _BATCH_ROWS)))
        history.check()
    finally:
        duck.connection.execute(f"DROP TABLE {_ENTITIES}")
    kinds = dict(history.view.features)
    declared = [as_declared(found.column(index), parse_type(kinds[name]), f"{history.place}: {name}")
                for index, name in enumerate(features)]  # fmt: skip
    return pa.table(declared, names=list(features))


@contextmanager
def _joining(place: str) -> Iterator[None]:
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise SourceError(
            f"{place} cannot be joined in the memory that is given ({first_line(error)}); "
            "give more of it, or of scratch space, or ask for fewer rows at a time"
        ) from error


def _query(history: History, span: Span, features: Sequence[str]) -> exp.Select:
    """The features as f0, f1, ... for each of the entities in their order."""
    ttl = history.view.ttl_seconds * MICROSECONDS_PER_SECOND
    age = exp.Paren(this=exp.Sub(this=_at(_ENTITIES, _MOMENT), expression=_at(_ROWS, _MOMENT)))
    is_young = exp.LTE(this=age, expression=exp.Literal.number(ttl))
    values: list[exp.Expr] = [_at(_ROWS, f"f{index}") for index in range(len(features))]
    if ttl:
        values = [exp.Case(ifs=[exp.If(this=is_young.copy(), true=value)]) for value in values]
    same = [exp.EQ(this=_at(_ENTITIES, f"k{index}"), expression=_at(_ROWS, f"k{index}"))
            for index in range(len(history.view.keys))]  # fmt: skip
    latest = _row(_at(_ENTITIES, _MOMENT), *[exp.Literal.number(_LAST)] * 3)
    known = exp.GTE(this=latest, expression=_at(_ROWS, _AGE))
    rows = _rows(history, span, features).subquery(_ROWS)
    selected = [exp.alias_(value, f"f{index}", quoted=True) for index, value in enumerate(values)]
    query = exp.select(*selected).from_(_ENTITIES)
    return query.join(rows, on=exp.and_(*same, known), join_type="asof left").order_by(_at(_ENTITIES, _PLACE))


def _rows(history: History, span: Span, features: Sequence[str]) -> exp.Select:
    """The source's rows that can be an entity's newest at one of the moments."""
    view = history.view
    keys = [_key(history.values[name], history.kinds[name], kind) for name, kind in view.keys]
    moment = finer = _ticks("epoch_us", history.event_time.column)
    if _is_fine(history.event_time.kind):
        finer = _ticks("epoch_ns", history.event_time.column)
        whole = exp.Paren(this=rounded_down(finer, _PER_MICROSECOND))
        moment = exp.IntDiv(this=whole, expression=exp.Literal.number(_PER_MICROSECOND))
    created: exp.Expr = exp.Literal.number(0)
    if history.created is not None:
        ticks = _ticks("epoch_ns" if _is_fine(history.created.kind) else "epoch_us", history.created.column)
        created = exp.Coalesce(this=ticks, expressions=[exp.Literal.number(-_LAST)])
    selected = {
        **{f"k{index}": key for index, key in enumerate(keys)},
        _MOMENT: moment,
        _AGE: _row(moment, finer, created, history.number),
        **{f"f{index}": history.values[name] for index, name in enumerate(features)},
    }
    aliased = [exp.alias_(value.copy(), name, quoted=True) for name, value in selected.items()]
    query = exp.select(*aliased).from_(history.source.copy())
    query = query.where(span.of_rows(history.event_time, view.ttl_seconds))
    if keys:
        wanted = exp.select(*(_at(_ENTITIES, f"k{index}") for index in range(len(keys)))).from_(_ENTITIES)
        query = query.where(exp.In(this=exp.Tuple(expressions=[key.copy() for key in keys]), query=wanted.subquery()))
    return query


def _at(table: str, name: str) -> exp.Column:
    return exp.column(exp.to_identifier(name, quoted=True), table=table)


def _row(*values: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this="row", expressions=[exp.cast(value.copy(), "BIGINT") for value in values])


def _ticks(function: str, column: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this=function, expressions=[column.copy()])


def _is_fine(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) and kind.unit == "ns")


def _key(value: exp.Expr, found: pa.DataType, kind: str) -> exp.Expr:
    """A join key of the source in the form that `conform` gives the moments'. What cannot be one is null."""
    if kind == "String":
        return exp.cast(value.copy(), "TEXT")
    if kind == "Bytes":
        return value.copy()
    if kind == "UnixTimestamp" and not pa.types.is_integer(found):
        whole = by_second(exp.cast(value.copy(), "TIMESTAMP") if pa.types.is_date(found) else value.copy(), found)
        if _is_fine(found):
            return exp.cast(exp.Div(this=exp.Paren(this=whole), expression=exp.Literal.number(10**9)), "BIGINT")
        return exp.cast(_ticks("epoch", whole), "BIGINT")
    number = exp.TryCast(this=value.copy(), to=exp.DataType.build("BIGINT"))
    if not pa.types.is_floating(found):
        return number
    return exp.Case(ifs=[exp.If(this=exp.EQ(this=_ticks("trunc", value), expression=value.copy()), true=number)])


def as_declared(column: pa.ChunkedArray, kind: FeatureType, place: str) -> pa.ChunkedArray:
    """Values of the feature's own type, as they would be online. Raises SourceError for one that cannot be."""
    chunks = []
    for chunk in column.chunks:
        try:
            found = conform(chunk, kind)
        except WrongType as error:
            raise SourceError(f"{place}: {error}; correct the type or the source") from error
        if found.wrong is not None and found.wrong.any():
            value = chunk[int(found.wrong.argmax())]
            raise SourceError(f"{place}: the value {str(value)[:100]} {found.why}; correct the type or the source")
        chunks.append(_output(found.column, kind))
    return pa.chunked_array(chunks)


# What `conform` gives in another form than a training set has it.
_OUTPUT = {"Int32": pa.int32(), "UnixTimestamp": pa.timestamp("s", tz="UTC")}


def _output(column: pa.Array, kind: FeatureType) -> pa.Array:
    if kind.name == "Array" and kind.of and kind.of.name in _OUTPUT:
        return column.cast(pa.list_(_OUTPUT[kind.of.name]))
    if kind.name == "UnixTimestamp":
        return column.cast(_OUTPUT[kind.name]).cast(UTC_MICROSECONDS)
    return column.cast(_OUTPUT[kind.name]) if kind.name in _OUTPUT else column
