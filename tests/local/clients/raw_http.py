"""Requests as bytes on a connection, and what comes back on it."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx

from fast_server import FastServer, asking
from patience import PATIENCE

# Wide rows, so that some thousand of them are a lot.
WIDE = tuple(f"f{number}" for number in range(50))
WIDER = tuple(f"g{number}" for number in range(99))
HUNDRED_MB = 100 << 20


@contextmanager
def connected(server: FastServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as made:
        yield made


def head(method: str = "POST", path: str = "/get-online-features", *headers: str, length: int | None = None) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: x", *headers]
    if length is not None:
        lines.append(f"content-length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()


def whole(*drivers: Any, headers: tuple[str, ...] = ()) -> bytes:
    body = json.dumps(asking(*drivers)).encode()
    return head("POST", "/get-online-features", *headers, length=len(body)) + body


class Answer:
    """The next answer on a connection, read to its end."""

    def __init__(self, made: socket.socket, *, interim: bool = False) -> None:
        self.raw = b""
        while b"\r\n\r\n" not in self.raw:
            self._more(made)
        top, _, self.body = self.raw.partition(b"\r\n\r\n")
        lines = top.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        length = 0 if interim else int(self.headers["content-length"])
        while len(self.body) < length:
            self.body += self._more(made)
        self.rest = self.body[length:]
        self.body = self.body[:length]

    def _more(self, made: socket.socket) -> bytes:
        data = made.recv(65536)
        assert data, f"closed after {self.raw!r}"
        self.raw += data
        return data


def assert_refused(answer: httpx.Response | Answer, *statuses: int) -> dict[str, Any]:
    status = answer.status_code if isinstance(answer, httpx.Response) else answer.status
    said = json.loads(answer.content if isinstance(answer, httpx.Response) else answer.body)
    assert status in statuses, said
    if isinstance(said, str):  # errors that Feast's SDK raises anew
        said = json.loads(said)
    assert said["message"]
    assert said["request_id"] == answer.headers["x-request-id"]
    return dict(said)


def is_closed(made: socket.socket) -> bool:
    """By the server; raises TimeoutError where it goes on for as long as the test waits."""
    with suppress(ConnectionResetError):
        while made.recv(65536):
            pass
    return True


class Ahead(socket.socket):
    """A connection of which something was read already."""

    def __init__(self, left: bytes, made: socket.socket) -> None:
        self._left, self._made = left, made

    def recv(self, size: int, flags: int = 0) -> bytes:
        left, self._left = self._left, b""
        return left or self._made.recv(size, flags)

    def close(self) -> None: ...


WRONG = [
    b"garbage\r\n\r\n",
    head("POST", "/get-online-features", "transfer-encoding: chunked") + b"no length\r\n",
    head("CONNECT", "x:1", "connection: upgrade", "upgrade: x"),
]
