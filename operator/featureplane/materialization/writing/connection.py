"""Connections that redis-py makes and authenticates, and what of redis-py's insides the writer uses: all of it here.

Its own loops pack each argument and wait for each reply, which takes longer than Redis does. So once a connection is
set up, bytes go over its socket past redis-py, and it must not be used in any other way.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis import RedisError
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,  # noqa: A004 - redis-py's
    MasterDownError,
    NoPermissionError,
    NoScriptError,
    ReadOnlyError,
    RedisClusterException,
    ResponseError,
    TimeoutError,  # noqa: A004 - redis-py's
)
from redis.retry import Retry

from featureplane.errors import OnlineStoreUnavailable
from featureplane.materialization.writing.faults import Interrupted, of_reply
from featureplane.online.connect import connect
from featureplane.online.replies import first_line
from featureplane.settings import RedisAddress

CONNECT_TIMEOUT = 10.0
_REFUSED = (AuthenticationError, AuthorizationError)
_PASSING = (
    ConnectionError,
    TimeoutError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    NoScriptError,
    ReadOnlyError,
    RedisClusterException,
)


def client_for(address: RedisAddress, timeout: float) -> Any:
    """A client that gives up at once: whoever uses it tries again."""
    return connect(
        address,
        protocol=2,
        socket_connect_timeout=min(CONNECT_TIMEOUT, timeout),
        socket_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
    )


def dial(client: Any) -> Any:
    """A connection of our own to the client's server; a Sentinel is asked for the master."""
    connection = client.connection_pool.make_connection()
    connection.connect()
    return connection


def ask(connection: Any, *words: bytes | str) -> Any:
    """One command and its answer, before the socket is taken."""
    connection.send_command(*words)
    return connection.read_response()


def socket_of(connection: Any) -> socket.socket:
    """The socket of a connection that is set up, encrypted where it has to be."""
    taken: socket.socket = connection._sock  # noqa: SLF001 - there is no public way
    return taken


def owners(client: RedisCluster) -> dict[int, str]:
    """The name of the node that has each slot, as redis-py last heard."""
    return {slot: nodes[0].name for slot, nodes in client.nodes_manager.slots_cache.items() if nodes}


def refresh(client: RedisCluster) -> None:
    """Hear from the cluster who has which slots."""
    client.nodes_manager.initialize()


def cluster_nodes(client: RedisCluster) -> dict[str, Any]:
    """A client for each node that has slots, by its name."""
    return {node.name: client.get_redis_connection(node) for node in client.get_primaries()}


@contextmanager
def explained(address: RedisAddress) -> Iterator[None]:
    """Turn redis-py's errors into ours: Interrupted, WriteRefused, or OnlineStoreUnavailable for a refused login."""
    try:
        yield
    except _REFUSED as error:
        raise OnlineStoreUnavailable(f"Redis at {address} does not let us in: {first_line(str(error))}") from error
    except NoPermissionError as error:
        raise of_reply(f"NOPERM {error}", address) from error
    except _PASSING as error:
        reason = first_line(str(error)) or type(error).__name__
        raise Interrupted(reason, is_demoted=isinstance(error, ReadOnlyError)) from error
    except ResponseError as error:
        raise of_reply(str(error), address) from error
    except (RedisError, OSError) as error:
        raise Interrupted(first_line(str(error)) or type(error).__name__) from error
