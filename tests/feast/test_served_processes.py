"""The feature server as processes: a worker that is killed, an end under load, a registry that changes under load."""

import http.client
import io
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NamedTuple

import psutil
import pytest
from world import World

from factories import Object, a_feature, a_feature_view, a_project
from featureplane.online.layout import field, time_field
from featureplane.registry.protos import Value
from featureplane.serving.app import Server, serving
from featureplane.serving.reading.entity_keys import KeyMaker
from patience import PATIENCE, until

WORKERS = 2
VIEW = "commodity_prices"
METALS = [f"metal{number}" for number in range(20)]
BODY = json.dumps({"features": [f"{VIEW}:price"], "entities": {"commodity": METALS}})
PROJECT = a_project(offlineStore={"type": "file", "dataRoot": {"uri": "/nowhere"}}, server={"workers": WORKERS})


# Workers that have not ended after a quarter of a minute are killed.
KILLED_AFTER = 14.0


class Served(NamedTuple):
    world: World
    server: Server
    log: io.StringIO
    pids: set[int]


@pytest.fixture
def filled(world: World) -> World:
    world.apply(PROJECT, a_feature_view())
    keys = KeyMaker((("commodity", "String"),), "feast").keys([METALS])
    for number, key in enumerate(keys):
        row = {field(VIEW, "price"): Value(double_val=number).SerializeToString(), time_field(VIEW): b"\x08\x01"}
        world.redis.hset(key, mapping=row)  # type: ignore[arg-type]
    return world


@contextmanager
def started(world: World) -> Iterator[Served]:
    before = worker_pids()
    with (
        (world.folder / "log").open("a+") as log,
        serving(world.declarations(PROJECT).project, world.stores, world.folder, log=log) as server,
    ):
        server.wait_until_ready()
        yield Served(world, server, log, worker_pids() - before)


def worker_pids() -> set[int]:
    return {
        process.pid
        for process in psutil.Process().children()
        if process.status() != psutil.STATUS_ZOMBIE and "worker_process" in "".join(process.cmdline())
    }


class Client(threading.Thread):
    """Asks again and again, over a connection that it keeps as long as the server does.

    As clients do, it asks anew where it was refused, or where its connection ended before a byte of an answer; it goes
    on to the next server then. `seen` counts what it met, anything else than an answer or a refusal is in `failures`.
    """

    def __init__(self, urls: list[str], stop: threading.Event, *, keeps: bool) -> None:
        super().__init__()
        self._places = [url.removeprefix("http://") for url in urls]
        self._stop_asking = stop
        self._keeps = keeps
        self._connection: http.client.HTTPConnection | None = None
        self.seen: Counter[Any] = Counter()
        self.failures: list[str] = []
        self.bodies: set[bytes] = set()

    def run(self) -> None:
        while not self._stop_asking.is_set():
            try:
                self._ask()
            except Exception as error:  # noqa: BLE001 - told by the test
                self.failures.append(repr(error))
                self._forget()

    def _ask(self) -> None:
        is_used = self._connection is not None
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._places[0], timeout=PATIENCE)
            try:
                self._connection.connect()
            except ConnectionRefusedError:
                self._turn("refused")
                return
        try:
            self._connection.request("POST", "/get-online-features", BODY, {"content-type": "application/json"})
            answer = self._connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            self._turn("cut off" if is_used else "cut off at once")
            return
        body = answer.read()
        self.seen[answer.status] += 1
        if answer.status == 200:
            self.bodies.add(body)
        if not self._keeps or answer.will_close:
            self._forget()

    def _turn(self, why: str) -> None:
        self.seen[why] += 1
        self._places.append(self._places.pop(0))
        self._forget()

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


@contextmanager
def clients(*urls: str, count: int = 4, turns_away: bool = True) -> Iterator[list[Client]]:
    stop = threading.Event()
    keepers = [Client(list(urls), stop, keeps=True) for _ in range(count)]
    made = [*keepers, Client(list(urls), stop, keeps=False)] if turns_away else keepers
    for client in made:
        client.start()
    try:
        yield made
    finally:
        stop.set()
        for client in made:
            client.join()


