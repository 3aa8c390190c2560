"""The memory of a worker, which stays what it is however much and whatever is asked of it."""

import http.client
import json
import os
import random
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil
import psycopg
import pytest
from redis import Redis

from factories import a_feature, a_feature_view, a_project, an_entity, declared, defined
from fast_server import PROJECT, asking, key_of, row_of
from featureplane.local.stores import embedded_stores
from featureplane.registry.plan import compare
from featureplane.registry.state import Registered
from featureplane.registry.writer import Writer
from featureplane.serving.app import serving
from featureplane.settings import Stores
from patience import PATIENCE

WIDE = [f"f{number}" for number in range(50)]
DRIVER = an_entity("driver", joinKey="driver_id", type="Int64")
OBJECTS = [
    a_project(offlineStore={"type": "file", "dataRoot": {"uri": "/nowhere"}}),
    a_feature_view("rides", entities=[DRIVER], features=[a_feature("trips"), a_feature("rating")]),
    a_feature_view("wide", entities=[DRIVER], features=[a_feature(name) for name in WIDE]),
]
DRIVERS = 2_000
REQUESTS = 20_000
CLIENTS = 8
# In bytes. What is kept for plans, times and connections is there after the first half.
MOST_GROWTH = 6 << 20
MOST_AT_ONCE = 300 << 20


class Served(NamedTuple):
    port: int
    worker: psutil.Process


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    with embedded_stores(None, search_path=os.environ.get("PATH", os.defpath)) as made:
        stores = Stores(made.postgres.with_database("growth"), made.redis)
        (declarations,) = declared(*OBJECTS)
        with Writer(declarations.project, stores) as writer:
            writer.apply(compare(PROJECT, defined(*OBJECTS), Registered()))
        fill(stores)
        folder: Path = tmp_path_factory.mktemp("repo")
        with serving(declarations.project, stores, folder) as server:
            server.wait_until_ready()
            (worker,) = [one for one in psutil.Process().children() if "worker_process" in "".join(one.cmdline())]
            yield Served(int(server.url.rpartition(":")[2]), worker)
        psycopg.connect(**made.postgres.keywords).close()


def fill(stores: Stores) -> None:
    address = stores.redis
    with Redis(address.host, address.port, address.db, password=address.password) as redis:
        pipeline = redis.pipeline(transaction=False)
        for driver in range(DRIVERS):
            pipeline.hset(key_of(driver), mapping={**row_of(driver), **row_of(driver, WIDE, "wide")})
        pipeline.execute()


def some_body(chance: random.Random) -> bytes:
    """Small and large, right and wrong."""
    rows = [chance.randrange(DRIVERS * 2) for _ in range(chance.choice((1, 1, 1, 10, 100)))]
    wrong = [b"{", b"[]", json.dumps(asking("x")).encode(), json.dumps(asking(1, features=["none:none"])).encode()]
    if chance.random() < 0.1:
        return chance.choice(wrong)
    features = chance.choice([["rides"], ["wide"], ["rides:trips"], [f"wide:{chance.choice(WIDE)}", "rides"]])
    return json.dumps({**asking(*rows, features=features), "full_feature_names": chance.random() < 0.5}).encode()


def ask(port: int, bodies: Iterator[bytes]) -> list[int]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    statuses = []
    for number, body in enumerate(bodies):
        connection.request("POST", "/get-online-features", body)
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
        if number % 50 == 0:
            connection.close()
    connection.close()
    return statuses


def ask_at_once(port: int, count: int, seed: int) -> set[int]:
    found: set[int] = set()

    def run(number: int) -> None:
        chance = random.Random(seed + number)
        found.update(ask(port, (some_body(chance) for _ in range(count // CLIENTS))))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_a_worker_does_not_grow(served):
    assert ask_at_once(served.port, REQUESTS, 0) == {200, 404, 422}
    before = served.worker.memory_info().rss
    assert ask_at_once(served.port, REQUESTS, 100) == {200, 404, 422}
    after = served.worker.memory_info().rss
    assert after - before < MOST_GROWTH


def test_a_thousand_connections_cost_little(served):
    before = served.worker.memory_info().rss
    connections = []
    try:
        for _ in range(1_000):
            connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=PATIENCE)
            connection.request("GET", "/health")
            assert connection.getresponse().read() == b""
            connections.append(connection)
        grown = served.worker.memory_info().rss - before
        assert grown < 40 << 20
    finally:
        for connection in connections:
            with suppress(OSError):
                connection.close()


def test_large_requests_at_once_take_no_more_memory_than_there_is(served):
    """32 clients ask for 10,000 rows of 50 features each; small requests are answered in between."""
    body = json.dumps(asking(*range(10_000), features=["wide"])).encode()
    stop, peak = threading.Event(), [0]
    small: list[int] = []
    large: list[int] = []

    def watch() -> None:
        while not stop.wait(0.02):
            peak[0] = max(peak[0], served.worker.memory_info().rss)

    def ask_for_little() -> None:
        while not stop.is_set():
            small.extend(ask(served.port, iter([json.dumps(asking(1)).encode()] * 10)))

    watching = [threading.Thread(target=watch), threading.Thread(target=ask_for_little)]
    asking_ = [threading.Thread(target=lambda: large.extend(ask(served.port, iter([body] * 3)))) for _ in range(32)]
    for thread in watching + asking_:
        thread.start()
    for thread in asking_:
        thread.join()
    stop.set()
    for thread in watching:
        thread.join()
    assert set(small) == {200}
    assert set(large) <= {200, 503}
    assert large.count(200) >= 3
    assert peak[0] < MOST_AT_ONCE
