"""A table as a view reads it: its columns in queries, cast to what the view declares."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
from sqlglot import exp

from featureplane.materialization.readers.columns import check_columns
from featureplane.materialization.readers.database import Database
from featureplane.materialization.readers.times import SOURCE_ROW, TimeColumn
from featureplane.materialization.rows import View
from featureplane.materialization.sources import TYPE_TESTS
from featureplane.model.types import FeatureType, parse_type

_TEXT, _DOUBLE = "TEXT", "DOUBLE PRECISION"
_FLOATS = frozenset({"Float32", "Float64"})
_ARROW = {_TEXT: pa.string(), _DOUBLE: pa.float64()}


@dataclass(frozen=True)
class Table:
    """A table, the types of its columns, and the type to which a key's or feature's column is cast."""

    place: str
    table: exp.Table
    schema: pa.Schema
    casts: Mapping[str, str]
    columns: Mapping[str, str]

    @property
    def kinds(self) -> dict[str, pa.DataType]:
        """The Arrow type of each key's and feature's value."""
        return {
            name: _arrow(self.casts[name]) if name in self.casts else self.schema.field(column).type
            for name, column in self.columns.items()
        }

    def value(self, name: str) -> exp.Expr:
        """The value of a key or feature, by its name in Feast."""
        column = _column(self.columns[name])
        return exp.cast(column, self.casts[name], dialect="postgres") if name in self.casts else column

    def ordered(self) -> list[str]:
        """The keys and features that a database can put in order: of two maps none is the greater."""
        return [name for name, kind in self.kinds.items() if not _has_maps(kind)]

    def time(self, column: str) -> TimeColumn:
        """A column of times."""
        return TimeColumn(_column(column), self.schema.field(column).type)

    def query(self, *columns: exp.Expr) -> exp.Select:
        """A SELECT of these expressions from the table."""
        return exp.select(*columns).from_(exp.alias_(self.table.copy(), SOURCE_ROW, table=True))


def open_table(database: Database, view: View) -> Table:
    """Look at the table of a view's source. Raises SourceError for what the view cannot be read from."""
    name = str(view.source["table"])
    place = f"table {name} (of {view.name})"
    parts = [exp.to_identifier(part, quoted=True) for part in reversed(name.split("."))]
    table = exp.Table(**dict(zip(("this", "db", "catalog"), parts, strict=False)))
    schema = database.columns_of(table, place)
    casts = {}
    for feature, kind in (*view.keys, *view.features):
        column = view.columns[feature]
        if column in schema.names and (target := cast_of(parse_type(kind), schema.field(column).type)):
            casts[feature] = target
    by_column = {view.columns[feature]: _arrow(target) for feature, target in casts.items()}
    seen = pa.schema([pa.field(field.name, by_column.get(field.name, field.type)) for field in schema])
    check_columns(view, seen, place + database.where)
    return Table(place, table, schema, casts, view.columns)


def cast_of(kind: FeatureType, found: pa.DataType) -> str | None:
    """The type that a column is cast to for a feature of this type, None to take it as it is.

    Types that Arrow does not have (numeric, json, uuid, enums; Spark's intervals) come as its extension types.
    """
    if kind.of is not None and pa.types.is_list(found):
        inner = cast_of(kind.of, found.value_type)
        return inner and f"{inner}[]"
    if not isinstance(found, pa.BaseExtensionType):
        return None
    if kind.name in _FLOATS:
        return _DOUBLE if isinstance(found, pa.OpaqueType) and found.type_name == "numeric" else None
    return None if kind.name in TYPE_TESTS.keys() - {"String"} else _TEXT


def _arrow(target: str) -> pa.DataType:
    """The Arrow type of a value that was cast."""
    inner = target.removesuffix("[]")
    return _ARROW[inner] if inner == target else pa.list_(_ARROW[inner])


def _has_maps(kind: pa.DataType) -> bool:
    return pa.types.is_map(kind) or any(_has_maps(kind.field(place).type) for place in range(kind.num_fields))


def _column(name: str) -> exp.Column:
    return exp.column(exp.to_identifier(name, quoted=True), table=SOURCE_ROW)
