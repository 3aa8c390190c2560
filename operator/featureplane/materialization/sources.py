"""A look at the sources before anything is registered: is the file there, has it the columns, are their types right.

Only files on this machine are looked at: an object store or a database is `doctor`'s to ask, which may take its time.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from psycopg import sql

from featureplane.errors import FeatureplaneError, Problem
from featureplane.model.declarations import ProjectDeclarations
from featureplane.model.feature_view import FeatureView
from featureplane.model.types import FeatureType
from featureplane.registry.database import answering
from featureplane.settings import PostgresAddress

# A type test each: whether values of the feature's type can come out of a column of the Arrow type. Whole numbers are
# doubles in a file written from pandas where some are missing; texts may be numbers that nobody counts with.
TYPE_TESTS: Mapping[str, Any] = {
    "String": lambda kind: (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_dictionary(kind)
        or pa.types.is_integer(kind)
    ),
    "Bytes": lambda kind: (
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
    ),
    "Bool": pa.types.is_boolean,
    "Int32": lambda kind: pa.types.is_integer(kind) or pa.types.is_floating(kind),
    "Int64": lambda kind: pa.types.is_integer(kind) or pa.types.is_floating(kind),
    "Float32": lambda kind: pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind),
    "Float64": lambda kind: pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind),
    "UnixTimestamp": lambda kind: pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_integer(kind),
    "Array": lambda kind: pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind),
    "Set": lambda kind: pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind),
}
_SHOWN = 12


def fits(column: pa.DataType, kind: FeatureType) -> bool:
    """Whether a column of the Arrow type can hold values of a feature's type; one without any value fits all."""
    test = TYPE_TESTS.get(kind.name)
    return pa.types.is_null(column) or test is None or bool(test(column))


def local_files(view: FeatureView, root: Path) -> tuple[Path, list[Path]] | None:
    """Where a view's file source points below `root`, and the files there; None for a source of another kind."""
    source = view.spec.source.file
    if source is None:
        return None
    place = root / source.path
    found = sorted(root.glob(source.path)) if "*" in source.path else ([place] if place.exists() else [])
    return place, found


def inspect(declarations: ProjectDeclarations, root: Path) -> list[Problem]:
    """What is wrong with the file sources of every view, below a local `root`."""
    problems = []
    for view in declarations.views:
        declared = declarations.declared(view)
        problems += [declared.problem(*finding) for finding in _findings(view, root)]
    return problems


# Path of the field, what is wrong, what to do, and the reason's name: the arguments of `Declared.problem`.
Finding = tuple[tuple[str | int, ...], str, str, str]


def _findings(view: FeatureView, root: Path) -> Iterator[Finding]:
    try:
        where = local_files(view, root)
    except (OSError, ValueError) as error:
        yield ("spec", "source", "file", "path"), f"cannot be looked for: {error}", "correct the path", "SourceNotFound"
        return
    if where is None:
        return
    place, found = where
    if not found:
        yield (
            ("spec", "source", "file", "path"),
            f"there is nothing at {place}",
            "correct the path, or name another --data-root",
            "SourceNotFound",
        )
        return
    try:
        schema = read_schema(found[0], view.spec.source.file.format if view.spec.source.file else "parquet")
    except Exception as error:  # noqa: BLE001 - whatever the reader cannot read
        message = f"{found[0]} cannot be read: {(str(error).splitlines() or [type(error).__name__])[0][:200]}"
        yield ("spec", "source", "file"), message, "check the file, and spec.source.file.format", "SourceUnreadable"
        return
    for path, column, kind in _wanted(view):
        yield from _column(schema, found[0], path, column, kind)


def read_schema(path: Path, file_format: str) -> pa.Schema:
    """The Arrow schema of a Parquet file or folder, or of a Delta table."""
    if file_format == "delta":
        from deltalake import DeltaTable

        return pa.schema(DeltaTable(str(path)).schema().to_arrow())
    if path.is_dir():
        return pq.ParquetDataset(path).schema
    return pq.read_schema(path)


def wanted_columns(view: FeatureView) -> set[str]:
    """The columns that a view takes from its source."""
    return {column for _, column, _ in _wanted(view)}


def table_columns(address: PostgresAddress, table: str) -> set[str]:
    """The columns of a PostgreSQL table.

    Raises StoreUnavailable without an answer, FeatureplaneError without the table.
    """
    keywords = {"connect_timeout": "10", **address.keywords}
    with answering(address), psycopg.connect(**keywords) as connection:  # type: ignore[arg-type]  # libpq takes text
        try:
            query = sql.SQL("SELECT * FROM {} LIMIT 0").format(sql.Identifier(*table.split(".")))
            return {column.name for column in connection.execute(query).description or ()}
        except psycopg.errors.Error as error:
            raise FeatureplaneError(
                f"table {table} at {address} cannot be read: {error.diag.message_primary}"
            ) from error


def _wanted(view: FeatureView) -> Iterator[tuple[tuple[str | int, ...], str, FeatureType | None]]:
    """Field, column and type of everything the view takes from its source; no type for a timestamp."""
    source = view.spec.source
    column_of = {target: column for column, target in source.field_mapping.items()}
    yield ("spec", "source", "timestampField"), source.timestamp_field, None
    if source.created_timestamp_column:
        yield ("spec", "source", "createdTimestampColumn"), source.created_timestamp_column, None
    for index, entity in enumerate(view.spec.entities):
        yield ("spec", "entities", index, "joinKey"), column_of.get(entity.key, entity.key), entity.type
    for index, feature in enumerate(view.spec.features):
        yield ("spec", "features", index, "name"), column_of.get(feature.name, feature.name), feature.type


def _column(
    schema: pa.Schema, file: Path, path: tuple[str | int, ...], column: str, kind: FeatureType | None
) -> Iterator[Finding]:
    if column not in schema.names:
        known = ", ".join(schema.names[:_SHOWN]) + (", ..." if len(schema.names) > _SHOWN else "")
        yield path, f"{file} has no column {column!r}", f"its columns are {known}", "ColumnNotFound"
        return
    found = schema.field(column).type
    if kind is None:
        if not (pa.types.is_timestamp(found) or pa.types.is_date(found)):
            yield (
                path,
                f"the column {column!r} of {file} is {found}, not a timestamp",
                "name a column of times",
                "ColumnType",
            )
    elif not fits(found, kind):
        yield (
            path,
            f"the column {column!r} of {file} is {found}, which is no {kind}",
            "correct the type or the file",
            "ColumnType",
        )
