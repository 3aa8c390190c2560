"""Bodies that are large, slow, in pieces or not waited for."""

import json
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest

from fast_server import FastServer, asking
from featureplane.serving.http import connection
from featureplane.serving.http.app import MOST_BYTES
from local.clients.raw_http import (
    HUNDRED_MB,
    WIDE,
    WIDER,
    Ahead,
    Answer,
    assert_refused,
    connected,
    head,
    is_closed,
    whole,
)
from patience import until


class Counted:
    """A body that is made as it is sent."""

    def __init__(self, size: int) -> None:
        self.size, self.sent = size, 0

    def __iter__(self) -> Iterator[bytes]:
        piece = bytes(1 << 16)
        while self.sent < self.size:
            self.sent += len(piece)
            yield piece


@pytest.mark.parametrize("headers", [{"content-length": str(HUNDRED_MB)}, {}], ids=["of a length", "chunked"])
def test_a_hundred_megabytes_are_refused_and_fill_no_memory(server: FastServer, headers: dict[str, str]) -> None:
    before = psutil.Process().memory_info().rss
    answer = server.client.post("/get-online-features", content=iter(Counted(HUNDRED_MB)), headers=headers)
    said = assert_refused(answer, 413)
    assert str(MOST_BYTES) in said["message"]
    assert psutil.Process().memory_info().rss - before < 20 << 20
    assert server.ask(1).status_code == 200


def test_a_large_body_is_refused_before_it_is_sent(server: FastServer) -> None:
    with connected(server) as made:
        made.sendall(head(length=HUNDRED_MB))
        assert_refused(Answer(made), 413)


def test_who_asks_for_leave_gets_it_or_is_told_at_once(server: FastServer) -> None:
    body = json.dumps(asking(1)).encode()
    with connected(server) as made:
        made.sendall(head("POST", "/get-online-features", "expect: 100-continue", length=len(body)))
        assert Answer(made, interim=True).status == 100
        made.sendall(body)
        assert Answer(made).status == 200
    with connected(server) as made:
        made.sendall(head("POST", "/get-online-features", "expect: 100-continue", length=HUNDRED_MB))
        answer = Answer(made)
        assert_refused(answer, 413)
        assert answer.headers["connection"] == "close"
        assert is_closed(made)


def test_what_is_too_much_for_one_request_is_refused(server: FastServer) -> None:
    many = assert_refused(server.ask(*range(100_000)), 413)
    assert "ask for 10000" in many["message"]
    wider = [*(f"wide:{name}" for name in WIDE), *(f"wider:{name}" for name in WIDER)]
    assert "ask for 6622 rows" in assert_refused(server.ask(*range(10_000), features=wider), 413)["message"]


def test_bodies_that_never_end_are_bounded_together(server: FastServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featureplane.serving.http.body.MOST_ON_THEIR_WAY", 3 << 20)
    with ExitStack() as stack:
        half = bytes(900_000)
        slow = [stack.enter_context(connected(server)) for _ in range(6)]
        for made in slow:
            made.sendall(head(length=MOST_BYTES) + half)
        until(lambda: len(answered(slow)) >= 2)
        for made in answered(slow):
            assert_refused(Answer(made), 503)
        assert server.ask(1).status_code == 200
    server.ask_until(200)


def answered(some: list[socket.socket]) -> list[socket.socket]:
    return select.select(some, [], [], 0)[0]


def test_a_client_that_goes_away_in_the_middle_is_not_answered(
    server: FastServer, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        with connected(server) as made:
            made.sendall(whole(1)[:-5])
    assert server.ask(1).status_code == 200
    assert caplog.text == ""


WAITING = [
    ("GET", "/health"), ("GET", "/ready"), ("HEAD", "/health"), ("POST", "/health"), ("POST", "/wp-login.php"),
    ("GET", "/get-online-features"), ("POST", "/search"),
]  # fmt: skip


@pytest.mark.parametrize("length", [5, HUNDRED_MB], ids=["short", "long"])
@pytest.mark.parametrize(("method", "path"), WAITING)
def test_what_follows_an_answer_is_never_taken_for_the_body_that_it_did_not_wait_for(
    server: FastServer, method: str, path: str, length: int
) -> None:
    """The client may send the body all the same, or not, where it is answered without leave (RFC 9110, 10.1.1)."""
    with connected(server) as made:
        made.sendall(head(method, path, "expect: 100-continue", length=length))
        first = Answer(made, interim=True)
        if first.status == 100:
            assert length == 5
            made.sendall(b"xxxxx" + whole(7))
            answer = Answer(Ahead(first.rest or b"", made), interim=method == "HEAD")
            answer = Answer(Ahead(answer.rest, made))
            assert json.loads(answer.body)["results"][1]["values"] == [7]
        else:
            assert first.headers["connection"] == "close"
            assert is_closed(made)


@pytest.mark.parametrize("pause", [0.0, 0.05], ids=["whole", "in two"])
@pytest.mark.parametrize(("method", "path"), WAITING)
def test_a_body_that_nobody_asked_for_is_not_taken_for_a_request(
    server: FastServer, method: str, path: str, pause: float
) -> None:
    smuggled = head("GET", "/ready")
    with connected(server) as made:
        made.sendall(head(method, path, length=len(smuggled)))
        time.sleep(pause)
        made.sendall(smuggled + whole(7))
        answer = Answer(made, interim=method == "HEAD")
        answer = Answer(Ahead(answer.rest, made))
        assert json.loads(answer.body)["results"][1]["values"] == [7]


def test_who_asks_for_leave_while_nobody_reads_is_refused_for_good(
    server: FastServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MOST_UNREAD", -1)
    with connected(server) as made:
        made.sendall(head("POST", "/get-online-features", "expect: 100-continue", length=5))
        answer = Answer(made)
        assert_refused(answer, 503)
        assert answer.headers["connection"] == "close"
        assert is_closed(made)
