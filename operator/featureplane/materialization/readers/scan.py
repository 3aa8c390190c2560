"""A view's files as DuckDB reads them: one FROM clause, the same for every pass, and the columns it gives."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
from sqlglot import exp

from featureplane.errors import SourceError
from featureplane.materialization.readers.columns import check_columns, wanted
from featureplane.materialization.readers.duck import fetch, lend_filesystem
from featureplane.materialization.readers.failures import reading
from featureplane.materialization.readers.files import Files, Unchanged, find_files
from featureplane.materialization.readers.marks import row_bits
from featureplane.materialization.readers.times import TimeColumn
from featureplane.materialization.rows import View

if TYPE_CHECKING:
    from featureplane.materialization.readers.delta import DeltaVersion

# Where a row stands: DuckDB's virtual columns.
_FILE, _ROW = _PLACE = ("file_index", "file_row_number")
# What has no Arrow type of its own is read as its text.
_AS_TEXT = frozenset({"UUID", "JSON"})


@dataclass(frozen=True)
class Scan:
    """Files and what is known of them: the types of their columns, and how many rows each file has."""

    place: str
    source: exp.Expr
    schema: pa.Schema
    as_text: frozenset[str]
    rows: tuple[int, ...]
    unchanged: Unchanged

    def column(self, name: str) -> exp.Expr:
        """A column's value in a query."""
        column = exp.column(exp.to_identifier(name, quoted=True))
        return exp.cast(column, "TEXT") if name in self.as_text else column

    def time(self, name: str) -> TimeColumn:
        """A column of times in a query."""
        return TimeColumn(exp.column(exp.to_identifier(name, quoted=True)), self.schema.field(name).type)

    @property
    def number(self) -> exp.Expr:
        """A row's number in a query, see `marks`."""
        factor = exp.Literal.number(1 << row_bits(self.rows))
        file = exp.Mul(this=exp.cast(exp.column(_FILE), "BIGINT"), expression=factor)
        return exp.Paren(this=exp.Add(this=file, expression=exp.column(_ROW)))

    @property
    def number_bits(self) -> int:
        """The bits that the greatest number of a row takes at most."""
        return len(self.rows).bit_length() + row_bits(self.rows)

    def query(self, *columns: exp.Expr) -> exp.Select:
        """A SELECT of these expressions from the files."""
        return exp.select(*columns).from_(self.source.copy())


def open_scan(connection: duckdb.DuckDBPyConnection, view: View, repo_path: Path) -> Scan:
    """Look at the files of a view's source. Raises SourceError for what the view cannot be read from."""
    path = str(view.source["path"])
    place = f"{path} (of {view.name})"
    with reading(place):
        delta = _delta(path, repo_path) if view.source["format"] == "delta" else None
        files = delta.files if delta else find_files(path, repo_path)
        unchanged = Unchanged(files, place)
        lend_filesystem(connection, files)
        if delta and not files.paths:
            source = _nothing(connection, view, delta.schema)
        else:
            source = _source(connection, files, wanted(view), delta.partitions if delta else {})
        found = _columns(connection, source)
        rows = _rows(connection, files)
    as_text = frozenset(name for name, (kind, _) in found.items() if kind in _AS_TEXT)
    fields = [pa.field(name, pa.string() if name in as_text else kind) for name, (_, kind) in found.items()]
    schema = pa.schema([field for field in fields if field.name not in _PLACE])
    check_columns(view, schema, place)
    return Scan(place, source, schema, as_text, rows, unchanged)


def _delta(path: str, root: Path) -> "DeltaVersion":
    # Most sources are no Delta tables, and their library is slow to load.
    from featureplane.materialization.readers.delta import delta_version

    return delta_version(path, root)


def _source(
    connection: duckdb.DuckDBPyConnection, files: Files, names: Iterable[str], partitions: Mapping[str, str]
) -> exp.Expr:
    """The files as a table. Folders' names give columns only where the files themselves lack them."""
    plain = _read_parquet(files)
    inside = _columns(connection, plain)
    if shadowed := {name for name in inside if name.lower() in _PLACE}:
        raise SourceError(f"the files have a column {min(shadowed)!r}, a name that reading them needs; rename it")
    if not partitions and (inside.keys() >= set(names) or not any("=" in path for path in files.paths)):
        return plain
    return _read_parquet(files, hive_partitioning=exp.true(), hive_types=_struct(partitions))


def _read_parquet(files: Files, **options: exp.Expr | None) -> exp.Expr:
    """DuckDB's table function. Several files may differ in their columns: what one lacks is null there."""
    options = {"hive_partitioning": exp.false(), **options}
    if len(files.paths) > 1:
        options["union_by_name"] = exp.true()
    addresses = exp.array(*map(exp.Literal.string, files.addresses))
    named = [exp.PropertyEQ(this=exp.to_identifier(name), expression=value) for name, value in options.items() if value]
    return exp.Anonymous(this="read_parquet", expressions=[addresses, *named])


def _struct(types: Mapping[str, str]) -> exp.Expr | None:
    """Names and types as a literal of DuckDB's, None without any."""
    pairs = [
        exp.PropertyEQ(this=exp.to_identifier(name, quoted=True), expression=exp.Literal.string(kind))
        for name, kind in types.items()
    ]
    return exp.Struct(expressions=pairs) if pairs else None


def _nothing(connection: duckdb.DuckDBPyConnection, view: View, schema: pa.Schema) -> exp.Expr:
    """A table of no rows, for a Delta table without files."""
    fields = [*schema, *(pa.field(name, pa.int64()) for name in _PLACE)]
    name = f"nothing of {view.name}"
    connection.from_arrow(pa.schema(fields).empty_table()).create(name)
    return exp.Table(this=exp.to_identifier(name, quoted=True))


def _columns(connection: duckdb.DuckDBPyConnection, source: exp.Expr) -> dict[str, tuple[str, pa.DataType]]:
    """Each column's type in DuckDB and in Arrow."""
    found = connection.sql(exp.select("*").from_(source.copy()).limit(0).sql("duckdb"))
    schema = found.to_arrow_reader(1).schema
    return {field.name: (str(kind), field.type) for field, kind in zip(schema, found.types, strict=True)}


def _rows(connection: duckdb.DuckDBPyConnection, files: Files) -> tuple[int, ...]:
    """How many rows each file has, in the order of the files."""
    if not files.paths:
        return ()
    function = exp.Anonymous(
        this="parquet_file_metadata", expressions=[exp.array(*map(exp.Literal.string, files.addresses))]
    )
    found = dict(fetch(connection, exp.select("file_name", "num_rows").from_(function)))
    return tuple(found[address] for address in files.addresses)
