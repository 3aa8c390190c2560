"""What becomes of a connection, and of requests that are sent one behind the other."""

import json
import socket
from contextlib import suppress

import pytest

from fast_server import FastServer
from local.clients.raw_http import WRONG, Ahead, Answer, assert_refused, connected, head, is_closed, whole


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n"])
def test_what_is_no_http_is_refused(server: FastServer, garbage: bytes) -> None:
    with connected(server) as made:
        made.sendall(garbage)
        assert_refused(Answer(made), 400)
        assert is_closed(made)


def test_two_lengths_of_one_body_are_refused(server: FastServer) -> None:
    """A proxy may believe the other one, and send somebody else's request as this one's body."""
    with connected(server) as made:
        made.sendall(head("POST", "/get-online-features", "transfer-encoding: chunked", length=10) + b"0\r\n\r\n")
        assert_refused(Answer(made), 400)


def test_requests_that_are_sent_at_once_are_answered_in_turn(server: FastServer) -> None:
    with connected(server) as made:
        made.sendall(b"".join(whole(driver) for driver in range(20)) + whole(50)[:40])
        left = b""
        for driver in range(20):
            answer = Answer(Ahead(left, made))
            assert json.loads(answer.body)["results"][1]["values"] == [driver]
            left = answer.rest
        made.sendall(whole(50)[40:])
        assert json.loads(Answer(Ahead(left, made)).body)["results"][1]["values"] == [50]


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("ahead", [1, 3])
def test_what_is_wrong_is_no_answer_to_the_requests_ahead_of_it(server: FastServer, ahead: int, wrong: bytes) -> None:
    with connected(server) as made:
        made.sendall(b"".join(whole(driver) for driver in range(ahead)) + wrong)
        left = b""
        for driver in range(ahead):
            answer = Answer(Ahead(left, made))
            assert json.loads(answer.body)["results"][1]["values"] == [driver]
            left = answer.rest
        assert answer.headers["connection"] == "close"
        assert not left
        assert is_closed(made)


def test_who_has_said_all_he_wants_to_is_answered(server: FastServer) -> None:
    with connected(server) as made:
        made.sendall(whole(1))
        made.shutdown(socket.SHUT_WR)
        answer = Answer(made)
        assert answer.status == 200
        assert is_closed(made)


def test_a_request_to_speak_another_protocol_is_answered_in_this_one(server: FastServer) -> None:
    """As Java's client does with its first request."""
    upgrade = (
        "connection: Upgrade, HTTP2-Settings",
        "upgrade: h2c",
        "http2-settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAA",
    )
    with connected(server) as made:
        for driver in (1, 2):
            made.sendall(whole(driver, headers=upgrade))
            assert json.loads(Answer(made).body)["results"][1]["values"] == [driver]


def test_any_number_of_wishes_for_another_protocol_breaks_nothing(server: FastServer) -> None:
    upgrade = ("connection: Upgrade", "upgrade: h2c")
    with connected(server) as made:
        made.sendall(b"".join(whole(driver, headers=upgrade) for driver in range(10)))
        left = b""
        for driver in range(10):
            answer = Answer(Ahead(left, made))
            assert json.loads(answer.body)["results"][1]["values"] == [driver]
            left = answer.rest
    with connected(server) as made:
        made.sendall(head("GET", "/health", *upgrade) * 30)
        seen = b""
        while piece := made.recv(1 << 16):
            seen += piece
        assert 0 < seen.count(b" 200 ") < 30
        assert seen.count(b"connection: close") == 1
    with connected(server) as made, suppress(ConnectionError):  # what was not read when it was closed resets it
        made.sendall((head("GET", "/health", *upgrade) * 2_000)[: 64 << 10])
        while made.recv(1 << 16):
            pass
    assert server.ask(1).status_code == 200


def test_a_connection_ends_as_its_client_wishes_also_beside_another_wish(server: FastServer) -> None:
    with connected(server) as made:
        made.sendall(whole(1, headers=("connection: close, Upgrade", "upgrade: h2c")))
        assert Answer(made).status == 200
        assert is_closed(made)
