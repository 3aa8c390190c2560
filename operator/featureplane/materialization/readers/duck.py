"""A DuckDB that stays within its memory, spills to a folder of the run, and loads nothing from the network."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from fsspec.implementations.arrow import ArrowFSWrapper
from sqlglot import exp

from featureplane.materialization.readers.files import Files

_CONFIG: dict[str, Any] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    # Nothing of the user's DuckDB: a secret of theirs, kept in their home, is not this run's.
    "allow_persistent_secrets": "false",
    # A pass reads each file once, and the cache would count as memory of the sort.
    "enable_external_file_cache": "false",
    # Every row carries where it stands.
    "preserve_insertion_order": "false",
}


@contextmanager
def open_duckdb(
    scratch: Path | None = None, *, memory_mb: int = 256, threads: int = 1
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection without a database, whose scratch files are below `scratch` and gone with the block."""
    with tempfile.TemporaryDirectory(prefix="featureplane-sort-", dir=scratch) as folder:
        limits = {"memory_limit": f"{memory_mb}MB", "threads": str(threads), "temp_directory": folder}
        with duckdb.connect(":memory:", config={**_CONFIG, **limits}) as connection:
            connection.execute("SET GLOBAL TimeZone = 'UTC'")
            yield connection


def fetch(connection: duckdb.DuckDBPyConnection, query: exp.Expr) -> list[tuple[Any, ...]]:
    """All rows of a short answer."""
    with connection.cursor() as cursor:
        return list(cursor.sql(query.sql("duckdb")).fetchall())


def stream(connection: duckdb.DuckDBPyConnection, query: exp.Expr, rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of a long answer in batches of about `rows`, while the query runs."""
    with connection.cursor() as cursor:
        yield from cursor.sql(query.sql("duckdb")).to_arrow_reader(rows)


def lend_filesystem(connection: duckdb.DuckDBPyConnection, files: Files) -> None:
    """Let DuckDB open the files of an object store through Arrow's file system."""
    if files.scheme and not connection.filesystem_is_registered(files.scheme):
        connection.register_filesystem(_Lent(files.filesystem, files.scheme))


class _Lent(ArrowFSWrapper):  # type: ignore[misc]  # fsspec publishes no types
    """An Arrow file system under the scheme of its addresses."""

    # fsspec would hand out one instance for all buckets.
    cachable = False

    def __init__(self, filesystem: Any, scheme: str) -> None:
        self._scheme = scheme
        super().__init__(filesystem)

    @property
    def protocol(self) -> str:
        return self._scheme

    def _strip_protocol(self, path: str) -> str:  # an instance's, not the class's: the scheme is the instance's
        return path.removeprefix(f"{self._scheme}://")
