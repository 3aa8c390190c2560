"""A DuckDB that stays within its memory, spills to a folder of the run, and loads nothing from the network."""

import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any

import duckdb
import pyarrow as pa
from fsspec.implementations.arrow import ArrowFSWrapper
from sqlglot import exp

from featureplane.materialization.readers.failures import cancelled
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
# Rows that DuckDB itself has at hand at a time: fewer are no less work for it.
_VECTOR = 2_048


class Duck:
    """A DuckDB whose queries another thread can end."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self._cursors: set[duckdb.DuckDBPyConnection] = set()
        self._cancelled = Event()

    def fetch(self, query: exp.Expr) -> list[tuple[Any, ...]]:
        """All rows of a short answer."""
        with self._cursor() as cursor:
            return list(cursor.sql(query.sql("duckdb")).fetchall())

    def stream(self, query: exp.Expr, rows: int) -> Generator[pa.RecordBatch, None, None]:
        """The rows of a long answer in batches of about `rows`, while the query runs."""
        with self._cursor() as cursor:
            for batch in cursor.sql(query.sql("duckdb")).to_arrow_reader(rows):
                yield batch
                del batch  # not kept while the next one is made
                self.check()

    def stream_wide(self, query: exp.Expr, size: int) -> Iterator[pa.RecordBatch]:
        """The rows of a long answer in batches of about `size` bytes or less, if all are as long as the first ones."""
        batches = self.stream(query, _VECTOR)
        first = next(batches, None)
        if first is not None and first.nbytes > size and first.num_rows > 1:
            rows = max(first.num_rows * size // first.nbytes, 1)
            del first
            batches.close()
            yield from self.stream(query, rows)
        elif first is not None:
            yield first
            del first
            yield from batches

    def cancel(self) -> None:
        """End the queries that run, and refuse further ones."""
        self._cancelled.set()
        for cursor in list(self._cursors):
            with suppress(duckdb.Error):  # it has just ended by itself
                cursor.interrupt()

    def check(self) -> None:
        """Raises FeatureplaneError once this was cancelled."""
        if self._cancelled.is_set():
            raise cancelled("a source")

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self.connection.cursor() as cursor:
            self._cursors.add(cursor)
            try:
                self.check()
                yield cursor
            finally:
                self._cursors.discard(cursor)

    def confine(self, sources: Iterable[Files]) -> None:
        """Let nothing be opened any more but these files and the scratch folder, whatever a query says.

        Files of an object store are opened through Arrow's file system.
        """
        addresses: set[str] = set()
        for files in sources:
            addresses |= {*files.addresses, *files.patterns}
            if files.scheme and not self.connection.filesystem_is_registered(files.scheme):
                self.connection.register_filesystem(_Lent(files.filesystem, files.scheme))
        allowed = exp.array(*map(exp.Literal.string, sorted(addresses)))
        self.connection.execute(f"SET allowed_paths = {allowed.sql('duckdb')}")
        self.connection.execute("SET enable_external_access = false")
        self.connection.execute("SET lock_configuration = true")


@contextmanager
def open_duckdb(scratch: Path | None = None, *, memory_mb: int = 256, threads: int = 1) -> Iterator[Duck]:
    """A connection without a database, whose scratch files are below `scratch` and gone with the block."""
    with tempfile.TemporaryDirectory(prefix="featureplane-sort-", dir=scratch) as folder:
        limits = {"memory_limit": f"{memory_mb}MB", "threads": str(threads), "temp_directory": folder}
        with duckdb.connect(":memory:", config={**_CONFIG, **limits}) as connection:
            connection.execute("SET GLOBAL TimeZone = 'UTC'")
            yield Duck(connection)


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
