"""Feast's Cassandra online store with its credentials taken from the environment.

Feast's configuration wants username and password in feature_store.yaml, and knows no TLS. Here they are
FEATUREPLANE_CASSANDRA_USERNAME and _PASSWORD; layout, reads and writes are Feast's own.
"""

import threading
from collections.abc import Sequence
from typing import Any, Literal

from feast.infra.online_stores.cassandra_online_store.cassandra_online_store import (
    CassandraOnlineStore,
    CassandraOnlineStoreConfig,
)

from featureplane.model.feast_project import CassandraOnlineStore as Declared
from featureplane.online.cassandra import connect, owner_comment, refuse_foreign
from featureplane.online.cassandra_errors import answering, is_missing_table
from featureplane.plugins.written import Written
from featureplane.settings import Settings


class EnvironmentCassandraOnlineStoreConfig(CassandraOnlineStoreConfig):  # type: ignore[misc]  # Feast publishes no types
    """Feast's configuration under our class path; its own username and password are never read."""

    type: Literal["featureplane.plugins.cassandra.EnvironmentCassandraOnlineStore"] = (
        "featureplane.plugins.cassandra.EnvironmentCassandraOnlineStore"
    )
    datacenter: str
    tls: bool = False
    secret: str = ""
    """Name of the Secret with username and password, for messages."""


class EnvironmentCassandraOnlineStore(CassandraOnlineStore):  # type: ignore[misc]
    """Feast's store. A view's table is made with its first row, and a view without one has no rows."""

    def __init__(self) -> None:
        super().__init__()
        self.written = Written()
        # Feast keeps these for all instances, whatever their sessions are.
        self._prepared_statements: dict[str, Any] = {}
        self._session: Any = None
        self._connecting = threading.Lock()
        self._made: set[str] = set()
        self._ours: set[str] = set()

    def _get_session(self, config: Any) -> Any:
        # Feast's server asks in threads, and each session has a cluster's connections.
        with self._connecting:
            if self._session is None:
                store = _declared(config)
                self._keyspace = store.keyspace
                self._session = connect(store, Settings.from_env().cassandra)
                self._cluster = self._session.cluster
            return self._session

    def online_write_batch(self, config: Any, table: Any, data: Any, progress: Any) -> None:
        from cassandra import InvalidRequest

        with answering(_declared(config)):
            self._make_once(config, table)
            try:
                super().online_write_batch(config, table, data, progress)
            except InvalidRequest as error:
                if not is_missing_table(error):
                    raise
                # A purge has removed it, and the view has come back since.
                self._forget(table)
                self._make_once(config, table)
                super().online_write_batch(config, table, data, progress)
        self.written.add(data)

    def online_read(
        self, config: Any, table: Any, entity_keys: Sequence[Any], requested_features: list[str] | None = None
    ) -> Any:
        from cassandra import InvalidRequest

        with answering(_declared(config)):
            self._refuse_foreign(config, table)
            try:
                return super().online_read(config, table, entity_keys, requested_features)
            except InvalidRequest as error:
                if not is_missing_table(error):
                    raise
                self._forget(table)
                return [(None, None)] * len(entity_keys)

    def _make_once(self, config: Any, table: Any) -> None:
        if table.name not in self._made:
            self._create_table(config, config.project, table)
            self._refuse_foreign(config, table)
            self._made.add(table.name)

    def _forget(self, table: Any) -> None:
        """Who makes the next table by that name is not known."""
        self._made.discard(table.name)
        self._ours.discard(table.name)

    def _create_table(self, config: Any, project: str, table: Any) -> None:
        """Feast's statement, and with it whose table that is."""
        session = self._get_session(config)
        statement = self._get_cql_statement(config, "create", self._fq_table_name(self._keyspace, project, table))
        owner = owner_comment(project, table.name)
        session.execute(f"{statement.strip().removesuffix(';')} AND comment = '{owner}'")

    def _refuse_foreign(self, config: Any, table: Any) -> None:
        if table.name not in self._ours and refuse_foreign(
            self._get_session(config), self._keyspace, config.project, table.name
        ):
            self._ours.add(table.name)


def _declared(config: Any) -> Declared:
    """What the FeastProject says, out of feature_store.yaml."""
    online = config.online_store
    return Declared.model_validate(
        {
            "hosts": online.hosts,
            "port": online.port,
            "keyspace": online.keyspace,
            "datacenter": online.datacenter,
            "tls": online.tls,
            **({"secretRef": {"name": online.secret}} if online.secret else {}),
        }
    )
