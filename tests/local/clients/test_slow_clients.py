"""Clients that are slow, or many, and never at the expense of others."""

import json
import socket
import time
from contextlib import ExitStack

import pytest

from fast_server import FastServer, asking
from featureplane.serving.http import connection, patience
from local.clients.raw_http import (
    HUNDRED_MB,
    Answer,
    assert_refused,
    connected,
    head,
    is_closed,
    whole,
)
from patience import SLACK, until

SLOW = {
    "nothing": b"",
    "blank lines": b"\r\n",
    "half a head": head()[:-2],
    "half a body": whole(1)[:-1],
    "half a chunk": head("POST", "/get-online-features", "transfer-encoding: chunked") + b"ff\r\n{",
    "a second request": whole(1) + head()[:-2],
    "blank lines after a request": whole(1) + b"\r\n",
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("begun", SLOW.values(), ids=SLOW.keys())
def test_a_request_that_does_not_come_whole_ends_its_connection(server: FastServer, begun: bytes) -> None:
    with connected(server) as made:
        made.sendall(begun)
        if begun.startswith(whole(1)):
            assert Answer(made).status == 200
        if begun == whole(1) + b"\r\n":
            made.sendall(b"\r\n")
        assert_refused(Answer(made), 408)
        assert is_closed(made)


@pytest.mark.usefixtures("impatient")
def test_a_byte_now_and_then_is_not_enough(server: FastServer) -> None:
    with connected(server) as made:
        begun = time.monotonic()
        made.settimeout(0.2)
        for byte in head("GET", "/health", "x-more: " + "x" * 400):
            try:
                made.sendall(bytes((byte,)))
                assert_refused(Answer(made), 408)
                break
            except TimeoutError:
                assert time.monotonic() - begun < 60
        else:
            pytest.fail("the request came to its end")


@pytest.mark.usefixtures("impatient")
def test_the_rest_of_a_refused_body_is_not_waited_for(server: FastServer) -> None:
    with connected(server) as made:
        made.sendall(head(length=HUNDRED_MB))
        assert_refused(Answer(made), 413)
        assert is_closed(made)


@pytest.mark.usefixtures("impatient")
def test_an_answer_that_nobody_reads_ends_its_connection(server: FastServer) -> None:
    body = json.dumps(asking(*range(1_000), features=["wide"])).encode()
    with socket.socket() as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.connect(("127.0.0.1", server.port))
        made.sendall((head(length=len(body)) + body) * 6)
        state = server.server.server_state
        until(lambda: state.unread)
        until(lambda: server.ask(1).status_code == 200 and not state.unread)


def test_answers_that_nobody_reads_are_bounded_together(server: FastServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MOST_UNREAD", -1)
    assert_refused(server.ask(1), 503)


@pytest.mark.usefixtures("impatient")
def test_a_connection_that_is_used_is_kept_and_an_idle_one_for_a_while(server: FastServer) -> None:
    with connected(server) as made:
        for _ in range(4):
            made.sendall(whole(1))
            assert Answer(made).status == 200
            time.sleep(0.8)


def test_slow_clients_keep_nobody_waiting(server: FastServer) -> None:
    with ExitStack() as stack:
        for number in range(300):
            stack.enter_context(connected(server)).sendall(whole(1)[: number % 150])
        seconds = []
        for _ in range(50):
            begun = time.monotonic()
            assert server.ask(1).status_code == 200
            seconds.append(time.monotonic() - begun)
        assert sorted(seconds)[45] < SLACK


def test_a_thousand_connections_are_answered_at_once(server: FastServer) -> None:
    with ExitStack() as stack:
        made = [stack.enter_context(connected(server)) for _ in range(1_000)]
        for number, each in enumerate(made):
            each.sendall(whole(number % 100))
        for number, each in enumerate(made):
            assert json.loads(Answer(each).body)["results"][1]["values"] == [number % 100]


def test_more_connections_than_there_is_room_for_are_told_so(
    server: FastServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.ask(1)
    monkeypatch.setattr(patience, "MOST_CONNECTIONS", len(server.server.server_state.connections))
    with connected(server) as made:
        answer = Answer(made)
        assert_refused(answer, 503)
        assert answer.headers["retry-after"] == "1"
    assert server.ask(1).status_code == 200
