"""A connection to the PostgreSQL with source tables, whose answers stream in as Arrow record batches."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event
from typing import Any

import adbc_driver_manager
import pyarrow as pa
from adbc_driver_postgresql import StatementOptions, dbapi
from psycopg.conninfo import make_conninfo
from sqlglot import exp

from featureplane.errors import SourceError, StoreUnavailable
from featureplane.materialization.readers.failures import cancelled, first_line
from featureplane.registry.database import PATIENCE
from featureplane.settings import PostgresAddress

# What the driver puts into one batch: rows arrive so much at a time, however many there are.
_BATCH_BYTES = 2 * 1024 * 1024
# A statement cannot be carried out, for good: syntax and names, privileges, values, and a server out of resources.
_REFUSALS = {
    "3F000": "there is no such schema; correct spec.source.postgres.table",
    "42P01": "there is no such table; correct spec.source.postgres.table",
    "42501": "this role may not read it; grant it SELECT",
    "53100": "its server's disk is full while it sorts; give it more space, or the run a shorter window",
    "53200": "its server has no memory left while it sorts; lower its work_mem, or the run's window",
}
_LOST = ("08", "57P", "53300", "25P")


@contextmanager
def open_postgres(address: PostgresAddress) -> Iterator["Postgres"]:
    """A connection in one transaction that only reads and sees one state of the tables.

    Raises StoreUnavailable when the server does not answer.
    """
    keywords = {**PATIENCE, "application_name": "featureplane", **address.keywords}
    try:
        connection = dbapi.connect(make_conninfo(**keywords))
    except adbc_driver_manager.Error as error:
        raise StoreUnavailable(f"PostgreSQL at {address} does not answer: {first_line(error)}") from error
    with connection:
        with connection.cursor() as cursor, asking(address, "its tables"):
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            # A database may be told to read backslashes in texts as escapes: a join key with one would end its text.
            cursor.execute("SET standard_conforming_strings = on")
        yield Postgres(connection, address)


class Postgres:
    """A connection whose statements another thread can end."""

    def __init__(self, connection: Any, address: PostgresAddress) -> None:
        self.address = address
        self._connection = connection
        self._cursor: Any = None
        self._cancelled = Event()

    @property
    def where(self) -> str:
        return f" at {self.address}"

    def columns_of(self, table: exp.Table, place: str) -> pa.Schema:
        """The columns of a table. Raises as `asking` does."""
        query = exp.select("*").from_(table)
        with asking(self.address, place), self._connection.cursor() as cursor:
            return cursor.adbc_execute_schema(query.sql("postgres"))

    def stream(self, query: exp.Expr, place: str) -> Iterator[pa.RecordBatch]:
        """A query's rows as they arrive. Raises as `asking` does, FeatureplaneError once this was cancelled."""
        self._check(place)
        try:
            with asking(self.address, place), self._connection.cursor() as cursor:
                cursor.adbc_statement.set_options(**{StatementOptions.BATCH_SIZE_HINT_BYTES.value: str(_BATCH_BYTES)})
                self._cursor = cursor
                cursor.execute(query.sql("postgres"))
                for batch in cursor.fetch_record_batch():
                    yield batch
                    self._check(place)
        except (SourceError, StoreUnavailable) as error:
            if self._cancelled.is_set():
                raise cancelled(place) from error
            raise
        finally:
            self._cursor = None

    def cancel(self) -> None:
        """End the statement that runs, and refuse further ones."""
        self._cancelled.set()
        cursor = self._cursor
        if cursor is not None:
            with suppress(adbc_driver_manager.Error):  # it has just ended by itself
                cursor.adbc_cancel()

    def _check(self, place: str) -> None:
        if self._cancelled.is_set():
            raise cancelled(place)


@contextmanager
def asking(address: PostgresAddress, place: str) -> Iterator[None]:
    """Turn what the driver raises about the table `place` into StoreUnavailable or SourceError."""
    try:
        yield
    except adbc_driver_manager.Error as error:
        state = error.sqlstate or ""
        if not state or state.startswith(_LOST):
            raise StoreUnavailable(f"PostgreSQL at {address} stopped to answer: {first_line(error)}") from error
        why = _REFUSALS.get(state, f"{first_line(error)} ({state})")
        raise SourceError(f"{place} at {address} cannot be read: {why}") from error
    except OSError as error:  # what ends the rows once they flow, without a SQLSTATE
        if "ERROR:" in str(error):
            raise SourceError(f"{place} at {address} cannot be read: {first_line(error)}") from error
        raise StoreUnavailable(f"PostgreSQL at {address} stopped to answer: {first_line(error)}") from error
