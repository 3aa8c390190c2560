"""A Redis of its own for each module that asks for one, emptied for each test."""

from collections.abc import Iterator

import pytest
from redis import Redis

from data.writing.redis_processes import RedisProcess, cleared


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[RedisProcess]:
    made = RedisProcess(tmp_path_factory.mktemp("redis")).start()
    yield made
    made.kill()


@pytest.fixture
def redis(server) -> Iterator[Redis]:
    with server.client() as client:
        yield cleared(client)
