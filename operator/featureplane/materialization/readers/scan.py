"""A view's files as DuckDB reads them: one FROM clause, the same for every pass, and the columns it gives."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from sqlglot import exp

from featureplane.errors import SourceError
from featureplane.materialization.readers.columns import check_columns, wanted
from featureplane.materialization.readers.duck import Duck
from featureplane.materialization.readers.failures import first_line, reading
from featureplane.materialization.readers.files import Files, Unchanged, check_inside, open_files
from featureplane.materialization.readers.marks import row_bits
from featureplane.materialization.readers.times import SOURCE_ROW, TimeColumn
from featureplane.materialization.rows import View

if TYPE_CHECKING:
    from featureplane.materialization.readers.delta import DeltaVersion

# Where a row stands: DuckDB's virtual columns. The index of a file is that among the files which are left when
# conditions on folders' names rule some out; its name, which is slower, stays.
_FILE, _ROW = _PLACE = ("file_index", "file_row_number")
_NAME = "__file_name"
# What has no Arrow type of its own is read as its text.
_AS_TEXT = frozenset({"UUID", "JSON"})


@dataclass(frozen=True)
class Scan:
    """Files and what is known of them: the types of their columns, and how many rows each file has.

    `file` is the place of a row's file among them, in a query.
    """

    place: str
    source: exp.Expr
    file: exp.Expr
    schema: pa.Schema
    as_text: frozenset[str]
    rows: tuple[int, ...]
    unchanged: Unchanged

    def column(self, name: str) -> exp.Expr:
        """A column's value in a query."""
        column = _column(name)
        return exp.cast(column, "TEXT") if name in self.as_text else column

    def time(self, name: str) -> TimeColumn:
        """A column of times in a query."""
        return TimeColumn(_column(name), self.schema.field(name).type)

    @property
    def number(self) -> exp.Expr:
        """A row's number in a query, see `marks`."""
        factor = exp.Literal.number(1 << row_bits(self.rows))
        file = exp.Mul(this=exp.cast(self.file.copy(), "BIGINT"), expression=factor)
        return exp.Paren(this=exp.Add(this=file, expression=_column(_ROW)))

    @property
    def number_bits(self) -> int:
        """The bits that the greatest number of a row takes at most."""
        return len(self.rows).bit_length() + row_bits(self.rows)

    def query(self, *columns: exp.Expr) -> exp.Select:
        """A SELECT of these expressions from the files."""
        return exp.select(*columns).from_(self.source.copy())


@dataclass(frozen=True)
class Found:
    """The files of a view's source, which were not looked into yet. `place` names them in messages."""

    place: str
    files: Files
    delta: "DeltaVersion | None"


def find_source(view: View, repo_path: Path) -> Found:
    """Find the files of a view's source; relative paths are below `repo_path`. Raises SourceError without any."""
    path = str(view.source["path"])
    place = f"{path} (of {view.name})"
    with reading(place):
        delta = _delta(path, repo_path) if view.source["format"] == "delta" else None
        files = delta.files if delta else open_files(path, repo_path)
        check_inside(files, path, repo_path)
        return Found(place, files, delta)


def source_files(path: str, file_format: str, root: Path) -> Files:
    """The files of a source, without looking into them. Raises SourceError without any, or where one is gone."""
    with reading(path):
        files = _delta(path, root).files if file_format == "delta" else open_files(path, root)
        files.stamps()
        return files


def open_scan(duck: Duck, view: View, found: Found) -> Scan:
    """Look into the files of a view's source; from now on they must stay as they are.

    Raises SourceError for what the view cannot be read from.
    """
    files, delta = found.files, found.delta
    with reading(found.place):
        unchanged = Unchanged(files, found.place)
        file: exp.Expr = _column(_FILE)
        if delta and not files.paths:
            source = _nothing(duck, view, delta.schema)
        elif (partitions := _partitions(duck, files, wanted(view), delta)) is None:
            source = _read_parquet(files)
        else:
            source, file = _read_partitioned(files, partitions), _place_of_file(files)
        columns = _columns(duck, source)
        rows = _rows(duck, files)
    as_text = frozenset(name for name, (kind, _) in columns.items() if kind in _AS_TEXT)
    fields = [pa.field(name, pa.string() if name in as_text else kind) for name, (_, kind) in columns.items()]
    schema = pa.schema([field for field in fields if field.name not in (*_PLACE, _NAME)])
    check_columns(view, schema, found.place)
    return Scan(found.place, source, file, schema, as_text, rows, unchanged)


