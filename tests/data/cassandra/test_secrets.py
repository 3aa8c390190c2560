"""What Cassandra and its driver really say of who comes and where they are, which no client is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cassandra import Unauthorized
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster, NoHostAvailable

from data.cassandra.cassandra_server import PASSWORD, USER, CassandraServer
from featureplane.local.redis_server import HOST
from featureplane.serving.http.feast_answers import Secrets, error_of
from featureplane.settings import CassandraAccount
from patience import PATIENCE
from ports import free_port


@contextmanager
def cluster(port: int, password: str) -> Iterator[Any]:
    account = PlainTextAuthProvider(USER, password)
    made = Cluster([HOST], port=port, auth_provider=account, connect_timeout=PATIENCE)
    try:
        yield made
    finally:
        made.shutdown()


def assert_is_kept(error: Exception, port: int) -> None:
    # Its host is another than what the driver has: names are resolved, and servers name others.
    secrets = Secrets(cassandra=CassandraAccount(USER, PASSWORD), nodes=[("cassandra.fraud", port)])
    said = error_of(422, str(error).encode(), secrets, "1")
    assert said is not None, str(error)
    assert not any(word in str(said) for word in (HOST, str(port), USER, PASSWORD))


def test_where_nobody_listens(server: CassandraServer) -> None:
    port = free_port()
    with cluster(port, PASSWORD) as made, pytest.raises(NoHostAvailable) as failed:
        made.connect()
    assert_is_kept(failed.value, port)


def test_credentials_that_are_refused(server: CassandraServer) -> None:
    with cluster(server.port, "another") as made, pytest.raises(NoHostAvailable) as failed:
        made.connect()
    assert_is_kept(failed.value, server.port)


def test_what_the_user_may_not_do(server: CassandraServer) -> None:
    with cluster(server.port, PASSWORD) as made:
        session = made.connect()
        with pytest.raises(Unauthorized) as failed:
            session.execute("SELECT * FROM system_auth.roles", timeout=PATIENCE)
    assert_is_kept(failed.value, server.port)