def test_a_worker_that_is_killed_is_replaced_while_the_other_answers(filled: World) -> None:
    with started(filled) as served:
        assert len(served.pids) == WORKERS
        before = worker_pids()
        with clients(served.server.url) as asking:
            until(lambda: all(client.seen[200] for client in asking))
            victim = min(served.pids)
            os.kill(victim, signal.SIGKILL)
            # Workers of the test before may be ending still.
            until(lambda: bool(worker_pids() - before))
            (new,) = worker_pids() - before
            # It answers as well.
            until(lambda: any(each.status == "ESTABLISHED" for each in psutil.Process(new).net_connections("tcp")))
            seen = sum(client.seen[200] for client in asking)
            until(lambda: sum(client.seen[200] for client in asking) > seen)
        found: Counter[Any] = sum((client.seen for client in asking), Counter())
        assert [failure for client in asking for failure in client.failures] == []
        # A request that the worker had taken is lost with it.
        assert set(found) <= {200, "cut off", "cut off at once"}
        assert found["cut off"] + found["cut off at once"] <= len(asking) * 2
        assert served.server.is_running
        served.log.seek(0)
        assert "SIGKILL" in served.log.read()


def test_a_server_that_ends_leaves_no_request_unanswered(filled: World) -> None:
    """Of two servers one ends under load: who keeps a connection is told with an answer that it was the last, and who
    makes a new one is answered or refused.
    """
    with started(filled) as staying, ExitStack() as stack:
        going = stack.enter_context(started(filled))
        with clients(going.server.url, staying.server.url, count=6) as asking:
            until(lambda: all(client.seen[200] for client in asking))
            begun = time.monotonic()
            stack.close()
            assert time.monotonic() - begun < KILLED_AFTER
            until(lambda: all(client.seen["refused"] for client in asking))
        found: Counter[Any] = sum((client.seen for client in asking), Counter())
        assert [failure for client in asking for failure in client.failures] == []
        assert set(found) == {200, "refused"}
        assert found["refused"] >= len(asking)
        assert len({body for client in asking for body in client.bodies}) == 1


def test_a_connection_that_nobody_uses_does_not_keep_a_server_from_ending(filled: World) -> None:
    with ExitStack() as stack:
        served = stack.enter_context(started(filled))
        idle = http.client.HTTPConnection(served.server.url.removeprefix("http://"), timeout=PATIENCE)
        idle.request("GET", "/health")
        assert idle.getresponse().read() == b""
        begun = time.monotonic()
        stack.close()
        assert time.monotonic() - begun < KILLED_AFTER


def test_a_request_that_came_before_the_end_is_answered(filled: World) -> None:
    """Also where Redis takes its time."""
    with ExitStack() as stack:
        served = stack.enter_context(started(filled))
        with clients(served.server.url, count=2, turns_away=False) as asking:
            before = until(lambda: under_way(filled, asking))
            stack.close()
        for client, count in zip(asking, before, strict=True):
            # On a busy machine Redis may take longer than the server waits for it, and says so.
            assert client.seen[200] + client.seen[503] > count
            assert set(client.seen) <= {200, 503, "refused"}
            assert client.failures == []


def under_way(world: World, asking: list[Client]) -> list[int] | None:
    """What the clients were answered so far, while Redis lets each of them wait; None where it was over too soon."""
    until(lambda: all(client.seen[200] for client in asking))
    begun = time.monotonic()
    world.redis.client_pause(400)
    time.sleep(0.1)
    found = [client.seen[200] + client.seen[503] for client in asking]
    return found if time.monotonic() - begun < 0.25 else None


def until_all_see(asking: list[Client], status: int) -> None:
    """A while after the change, and once more at least."""
    time.sleep(1.5)
    before = [client.seen[status] for client in asking]
    until(lambda: all(client.seen[status] > count for client, count in zip(asking, before, strict=True)))


def test_views_that_come_and_go_under_load_leave_only_clean_answers(filled: World) -> None:
    views: list[tuple[list[Object], int]] = [
        ([a_feature_view(), a_feature_view("other")], 200),
        ([a_feature_view(features=[a_feature(), a_feature("volume", "Int64")])], 200),
        ([a_feature_view("other")], 404),
        ([a_feature_view()], 200),
    ]
    with started(filled) as served, clients(served.server.url, count=2) as asking:
        for objects, status in views:
            filled.apply(PROJECT, *objects, prune=True)
            until_all_see(asking, status)
    found: Counter[Any] = sum((client.seen for client in asking), Counter())
    assert [failure for client in asking for failure in client.failures] == []
    assert set(found) == {200, 404}
    with suppress(KeyError):
        del found[200]
    for body in {body for client in asking for body in client.bodies}:
        assert json.loads(body)["results"][1]["values"] == [float(number) for number in range(len(METALS))]