def _column(name: str) -> exp.Column:
    return exp.column(exp.to_identifier(name, quoted=True), table=SOURCE_ROW)


def _delta(path: str, root: Path) -> "DeltaVersion":
    # Most sources are no Delta tables, and their library is slow to load.
    from featureplane.materialization.readers.delta import delta_version

    version = delta_version(path, root)
    try:
        version.files.stamps()
    except FileNotFoundError:  # the table may have moved on meanwhile, and its old files be gone
        version = delta_version(path, root)
        try:
            version.files.stamps()
        except FileNotFoundError as error:
            raise SourceError(
                f"the log of the Delta table at {path} names a file that is not in its folder ({first_line(error)}); "
                "restore the file, or run FSCK REPAIR TABLE on the table"
            ) from error
    return version


def _partitions(
    duck: Duck, files: Files, names: Iterable[str], delta: "DeltaVersion | None"
) -> Mapping[str, str] | None:
    """Types of the columns that folders' names give, as far as known; None where the files have all columns."""
    inside = _columns(duck, _read_parquet(files))
    if shadowed := {name for name in inside if name.lower() in (*_PLACE, _NAME)}:
        raise SourceError(f"the files have a column {min(shadowed)!r}, a name that reading them needs; rename it")
    if delta:
        return delta.partitions or None
    return None if inside.keys() >= set(names) or not any("=" in path for path in files.paths) else {}


def _read_partitioned(files: Files, partitions: Mapping[str, str]) -> exp.Expr:
    name = exp.Literal.string(_NAME)
    return _read_parquet(files, hive_partitioning=exp.true(), hive_types=_struct(partitions), filename=name)


def _place_of_file(files: Files) -> exp.Expr:
    """The place of a row's file among the files, by its name."""
    kind = exp.DataType(this=exp.DType.ENUM, expressions=[exp.Literal.string(name) for name in files.addresses])
    return exp.Anonymous(this="enum_code", expressions=[exp.Cast(this=_column(_NAME), to=kind)])


def _read_parquet(files: Files, **options: exp.Expr | None) -> exp.Expr:
    """DuckDB's table function. Several files may differ in their columns: what one lacks is null there."""
    options = {"hive_partitioning": exp.false(), **options}
    if len(files.paths) > 1:
        options["union_by_name"] = exp.true()
    patterns = exp.array(*map(exp.Literal.string, files.patterns))
    named = [exp.PropertyEQ(this=exp.to_identifier(name), expression=value) for name, value in options.items() if value]
    function = exp.Anonymous(this="read_parquet", expressions=[patterns, *named])
    return exp.Table(this=function, alias=exp.TableAlias(this=exp.to_identifier(SOURCE_ROW)))


def _struct(types: Mapping[str, str]) -> exp.Expr | None:
    """Names and types as a literal of DuckDB's, None without any."""
    pairs = [
        exp.PropertyEQ(this=exp.to_identifier(name, quoted=True), expression=exp.Literal.string(kind))
        for name, kind in types.items()
    ]
    return exp.Struct(expressions=pairs) if pairs else None


def _nothing(duck: Duck, view: View, schema: pa.Schema) -> exp.Expr:
    """A table of no rows, for a Delta table without files."""
    fields = [*schema, *(pa.field(name, pa.int64()) for name in _PLACE)]
    name = f"nothing of {view.name}"
    duck.connection.from_arrow(pa.schema(fields).empty_table()).create(name)
    return exp.alias_(exp.Table(this=exp.to_identifier(name, quoted=True)), SOURCE_ROW, table=True)


def _columns(duck: Duck, source: exp.Expr) -> dict[str, tuple[str, pa.DataType]]:
    """Each column's type in DuckDB and in Arrow."""
    found = duck.connection.sql(exp.select("*").from_(source.copy()).limit(0).sql("duckdb"))
    schema = found.to_arrow_reader(1).schema
    return {field.name: (str(kind), field.type) for field, kind in zip(schema, found.types, strict=True)}


def _rows(duck: Duck, files: Files) -> tuple[int, ...]:
    """How many rows each file has, in the order of the files."""
    if not files.paths:
        return ()
    function = exp.Anonymous(
        this="parquet_file_metadata", expressions=[exp.array(*map(exp.Literal.string, files.patterns))]
    )
    found = dict(duck.fetch(exp.select("file_name", "num_rows").from_(function)))
    return tuple(found[address] for address in files.addresses)
