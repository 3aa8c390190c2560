"""The shortest way to online features answers as the application does, whatever comes, and leaves the rest to it."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.writing.redis_processes import RedisProcess
from fast_server import FEATURES, REFERENCES, VIEW, FastServer, asking, fast_server, fill
from featureplane.deprecation import Deprecation
from featureplane.serving.catalogue.served import Described
from featureplane.serving.http import connection, lane
from featureplane.serving.http.connection import Connection
from featureplane.serving.http.lane import Lane
from local.clients.raw_http import Answer, connected, head, is_closed, whole

WIDE = tuple(f"f{number}" for number in range(50))
VIEWS = {VIEW: FEATURES, "wide": WIDE}


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    made = RedisProcess(tmp_path_factory.mktemp("redis")).start()
    with made.client() as client:
        fill(client, range(100))
        client.set("not a row", 1)
    try:
        yield made
    finally:
        made.kill()


@pytest.fixture(scope="module")
def server(redis: RedisProcess) -> Iterator[FastServer]:
    with fast_server(redis.address, VIEWS) as made:
        yield made


@pytest.fixture(scope="module")
def without(redis: RedisProcess) -> Iterator[FastServer]:
    with fast_server(redis.address, VIEWS, with_lane=False) as made:
        yield made


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each request that could take the lane whether it did; those that the application began are not in it."""
    found: list[bool] = []
    take = Lane.take

    def noted(self: Lane, *given: Any) -> bool:
        found.append(take(self, *given))
        return found[-1]

    monkeypatch.setattr(Lane, "take", noted)
    return found


@pytest.fixture(params=[True, False], ids=["lane", "application"])
def deprecating(request: pytest.FixtureRequest, redis: RedisProcess) -> Iterator[FastServer]:
    """Serves a view of which one feature is deprecated, by either way."""
    said = Described(deprecated=(("rating", Deprecation("2026-03-31", "é", "wide:f1")),))
    with fast_server(redis.address, VIEWS, with_lane=request.param, described={VIEW: said}) as made:
        yield made


def test_what_is_deprecated_is_said_in_the_head_and_nowhere_else(server: FastServer, deprecating: FastServer) -> None:
    plain, said = server.ask(1), deprecating.ask(1)
    assert said.content == plain.content
    assert said.headers["deprecation"] == "@1774915200"
    text = "rides:rating is deprecated as of 2026-03-31; use wide:f1: %C3%A9"
    assert said.headers["featureplane-deprecated"] == text
    other = deprecating.ask(1, features=[f"{VIEW}:trips"])
    assert not {"deprecation", "featureplane-deprecated"} & {*plain.headers, *other.headers}


def test_answers_on_one_connection_do_not_share_their_heads(deprecating: FastServer) -> None:
    with httpx.Client(base_url=deprecating.url, trust_env=False) as client:
        for _ in range(3):
            for features, is_said in (([f"{VIEW}:rating"], True), ([f"{VIEW}:trips"], False)):
                found = client.post("/get-online-features", json=asking(1, features=features))
                assert ("deprecation" in found.headers) is is_said
                assert len(found.json()["results"]) == 2


@pytest.mark.parametrize("drivers", [[1], [1, 2, 99], list(range(8))])
def test_a_simple_request_takes_it(server: FastServer, taken: list[bool], drivers: list[int]) -> None:
    assert server.ask(*drivers).status_code == 200
    assert taken == [True]
    assert server.lane.in_progress == 0


def test_a_body_may_come_in_pieces(server: FastServer, taken: list[bool]) -> None:
    top, _, body = whole(7).partition(b"\r\n\r\n")
    with connected(server) as made:
        for piece in (top, b"\r\n\r\n", body[:9], body[9:]):
            made.sendall(piece)
            time.sleep(0.02)
        assert Answer(made).status == 200
    assert taken == [True]


