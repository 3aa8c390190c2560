"""Feast's Redis online store with its address taken from the environment.

Feast reads one connection string, splits it at commas and parses each value as JSON, so a password may not hold just
any character, and feature_store.yaml would have to hold it. Here nothing is split: see `settings.RedisAddress`.
"""

from typing import Any, Literal

from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.cluster import RedisCluster as AsyncRedisCluster
from redis.asyncio.sentinel import Sentinel as AsyncSentinel

from featureplane.online.connect import connect, connection_options
from featureplane.plugins.written import Written
from featureplane.settings import RedisAddress, Settings


class EnvironmentRedisOnlineStoreConfig(RedisOnlineStoreConfig):  # type: ignore[misc]
    """Feast's configuration under our class path; `connection_string` is never read."""

    type: Literal["featureplane.plugins.redis.EnvironmentRedisOnlineStore"] = (
        "featureplane.plugins.redis.EnvironmentRedisOnlineStore"
    )


class EnvironmentRedisOnlineStore(RedisOnlineStore):  # type: ignore[misc]
    """Feast's store, layout and all, on the server that FEATUREPLANE_REDIS_* names."""

    _client: Any = None
    _client_async: Any = None
    _address: RedisAddress | None = None

    def __init__(self) -> None:
        super().__init__()
        self.written = Written()

    def online_write_batch(self, config: Any, table: Any, data: Any, progress: Any) -> None:
        super().online_write_batch(config, table, data, progress)
        self.written.add(data)

    def _where(self) -> RedisAddress:
        if self._address is None:
            self._address = Settings.from_env().redis
        return self._address

    def _get_client(self, online_store_config: Any) -> Any:  # noqa: ARG002 - Feast's signature
        if not self._client:
            self._client = connect(self._where())
        return self._client

    async def _get_client_async(self, online_store_config: Any) -> Any:  # noqa: ARG002 - Feast's signature
        if not self._client_async:
            address = self._where()
            options = connection_options(address)
            if address.mode == "Cluster":
                self._client_async = AsyncRedisCluster(host=address.host, port=address.port, **options)
            elif address.mode == "Sentinel":
                group = AsyncSentinel([(address.host, address.port)], sentinel_kwargs=options, db=address.db, **options)
                self._client_async = group.master_for(address.sentinel_master)
            else:
                self._client_async = AsyncRedis(host=address.host, port=address.port, db=address.db, **options)
        return self._client_async
