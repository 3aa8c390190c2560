"""A client for the online store, in whatever way its servers work together. Feast's store gets the same (`plugins`)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis import Redis, RedisError
from redis.cluster import RedisCluster
from redis.sentinel import Sentinel

from featureplane.errors import StoreUnavailable
from featureplane.settings import RedisAddress


def connection_options(address: RedisAddress) -> dict[str, Any]:
    """The keyword arguments of redis-py that every mode shares."""
    options: dict[str, Any] = {"username": address.username or None, "password": address.password or None}
    if address.tls:
        options |= {"ssl": True, "ssl_ca_certs": address.ca_file or None}
    return options


def connect(address: RedisAddress, **more: Any) -> Any:
    """A `Redis` on the server or on the group's master, or a `RedisCluster`; `more` are redis-py's own arguments."""
    options = {**connection_options(address), **more}
    if address.mode == "Cluster":
        return RedisCluster(host=address.host, port=address.port, **options)
    if address.mode == "Sentinel":
        group = Sentinel([(address.host, address.port)], sentinel_kwargs=options, db=address.db, **options)
        return group.master_for(address.sentinel_master)
    return Redis(host=address.host, port=address.port, db=address.db, **options)


def primaries(client: Any) -> list[Any]:
    """A client for each server that holds keys of its own."""
    if isinstance(client, RedisCluster):
        return [client.get_redis_connection(node) for node in client.get_primaries()]
    return [client]


@contextmanager
def answering(address: RedisAddress) -> Iterator[None]:
    """Turn a Redis that does not answer, or refuses, into StoreUnavailable, without its password."""
    try:
        yield
    except RedisError as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise StoreUnavailable(f"Redis at {address} does not answer: {reason}") from error
