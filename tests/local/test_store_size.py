"""How full Redis is, as it says itself."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from data.writing.redis_processes import HOST, RedisProcess
from featureplane.serving.reading.store import open_store
from featureplane.serving.store_size import follow_size
from featureplane.settings import RedisAddress
from patience import PATIENCE

LIMIT = 100 << 20


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    made = RedisProcess(tmp_path_factory.mktemp("redis"), {"maxmemory": str(LIMIT)}).start()
    try:
        yield made
    finally:
        made.kill()


def told(address: RedisAddress, seconds: float = 1.0) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []

    async def follow() -> None:
        store = await open_store(address)
        heard = asyncio.Event()

        def tell(used: int, limit: int) -> None:
            found.append((used, limit))
            heard.set()

        following = asyncio.create_task(follow_size(store, tell))
        try:
            async with asyncio.timeout(seconds):
                await heard.wait()
        except TimeoutError:
            pass
        finally:
            following.cancel()
            await store.close()

    asyncio.run(follow())
    return found


def test_it_is_what_redis_uses_and_may_use(redis: RedisProcess) -> None:
    with redis.client() as client:
        ((before, limit),) = told(redis.address, PATIENCE)
        client.setrange("large", 10 << 20, b"x")
        ((after, _),) = told(redis.address, PATIENCE)
        client.delete("large")
    assert limit == LIMIT
    assert 10 << 20 <= after - before < 14 << 20


def test_who_may_not_ask_is_told_nothing(redis: RedisProcess) -> None:
    with redis.client() as client:
        client.execute_command("ACL", "SETUSER", "reader", "on", ">secret", "~*", "+hmget", "+ping")
    assert told(RedisAddress(HOST, redis.port, username="reader", password="secret")) == []


def test_a_server_that_is_away_is_asked_again(redis: RedisProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featureplane.serving.store_size.LOOK_SECONDS", 0.1)
    real: Any = RedisProcess(redis.folder.parent / "late", {})
    starting = threading.Timer(0.5, real.start)
    starting.start()
    try:
        ((used, limit),) = told(real.address, PATIENCE)
        assert used
        assert limit == 0
    finally:
        starting.join()
        real.kill()
