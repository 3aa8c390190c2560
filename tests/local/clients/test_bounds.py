"""Much at once is bounded, and small requests are answered meanwhile."""

import json
import threading
import time
from contextlib import suppress

import httpx
import pytest

from fast_server import FastServer, asking, values_of
from featureplane.serving.http import connection
from local.clients.raw_http import (
    WRONG,
    Ahead,
    Answer,
    assert_refused,
    connected,
    head,
    is_closed,
    whole,
)
from patience import PATIENCE


def test_small_requests_come_in_between_the_pieces_of_large_ones(server: FastServer) -> None:
    stop, begun = threading.Event(), threading.Event()
    statuses: list[int] = []
    body = asking(*range(3_000), features=["wide"])

    def ask_for_much() -> None:
        with httpx.Client(base_url=server.url, trust_env=False, timeout=PATIENCE) as client:
            while not stop.is_set():
                statuses.append(client.post("/get-online-features", json=body).status_code)
                begun.set()

    threads = [threading.Thread(target=ask_for_much) for _ in range(2)]
    for thread in threads:
        thread.start()
    begun.wait(PATIENCE)
    try:
        found = [server.ask(number % 100) for number in range(20)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert {answer.status_code for answer in found} == {200}
    assert set(statuses) <= {200, 503}
    assert 200 in statuses


def test_what_is_read_at_once_is_bounded(server: FastServer, monkeypatch: pytest.MonkeyPatch) -> None:
    line = server.store._line  # noqa: SLF001 - its limit is for a machine, not for a test
    monkeypatch.setattr(line, "_most", 100_000)
    answer = server.ask(*range(2_000))
    assert "too many rows" in assert_refused(answer, 503)["message"]
    assert answer.headers["retry-after"] == "1"
    assert values_of(server.ask(1))[1] == [1.0]


@pytest.mark.parametrize(
    "piece", [b"x-much: " + b"a" * 50_000 + b"\r\n", b"a" * 65_536], ids=["many headers", "one long header"]
)
def test_the_head_of_a_request_is_bounded(server: FastServer, piece: bytes) -> None:
    with connected(server) as made:
        made.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\nx-first: ")
        sent = 0
        with suppress(OSError):
            while sent < 20 << 20:
                sent += made.send(piece)
        assert sent < 20 << 20
    with connected(server) as made:
        made.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\nx-first: ")
        for _ in range(3):
            time.sleep(0.1)
            made.sendall(b"a" * 40_000)
        answer = Answer(made)
    assert (answer.status, answer.headers["connection"]) == (431, "close")
    assert b"larger than 65536 bytes" in answer.body
    assert server.client.get("/health").status_code == 200


def test_what_follows_a_body_is_bounded(server: FastServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MOST_AROUND_A_BODY", 1 << 20)
    with connected(server) as made, suppress(OSError):
        made.sendall(
            head("POST", "/get-online-features", "transfer-encoding: chunked") + b"2\r\n{}\r\n0\r\nx-trailer: "
        )
        sent = 0
        while sent < 20 << 20:
            sent += made.send(b"a" * 65_536)
    assert sent < 20 << 20


def test_a_body_in_small_chunks_is_taken(server: FastServer) -> None:
    body = json.dumps(asking(*range(100))).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    with connected(server) as made:
        made.sendall(head("POST", "/get-online-features", "transfer-encoding: chunked"))
        for start in range(0, len(chunks), 100):
            made.sendall(chunks[start : start + 100])
        made.sendall(b"0\r\n\r\n")
        assert Answer(made).status == 200


def test_requests_ahead_of_their_answers_are_bounded(server: FastServer, monkeypatch: pytest.MonkeyPatch) -> None:
    request, count = whole(1), 20_000
    most = 0
    real = connection.Connection.on_headers_complete

    def noting(self: connection.Connection) -> None:
        nonlocal most
        real(self)
        most = max(most, len(self.pipeline))

    monkeypatch.setattr(connection.Connection, "on_headers_complete", noting)
    with connected(server) as made:
        sender = threading.Thread(target=made.sendall, args=(request * count,))
        sender.start()
        answered, rest = 0, b""
        while answered < count:
            rest += made.recv(1 << 20)
            answered += (found := rest.count(b"HTTP/1.1 200"))
            rest = rest[-11:] if found else rest
        sender.join()
    assert 100 < most <= connection.MOST_AHEAD

    monkeypatch.setattr(connection, "MOST_AHEAD", 50)
    with connected(server) as made, suppress(OSError):
        made.sendall(request * 2_000)
        while made.recv(1 << 20):
            pass
    assert server.client.get("/health").status_code == 200


def test_requests_ahead_of_their_answers_are_bounded_for_all_together(
    server: FastServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MOST_AHEAD_OF_ALL", 0)
    state = server.server.server_state
    with connected(server) as one, connected(server) as other:
        one.sendall(whole(1) * 10)  # few are always taken
        left, answered = b"", 0
        while answered < 10:
            answer = Answer(Ahead(left, one))
            left, answered = answer.rest, answered + 1
        other.sendall(whole(1) * 100)
        assert is_closed(other)
        one.sendall(whole(1) * 3 + WRONG[1])
        assert is_closed(one)
    assert server.ask(1).status_code == 200
    assert state.ahead == 0
