"""A connection to the PostgreSQL with source tables, whose answers stream in as Arrow record batches."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import adbc_driver_manager
import pyarrow as pa
from adbc_driver_postgresql import StatementOptions, dbapi
from psycopg.conninfo import make_conninfo
from sqlglot import exp

from featureplane.errors import SourceError, StoreUnavailable
from featureplane.materialization.readers.failures import first_line
from featureplane.settings import PostgresAddress

_CONNECT_SECONDS = "10"
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
def open_postgres(address: PostgresAddress) -> Iterator[Any]:
    """A connection in one transaction that only reads and sees one state of the tables.

    Raises StoreUnavailable when the server does not answer.
    """
    keywords = {"connect_timeout": _CONNECT_SECONDS, "application_name": "featureplane", **address.keywords}
    try:
        connection = dbapi.connect(make_conninfo(**keywords))
    except adbc_driver_manager.Error as error:
        raise StoreUnavailable(f"PostgreSQL at {address} does not answer: {first_line(error)}") from error
    with connection:
        with connection.cursor() as cursor, asking(address, "its tables"):
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield connection


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


def schema_of(connection: Any, query: exp.Expr) -> pa.Schema:
    """The columns that a query would give."""
    with connection.cursor() as cursor:
        return cursor.adbc_execute_schema(query.sql("postgres"))


def stream(connection: Any, query: exp.Expr) -> Iterator[pa.RecordBatch]:
    """A query's rows as they arrive."""
    with connection.cursor() as cursor:
        cursor.adbc_statement.set_options(**{StatementOptions.BATCH_SIZE_HINT_BYTES.value: str(_BATCH_BYTES)})
        cursor.execute(query.sql("postgres"))
        yield from cursor.fetch_record_batch()