def test_a_long_body_is_the_applications(server: FastServer, taken: list[bool]) -> None:
    assert server.ask(*range(lane.MOST_BYTES // 4)).status_code == 200
    body = json.dumps(asking(1)).encode() + b" " * lane.MOST_BYTES
    chunked = server.client.post("/get-online-features", content=iter([body[:5000], body[5000:]]))
    assert chunked.status_code == 200
    assert not taken


def test_other_requests_are_the_applications(server: FastServer, taken: list[bool]) -> None:
    assert server.client.get("/get-online-features").status_code == 405
    assert server.client.post("/get-online-feature", json=asking(1)).status_code == 404
    body = json.dumps(asking(1)).encode()
    with connected(server) as made:
        made.sendall(head("POST", "/get-online-features", "expect: 100-continue", length=len(body)))
        assert Answer(made, interim=True).status == 100
        made.sendall(body)
        assert Answer(made).status == 200
    assert not taken


def test_answers_come_in_the_order_of_their_requests(server: FastServer) -> None:
    with connected(server) as made:
        other = head("GET", "/health", length=0)
        made.sendall(whole(1) + other + whole(2) + whole(3, headers=("connection: close",)))
        answers, rest = [], b""
        while data := made.recv(65536):
            rest += data
        while rest:
            top, _, rest = rest.partition(b"\r\n\r\n")
            length = int(top.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            answers.append(rest[:length])
            rest = rest[length:]
    drivers = [json.loads(each)["results"][0]["values"] if each else None for each in answers]
    assert drivers == [[1], None, [2], [3]]


def test_a_client_that_left_is_no_trouble(server: FastServer, redis: RedisProcess) -> None:
    with redis.client() as client:
        client.execute_command("CLIENT", "PAUSE", "300", "ALL")
    made = socket.create_connection(("127.0.0.1", server.port))
    made.sendall(whole(1))
    time.sleep(0.05)
    made.close()
    assert server.ask(2).status_code == 200
    assert server.lane.in_progress == 0


@pytest.mark.parametrize("with_lane", [True, False])
def test_a_client_that_left_with_requests_behind_one_another_is_no_trouble(
    redis: RedisProcess, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, *, with_lane: bool
) -> None:
    monkeypatch.setattr(connection, "MOST_AHEAD", 1)
    with fast_server(redis.address, with_lane=with_lane) as server:
        assert server.ask(1).status_code == 200
        with redis.client() as client:
            client.execute_command("CLIENT", "PAUSE", "300", "ALL")
        with connected(server) as made:
            made.sendall(whole(1) + whole(2) + whole(3))
            assert is_closed(made)
        assert server.ask(2).status_code == 200
        assert server.lane.in_progress == 0
    # Neither a fatal error of the link to Redis, nor an exception of the application.
    assert not caplog.records


def test_what_redis_does_not_answer_is_the_applications(redis: RedisProcess, tmp_path: Any, taken: list[bool]) -> None:
    own = RedisProcess(tmp_path / "own").start()
    try:
        with fast_server(own.address) as server:
            assert server.ask(1).status_code == 200
            own.process.send_signal(19)
            answer = server.ask(1)
            own.process.send_signal(18)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            server.ask_until(200)
            own.kill()
            assert server.ask(1).status_code == 503
            assert server.lane.in_progress == 0
    finally:
        own.kill()
    assert True in taken


def test_many_rows_are_the_applications_which_counts_their_bytes(server: FastServer, taken: list[bool]) -> None:
    assert server.ask(*range(9)).status_code == 200
    assert taken == [False]


def test_a_full_link_is_the_applications(
    server: FastServer, taken: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featureplane.serving.reading.line._MOST_AT_ONCE", -1)
    assert server.ask(1).status_code == 200
    assert taken == [False]


def test_clients_that_do_not_read_are_the_applications(server: FastServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "_start_asgi_task", lambda _self, cycle, _app: cycle.answer(b'"the app"'))
    server.server.server_state.unread = 1 << 40
    try:
        assert server.ask(1).json() == "the app"
    finally:
        server.server.server_state.unread = 0


# Whatever Redis or a client makes of a request, in both ways.
KEYS = st.one_of(st.integers(-3, 120), st.integers(), st.text(max_size=3), st.none(), st.booleans(), st.floats())
FEATURE_LISTS = st.lists(
    st.sampled_from([*REFERENCES, VIEW, "wide:f1", "wide", "rides:none", "none:trips", "rides@v1:trips", ":", ""]),
    max_size=4,
)
REQUESTS = st.fixed_dictionaries(
    {
        "features": FEATURE_LISTS,
        "entities": st.dictionaries(
            st.sampled_from(["driver_id", "driver", "x"]), st.lists(KEYS, max_size=3), max_size=2
        ),
    },
    optional={
        "full_feature_names": st.sampled_from([True, False, "x"]),
        "feature_service": st.sampled_from(["", "s"]),
        "include_feature_view_version_metadata": st.booleans(),
    },
)
ANYTHING = st.recursive(KEYS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner))
BODIES = st.one_of(REQUESTS, ANYTHING)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES)
def test_both_ways_say_the_same(server: FastServer, without: FastServer, body: Any) -> None:
    content = json.dumps(body).encode()
    one, other = (each.client.post("/get-online-features", content=content) for each in (server, without))
    assert one.status_code == other.status_code
    shown = [each.json() for each in (one, other)]
    # Errors that Feast's SDK raises anew are JSON in a text.
    shown = [json.loads(said) if isinstance(said, str) else said for said in shown]
    for said in shown:
        if isinstance(said, dict):
            said.pop("request_id", None)
    assert shown[0] == shown[1]
    assert one.headers.keys() == other.headers.keys()
