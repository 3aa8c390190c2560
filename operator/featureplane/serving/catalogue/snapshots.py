"""Whether anybody has written to a database, asked each second.

Of libpq itself: on SQLAlchemy's way, with what finds out whether the connection still lives, an answer took ten times
the CPU time, for code that is cold each time; and the requests of that moment waited for it.
"""

from contextlib import suppress
from typing import Any

import psycopg
from psycopg import pq
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from featureplane.registry.feast_rows import SNAPSHOT


class Snapshots:
    """Keeps a connection of the engine's, until somebody else needs one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kept: Any = None

    def now(self) -> str:
        """As `feast_rows.snapshot` says it; empty where there is no answer, for the usual way to say why."""
        try:
            if self._kept is None:
                self._kept = self._engine.raw_connection()
                self._kept.driver_connection.rollback()
            result = self._kept.driver_connection.pgconn.exec_(SNAPSHOT.encode())
            found = result.get_value(0, 0) if result.status == pq.ExecStatus.TUPLES_OK else None
        except (psycopg.Error, SQLAlchemyError):
            found = None
        if found is None:
            self.give_back()
            return ""
        return bytes(found).decode()

    def give_back(self) -> None:
        """The connection, to the engine: it does not connect a second time."""
        kept, self._kept = self._kept, None
        if kept is not None:
            with suppress(psycopg.Error, SQLAlchemyError):
                kept.close()
