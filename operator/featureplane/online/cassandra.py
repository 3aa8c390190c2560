"""Cassandra as an online store: one session, and its errors in words that name the host or the Secret.

The driver is the extra `cassandra`, and is imported for a project on Cassandra alone. Feast's layout
(`cassandra_online_store.py`): a table for each view, `"<project>_<view>"`, with a row for each feature of an entity.
"""

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from featureplane.errors import FeatureplaneError, OnlineStoreUnavailable, TableTaken
from featureplane.model.feast_project import CassandraOnlineStore
from featureplane.settings import CassandraAccount

_CONNECT_SECONDS = 20.0
_REQUEST_SECONDS = 60.0
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


def place_of(store: CassandraOnlineStore) -> str:
    """Where the store is, for a message."""
    hosts = ", ".join(f"{host}:{store.port}" for host in store.hosts)
    return f"Cassandra at {hosts}"


def connect(store: CassandraOnlineStore, account: CassandraAccount) -> Any:
    """A session in the store's keyspace; `session.cluster.shutdown()` ends it.

    Raises OnlineStoreUnavailable where nobody answers, FeatureplaneError where the credentials are refused, the
    keyspace is not there, or the driver is not installed.
    """
    try:
        from cassandra.auth import PlainTextAuthProvider
        from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
        from cassandra.policies import DCAwareRoundRobinPolicy, TokenAwarePolicy
    except ImportError as error:
        raise FeatureplaneError(
            "the project's online store is Cassandra, and its driver is not here; pip install 'featureplane[cassandra]'"
        ) from error
    policy = TokenAwarePolicy(DCAwareRoundRobinPolicy(local_dc=store.datacenter))
    cluster = Cluster(
        list(store.hosts),
        port=store.port,
        auth_provider=PlainTextAuthProvider(account.username, account.password) if account.username else None,
        ssl_context=ssl.create_default_context(cafile=account.ca_file or None) if store.tls else None,
        execution_profiles={
            EXEC_PROFILE_DEFAULT: ExecutionProfile(load_balancing_policy=policy, request_timeout=_REQUEST_SECONDS)
        },
        connect_timeout=_CONNECT_SECONDS,
        control_connection_timeout=_CONNECT_SECONDS,
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


@contextmanager
def answering(store: CassandraOnlineStore) -> Iterator[None]:
    """Turn the driver's errors into ours. Its own words about several hosts are long, and are cut."""
    from cassandra import AuthenticationFailed, DriverException, InvalidRequest, OperationTimedOut, Unauthorized
    from cassandra.cluster import NoHostAvailable

    try:
        yield
    except NoHostAvailable as error:
        reasons = list(error.errors.values()) if isinstance(error.errors, dict) else list(error.errors or [])
        if any(_needs_login(each) for each in reasons):
            raise _refused(store) from None
        why = _line(reasons[0]) if reasons else f"no server of the datacenter {store.datacenter!r} was found"
        raise OnlineStoreUnavailable(f"{place_of(store)} does not answer: {why}") from None
    except (AuthenticationFailed, Unauthorized) as error:
        if isinstance(error, Unauthorized):
            raise FeatureplaneError(
                f"{place_of(store)} does not allow the user in the Secret {store.secret_ref.name!r} to do this; "
                f"grant CREATE, SELECT, MODIFY and DROP on the keyspace {store.keyspace!r}"
            ) from None
        raise _refused(store) from None
    except InvalidRequest as error:
        if "eyspace" in str(error) and "does not exist" in str(error):
            raise FeatureplaneError(
                f"{place_of(store)} has no keyspace {store.keyspace!r}; make it: CREATE KEYSPACE {store.keyspace} "
                f"WITH replication = {{'class': 'NetworkTopologyStrategy', '{store.datacenter}': 3}}"
            ) from None
        raise FeatureplaneError(f"{place_of(store)} refuses: {_line(error)}") from error
    except OperationTimedOut:
        raise OnlineStoreUnavailable(f"{place_of(store)} does not answer in time") from None
    except DriverException as error:
        raise OnlineStoreUnavailable(f"{place_of(store)} does not answer: {_line(error)}") from error


def is_missing_table(error: BaseException) -> bool:
    """Whether nobody has written a row of the view yet."""
    from cassandra import InvalidRequest

    return isinstance(error, InvalidRequest) and ("unconfigured table" in str(error) or "does not exist" in str(error))


def _needs_login(error: object) -> bool:
    from cassandra import AuthenticationFailed

    return isinstance(error, AuthenticationFailed) or "requires authentication" in str(error)


def _refused(store: CassandraOnlineStore) -> FeatureplaneError:
    secret = store.secret_ref.name
    return FeatureplaneError(
        f"{place_of(store)} refuses the credentials; correct username and password in the Secret {secret!r}"
    )


def _line(error: object) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
