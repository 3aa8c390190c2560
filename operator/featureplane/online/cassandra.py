"""Cassandra as an online store: one session, and whose a table is.

The driver is the extra `cassandra`, and is imported for a project on Cassandra alone. Feast's layout
(`cassandra_online_store.py`): a table for each view, `"<project>_<view>"`, with a row for each feature of an entity.
"""

import re
import ssl
from typing import Any

from featureplane.errors import FeatureplaneError, TableTaken
from featureplane.model.feast_project import CassandraOnlineStore
from featureplane.online.cassandra_errors import answering, no_authority
from featureplane.settings import CassandraAccount

_CONNECT_SECONDS = 20.0
_REQUEST_SECONDS = 60.0
# Between two attempts to connect to a server that was lost, at the most. The driver would wait for up to ten minutes,
# and give up after 64 attempts.
_RECONNECT_SECONDS = 2.0
_OWNER = re.compile(r"Feast project (?P<project>\w+), view (?P<view>\w+)", re.ASCII)


def table_of(keyspace: str, project: str, view: str) -> str:
    """The table of a view, quoted: names are letters, digits and underscores (a model holds that)."""
    return f'"{keyspace}"."{project}_{view}"'


def owner_comment(project: str, view: str) -> str:
    """What a view's table says of itself: projects `a` and `a_b` can mean one table by views `b_c` and `c`."""
    return f"Feast project {project}, view {view}"


def refuse_foreign(session: Any, keyspace: str, project: str, view: str) -> bool:
    """Whether the view has a table. Raises TableTaken where that says that it is another view's."""
    query = "SELECT comment FROM system_schema.tables WHERE keyspace_name = %s AND table_name = %s"
    found = session.execute(query, (keyspace, f"{project}_{view}")).one()
    if found is None:
        return False
    owner = _OWNER.fullmatch(found.comment or "")
    if owner and owner.groups() != (project, view):
        raise TableTaken(
            f"the table {table_of(keyspace, project, view)} holds the view {owner['view']!r} of the project "
            f"{owner['project']!r}; give each project a keyspace of its own (spec.onlineStore.cassandra.keyspace)"
        )
    return True


def connect(store: CassandraOnlineStore, account: CassandraAccount) -> Any:
    """A session in the store's keyspace; `session.cluster.shutdown()` ends it.

    Raises OnlineStoreUnavailable where nobody answers, FeatureplaneError where the credentials are refused, no TLS
    can be spoken, the keyspace is not there, or the driver is not installed.
    """
    try:
        from cassandra.auth import PlainTextAuthProvider
        from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
        from cassandra.policies import DCAwareRoundRobinPolicy, ExponentialReconnectionPolicy, TokenAwarePolicy
    except ImportError as error:
        raise FeatureplaneError(
            "the project's online store is Cassandra, and its driver is not here; pip install 'featureplane[cassandra]'"
        ) from error
    policy = TokenAwarePolicy(DCAwareRoundRobinPolicy(local_dc=store.datacenter))
    cluster = Cluster(
        list(store.hosts),
        port=store.port,
        auth_provider=PlainTextAuthProvider(account.username, account.password) if account.username else None,
        ssl_context=_trust(store, account) if store.tls else None,
        execution_profiles={
            EXEC_PROFILE_DEFAULT: ExecutionProfile(load_balancing_policy=policy, request_timeout=_REQUEST_SECONDS)
        },
        connect_timeout=_CONNECT_SECONDS,
        control_connection_timeout=_CONNECT_SECONDS,
        reconnection_policy=ExponentialReconnectionPolicy(_RECONNECT_SECONDS / 4, _RECONNECT_SECONDS, None),
    )
    try:
        with answering(store):
            session = cluster.connect()
            # Not as an argument of `connect`, which tells a keyspace that is not there as servers that are not.
            session.set_keyspace(store.keyspace)
            return session
    except BaseException:
        cluster.shutdown()
        raise


def _trust(store: CassandraOnlineStore, account: CassandraAccount) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=account.ca_file or None)
    except OSError as error:  # an SSLError is one
        raise no_authority(store, error) from error
