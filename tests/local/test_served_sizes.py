"""Rows with values of any length: what may be in memory of them at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from data.writing.redis_processes import RedisProcess
from fast_server import VIEW, FastServer, fast_server, fill, key_of, values_of
from featureplane.online.layout import field
from featureplane.registry.protos import Value
from featureplane.serving.reading import line

LENGTH = 256 << 10
LARGE = range(1_000, 1_200)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastServer]:
    """200 drivers with a text of 256 KiB, and a hundred with what drivers have."""
    redis = RedisProcess(tmp_path_factory.mktemp("redis")).start()
    text = Value(string_val="x" * LENGTH).SerializeToString()
    with redis.client() as client:
        fill(client, range(100))
        for driver in LARGE:
            client.hset(key_of(driver), field(VIEW, "trips"), text)
    try:
        with fast_server(redis.address) as made:
            yield made
    finally:
        redis.kill()


@pytest.fixture(autouse=True)
def forgets_all() -> Iterator[None]:
    yield
    assert line._Kept.of_all == 0  # noqa: SLF001 - nobody is told


def test_rows_that_are_too_large_are_refused_and_harm_nobody_else(
    server: FastServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "MOST_OF_ONE", 5 << 20)
    with ThreadPoolExecutor() as pool:
        large = [pool.submit(server.ask, *LARGE) for _ in range(2)]
        small = [values_of(server.ask(number))[1] for number in range(100)]
    for answer in large:
        assert answer.result().status_code == 413
        assert "more than 5 MiB" in answer.result().json()["message"]
    assert small == [[float(number)] for number in range(100)]
    assert values_of(server.ask(*LARGE[:10]))[1] == ["x" * LENGTH] * 10


def test_the_pieces_of_a_large_request_count_together(server: FastServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "_AT_ONCE", 10)
    monkeypatch.setattr(line, "MOST_OF_ONE", 7 << 20)
    assert server.ask(*LARGE[:50]).status_code == 413
    assert server.ask(*LARGE[:20]).status_code == 200


def test_large_rows_of_all_requests_are_bounded_together(server: FastServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "MOST_KEPT", 5 << 20)
    answer = server.ask(*LARGE[:50])
    assert answer.status_code == 503
    assert "too large rows" in answer.json()["message"]
    assert answer.headers["retry-after"] == "1"
    assert values_of(server.ask(1))[1] == [1.0]
