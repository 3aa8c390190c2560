"""A server for the clients of this folder."""

from collections.abc import Iterator

import pytest

from data.writing.redis_processes import RedisProcess
from fast_server import FEATURES, VIEW, FastServer, fast_server, fill
from featureplane.serving.http import patience
from local.clients.raw_http import WIDE, WIDER


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastServer]:
    redis = RedisProcess(tmp_path_factory.mktemp("redis")).start()
    with redis.client() as client:
        fill(client, range(100))
    try:
        with fast_server(redis.address, {VIEW: FEATURES, "wide": WIDE, "wider": WIDER}) as made:
            yield made
    finally:
        redis.kill()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "REQUEST_SECONDS", 1.0)
    monkeypatch.setattr(patience, "UNREAD_SECONDS", 1.0)
