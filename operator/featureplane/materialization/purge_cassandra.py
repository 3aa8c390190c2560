"""Removing what is due from Cassandra: a deleted view's table, and a removed feature's rows in it."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from featureplane.errors import TableTaken
from featureplane.model.feast_project import CassandraOnlineStore
from featureplane.online.cassandra import connect, refuse_foreign, table_of
from featureplane.online.cassandra_errors import answering
from featureplane.settings import CassandraAccount

_PAGE = 1000
_CONCURRENCY = 50
logger = logging.getLogger(__name__)


class CassandraRows:
    """One session, for one project."""

    def __init__(self, store: CassandraOnlineStore, account: CassandraAccount, project: str) -> None:
        self._store = store
        self._project = project
        self._session: Any = connect(store, account)

    def close(self) -> None:
        self._session.cluster.shutdown()

    def drop(self, view: str) -> None:
        """Remove a view with all of its rows; one without a table has none."""
        with answering(self._store):
            if not self._has_own(view):
                return
            self._session.execute(f"DROP TABLE IF EXISTS {self._table(view)}")

    def entities(self, view: str) -> Iterator[list[str]]:
        """The keys of all entities that a view has rows of, a page at a time."""
        from cassandra.query import SimpleStatement

        with answering(self._store):
            if not self._has_own(view):
                return
            select = SimpleStatement(f"SELECT DISTINCT entity_key FROM {self._table(view)}", fetch_size=_PAGE)  # noqa: S608 - quoted
            pages = self._session.execute(select)
        while True:
            yield [row.entity_key for row in pages.current_rows]
            if not pages.has_more_pages:
                return
            with answering(self._store):
                pages.fetch_next_page()

    def remove(self, view: str, feature: str, entities: Sequence[str]) -> None:
        """Remove a feature of these entities."""
        from cassandra.concurrent import execute_concurrent_with_args

        statement = f"DELETE FROM {self._table(view)} WHERE entity_key = ? AND feature_name = ?"  # noqa: S608 - quoted
        with answering(self._store):
            delete = self._session.prepare(statement)
            keys = [(entity, feature) for entity in entities]
            execute_concurrent_with_args(self._session, delete, keys, concurrency=_CONCURRENCY)

    def _has_own(self, view: str) -> bool:
        """Whether the view has a table that is not another's by the same name, which refused its rows."""
        try:
            return refuse_foreign(self._session, self._store.keyspace, self._project, view)
        except TableTaken as error:
            logger.warning("%s; nothing of it is removed", error)
            return False

    def _table(self, view: str) -> str:
        return table_of(self._store.keyspace, self._project, view)
