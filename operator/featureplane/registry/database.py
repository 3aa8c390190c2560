"""Connections to the registry's PostgreSQL database, and making the database when it is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError

from featureplane.errors import RegistryError, StoreUnavailable
from featureplane.settings import PostgresAddress

_CONNECT_SECONDS = "10"
# A server whose host is gone says nothing: after these (libpq's, seconds and milliseconds) a connection is broken.
PATIENCE = {
    "connect_timeout": _CONNECT_SECONDS,
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}


def engine_for(address: PostgresAddress, application_name: str = "featureplane") -> Engine:
    """An engine on the database. A connection that died while idle is replaced before it is used."""
    keywords = {**PATIENCE, "application_name": application_name, **address.keywords}
    return create_engine(
        "postgresql+psycopg://", connect_args=keywords, pool_pre_ping=True, pool_size=2, max_overflow=10
    )


@contextmanager
def answering(address: PostgresAddress) -> Iterator[None]:
    """Turn a database that does not answer, or stops answering, into StoreUnavailable, without its password.

    One that answers with a refusal (no privilege, read-only) becomes a RegistryError: asking again does not help.
    """
    try:
        yield
    except (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError) as error:
        what = "has no room" if _lacks_room(error) else "does not answer"
        raise StoreUnavailable(f"the registry at {address} {what}: {_reason(error)}") from error
    except DBAPIError as error:
        if isinstance(error, IntegrityError) or isinstance(error.orig, psycopg.errors.InFailedSqlTransaction):
            raise StoreUnavailable(f"somebody else wrote to {address} at the same time: {_reason(error)}") from error
        raise RegistryError(f"the registry at {address} refused: {_reason(error)}") from error


def _lacks_room(error: Exception) -> bool:
    """Whether the server lacks disk or memory: PostgreSQL's class 53."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(cause, "sqlstate", None)).startswith("53")


def _reason(error: Exception) -> str:
    """The server's or libpq's own words, first line; libpq never puts a password there."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return lines[0] if lines else type(cause).__name__


@contextmanager
def begin(engine: Engine, address: PostgresAddress) -> Iterator[Connection]:
    """One transaction, with a silent database reported as StoreUnavailable."""
    with answering(address), engine.begin() as connection:
        yield connection


@contextmanager
def begin_once(address: PostgresAddress) -> Iterator[Connection]:
    """One transaction on a connection of its own, for who asks once."""
    engine = engine_for(address)
    try:
        with begin(engine, address) as connection:
            yield connection
    finally:
        engine.dispose()


def database_exists(address: PostgresAddress) -> bool:
    """Whether the server has a database of that name. Raises StoreUnavailable when it does not answer."""
    keywords = {"connect_timeout": _CONNECT_SECONDS, **address.keywords}
    try:
        with psycopg.connect(**keywords):  # type: ignore[arg-type]  # libpq takes every keyword as text
            return True
    except psycopg.OperationalError as error:
        # libpq reports a failed start-up without a SQLSTATE: the server's words for 3D000 are all there is.
        if f'database "{address.dbname}" does not exist' not in str(error):
            raise StoreUnavailable(f"the registry at {address} does not answer: {_reason(error)}") from error
        return False


def ensure_database(address: PostgresAddress) -> bool:
    """Create the database of `address` when the server has none of that name. True when it was made here.

    Raises StoreUnavailable when the server does not answer, or refuses to create it.
    """
    if database_exists(address):
        return False
    keywords = {"connect_timeout": _CONNECT_SECONDS, **address.keywords, "dbname": "postgres"}
    with answering(address), psycopg.connect(autocommit=True, **keywords) as connection:  # type: ignore[arg-type]
        try:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(address.dbname)))
        except psycopg.errors.DuplicateDatabase:
            return False
        except psycopg.errors.UniqueViolation:  # two at once: the other one made it
            return False
        except psycopg.errors.InsufficientPrivilege as error:
            raise StoreUnavailable(
                f"the database {address.dbname} is missing at {address} and this role may not create it; "
                "create it, or grant the role CREATEDB"
            ) from error
    return True
