"""Clients that connect to a server that speaks TLS, and what becomes of those that do not speak it."""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from data.writing.redis_processes import RedisProcess
from fast_server import FastServer, fast_server, fill, values_of
from featureplane.serving.http import handshakes
from featureplane.serving.tls import Certificate
from patience import PATIENCE
from unit.access.certificates import write_certificate


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastServer]:
    redis = RedisProcess(tmp_path_factory.mktemp("redis")).start()
    with redis.client() as client:
        fill(client, range(10))
    certificate = Certificate(*write_certificate(tmp_path_factory.mktemp("tls")))
    try:
        with fast_server(redis.address, certificate=certificate) as made:
            yield made
    finally:
        redis.kill()


@contextmanager
def connected(server: FastServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as made:
        yield made


def is_closed(made: socket.socket) -> bool:
    """By the server; raises TimeoutError where it goes on for as long as the test waits."""
    try:
        while made.recv(1 << 16):
            pass
    except ConnectionError:
        pass
    return True


def secure(server: FastServer, made: socket.socket) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(made, server_hostname="localhost")


def test_requests_are_answered(server: FastServer) -> None:
    assert values_of(server.ask(1, 2))[1] == [1.0, 2.0]


@pytest.mark.parametrize("begun", [b"", b"\x16\x03\x01"], ids=["nothing", "half a greeting"])
def test_who_does_not_greet_in_time_is_closed(
    server: FastServer, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(handshakes, "HANDSHAKE_SECONDS", 0.5)
    with connected(server) as made:
        made.sendall(begun)
        assert is_closed(made)


def test_who_speaks_no_tls_is_closed(server: FastServer, caplog: pytest.LogCaptureFixture) -> None:
    with connected(server) as made:
        made.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert is_closed(made)
    for _ in range(20):
        with connected(server) as made:
            made.sendall(b"\x16\x03\x01")
    assert server.ask(1).status_code == 200
    assert caplog.text == ""


def test_handshakes_are_bounded_and_their_places_are_free_again(
    server: FastServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshakes, "MOST_HANDSHAKES", 20)
    monkeypatch.setattr(handshakes, "HANDSHAKE_SECONDS", 10.0)
    assert server.ask(1).status_code == 200  # and keeps its connection
    with ExitStack() as stack:
        silent = [stack.enter_context(connected(server)) for _ in range(20)]
        with connected(server) as made:
            begun = time.monotonic()
            assert is_closed(made)
            assert time.monotonic() - begun < 9.0
        assert server.ask(1).status_code == 200
        assert all(is_closed(each) for each in silent)
    with connected(server) as made, secure(server, made) as agreed:
        agreed.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert agreed.recv(100).startswith(b"HTTP/1.1 200")


def test_a_server_ends_while_somebody_has_not_greeted(tmp_path: Path) -> None:
    redis = RedisProcess(tmp_path).start()
    try:
        certificate = Certificate(*write_certificate(tmp_path))
        with fast_server(redis.address, certificate=certificate) as made, connected(made) as silent:
            assert made.client.get("/health").status_code == 200
            made.stop()
            assert is_closed(silent)
    finally:
        redis.kill()


def test_a_server_ends_while_somebody_keeps_an_idle_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    redis = RedisProcess(tmp_path).start()
    try:
        certificate = Certificate(*write_certificate(tmp_path))
        with (
            fast_server(redis.address, certificate=certificate) as made,
            connected(made) as kept,
            secure(made, kept) as agreed,
        ):
            agreed.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            assert agreed.recv(1000).startswith(b"HTTP/1.1 200")
            made.stop()
            made.wait()
    finally:
        redis.kill()
    # uvicorn says so when its time for that is over.
    assert "timeout graceful shutdown exceeded" not in caplog.text
