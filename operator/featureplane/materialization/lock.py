"""One run on a view at a time, wherever the runs are: an advisory lock in the registry's PostgreSQL.

The lock belongs to a transaction that stays open while the view is copied: a session's lock would be lost, or kept by
somebody else, behind a pooler that lends connections by the transaction. The server lets go of it when the process
dies. The transaction reads nothing meanwhile, so it holds nothing back.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text

from featureplane.errors import FeatureplaneError
from featureplane.registry.database import answering, begin
from featureplane.settings import PostgresAddress

# How often a run asks whether its lock is still there.
_ASK_EVERY = 1.0


class Busy(FeatureplaneError):
    """Another run copies the view."""

    retriable = True


class Held:
    """The locks of `views`, all in one transaction."""

    def __init__(self, connection: Connection, address: PostgresAddress, views: Sequence[str]) -> None:
        self.views = tuple(views)
        self._connection = connection
        self._address = address
        self._asked = time.monotonic()

    def check(self) -> None:
        """Ask, now and then, whether the locks are still held. Raises StoreUnavailable where the server went away."""
        if time.monotonic() - self._asked < _ASK_EVERY:
            return
        with answering(self._address):
            self._connection.execute(text("SELECT 1"))
        self._asked = time.monotonic()


@contextmanager
def hold(engine: Engine, address: PostgresAddress, project: str, view: str, patience: float = 0) -> Iterator[Held]:
    """The view's lock for the length of the block.

    Waits `patience` seconds for another run to end; 0 does not wait. Raises Busy, and StoreUnavailable.
    """
    with _transaction(engine, address) as connection:
        end = time.monotonic() + patience
        while not _try(connection, project, view):
            if time.monotonic() >= end:
                waited = f" and has for the {patience:.0f} seconds that this one waited" if patience else ""
                raise Busy(f"another run copies {view}{waited}; it is left to that run")
            time.sleep(min(_ASK_EVERY, max(end - time.monotonic(), 0.01)))
        yield Held(connection, address, [view])


@contextmanager
def hold_free(engine: Engine, address: PostgresAddress, project: str, views: Sequence[str]) -> Iterator[Held]:
    """The locks of those of the views that nobody else holds. Raises StoreUnavailable."""
    with _transaction(engine, address) as connection:
        yield Held(connection, address, [view for view in views if _try(connection, project, view)])


@contextmanager
def _transaction(engine: Engine, address: PostgresAddress) -> Iterator[Connection]:
    with begin(engine, address) as connection:
        # A server may end transactions that do nothing for a while, and PostgreSQL 17 long ones.
        connection.execute(
            text(
                "SELECT set_config(name, '0', true) FROM pg_settings"
                " WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')"
            )
        )
        yield connection


def _try(connection: Connection, project: str, view: str) -> bool:
    # A hash of 64 bits: two views that share one wait for each other, and nothing worse.
    statement = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))")
    name = f"featureplane run\x1f{project}\x1f{view}"
    return bool(connection.execute(statement, {"name": name}).scalar())
