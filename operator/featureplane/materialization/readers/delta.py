"""The files of a Delta table at its version of now, and what only its log knows of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from featureplane.errors import SourceError
from featureplane.materialization.readers.failures import first_line
from featureplane.materialization.readers.files import Files, place_of
from featureplane.object_store import delta_options, trouble

# Delta's primitive types in DuckDB's spelling (Delta transaction log protocol, "Schema Serialization Format").
_TYPES = {
    "string": "VARCHAR",
    "long": "BIGINT",
    "integer": "INTEGER",
    "short": "SMALLINT",
    "byte": "TINYINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMPTZ",
    "timestamp_ntz": "TIMESTAMP",
}


@dataclass(frozen=True)
class DeltaVersion:
    """One version of a table: its files, its columns, and the type in DuckDB of those that are in folder names only."""

    files: Files
    schema: pa.Schema
    partitions: Mapping[str, str]


def delta_version(path: str, root: Path) -> DeltaVersion:
    """The newest version of the table at `path`, below `root` where it is relative.

    Raises SourceError without a table, and for one that hides rows or columns from those who read its files.
    """
    filesystem, scheme, place = place_of(path, root)
    try:
        table = DeltaTable(f"{scheme}://{place}" if scheme else place, storage_options=delta_options(scheme))
        _check_readable(path, table)
        found = [uri.removeprefix(f"{scheme}://") for uri in table.file_uris()]
    except TableNotFoundError as error:
        raise SourceError(f"there is no Delta table at {path}; correct spec.source.file.path, or its format") from error
    except (DeltaError, OSError) as error:
        reason = trouble(path, str(error)) or first_line(error)
        raise SourceError(f"the Delta table at {path} cannot be read: {reason}") from error
    return DeltaVersion(
        Files(filesystem, scheme, tuple(sorted(found))), pa.schema(table.schema().to_arrow()), _partitions(table)
    )


def _partitions(table: DeltaTable) -> dict[str, str]:
    names = set(table.metadata().partition_columns)
    kinds = {field.name: field.type for field in table.schema().fields if field.name in names}
    return {name: _TYPES.get(str(getattr(kind, "type", kind)), "VARCHAR") for name, kind in kinds.items()}


def _check_readable(path: str, table: DeltaTable) -> None:
    """Rows that a deletion vector hides would come back to life, and mapped columns have other names in the files."""
    if table.metadata().configuration.get("delta.columnMapping.mode", "none") != "none":
        raise SourceError(f"the Delta table at {path} maps its columns; rewrite it with delta.columnMapping.mode=none")
    if "deletionVectors" not in (table.protocol().reader_features or []):
        return
    if any(batch.num_rows for batch in table.deletion_vectors()):
        raise SourceError(f"the Delta table at {path} has deletion vectors; run REORG TABLE ... APPLY (PURGE) on it")
