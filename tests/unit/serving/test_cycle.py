"""Answers as they are written to a client's connection."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from featureplane.serving.http.cycle import Cycle

DATE = (b"date", b"Sun, 29 Nov 2026 12:00:00 GMT")
JSON = (b"content-type", b"application/json")


class Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.closed = True


class Client:
    """A request, and what its client gets."""

    def __init__(self, method: str = "GET", *, keep_alive: bool = True) -> None:
        self.transport = Transport()
        self.answered = 0
        flow: Any = SimpleNamespace(write_paused=False, resume_reading=lambda: None)
        self.cycle = Cycle(
            scope={"method": method}, transport=self.transport, flow=flow, logger=None, access_logger=None,
            access_log=False, default_headers=[DATE], message_event=asyncio.Event(), expect_100_continue=False,
            keep_alive=keep_alive, on_response=self._count,
        )  # type: ignore[arg-type]  # fmt: skip

    def _count(self) -> None:
        self.answered += 1

    def send(self, status: int, headers: list[tuple[bytes, bytes]], *bodies: bytes) -> list[bytes]:
        async def all_of_it() -> None:
            await self.cycle.send({"type": "http.response.start", "status": status, "headers": headers})
            for place, body in enumerate(bodies, start=1):
                more = place < len(bodies)
                await self.cycle.send({"type": "http.response.body", "body": body, "more_body": more})

        asyncio.run(all_of_it())
        return self.transport.written


def length(body: bytes) -> tuple[bytes, bytes]:
    return (b"Content-Length", b"%d" % len(body))


def test_head_and_body_are_one_write() -> None:
    client = Client()
    said = client.send(200, [JSON, length(b"{}")], b"{}")
    date = b": ".join(DATE)
    assert said == [
        b"HTTP/1.1 200 OK\r\n" + date + b"\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    ]
    assert client.answered == 1
    assert not client.transport.closed


@pytest.mark.parametrize("keep_alive", [True, False])
def test_an_answer_at_once_is_what_the_application_would_say(*, keep_alive: bool) -> None:
    ours, theirs = Client(keep_alive=keep_alive), Client(keep_alive=keep_alive)
    assert ours.cycle.answer(b'{"a":1}')
    said = theirs.send(200, [JSON, length(b'{"a":1}')], b'{"a":1}')
    top, _, body = ours.transport.written[0].partition(b"\r\n\r\n")
    their_top, _, their_body = said[0].partition(b"\r\n\r\n")
    assert sorted(top.split(b"\r\n")) == sorted(their_top.split(b"\r\n"))
    assert body == their_body
    assert ours.transport.closed == theirs.transport.closed == (not keep_alive)
    assert ours.answered == theirs.answered == 1


def test_an_answer_at_once_waits_for_no_client() -> None:
    client = Client()
    client.cycle.flow.write_paused = True
    assert not client.cycle.answer(b"{}")
    assert not client.transport.written
    client.cycle.disconnected = True
    client.cycle.flow.write_paused = False
    assert client.cycle.answer(b"{}")
    assert not client.transport.written


def test_what_has_no_length_comes_in_chunks_and_its_head_first() -> None:
    head, *chunks = Client().send(200, [JSON], b"ab", b"", b"c")
    assert b"transfer-encoding: chunked" in head
    assert chunks == [b"2\r\nab\r\n", b"1\r\nc\r\n0\r\n\r\n"]


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304), ("GET", 204)])
def test_some_answers_have_no_body(method: str, status: int) -> None:
    headers = [length(b"{}")] if method == "HEAD" else []
    said = b"".join(Client(method).send(status, headers, b"{}" if method == "HEAD" else b""))
    assert said.endswith(b"\r\n\r\n")
    assert b"chunked" not in said


@pytest.mark.parametrize("value", [b"a\r\nx: b", b"a\nx: b", b"a\rb", b"a\0b"])
def test_a_header_cannot_begin_another(value: bytes) -> None:
    client = Client()
    with pytest.raises(RuntimeError, match="the end of a line"):
        client.send(200, [(b"x-view", value), length(b"")], b"")
    assert not client.transport.written


@pytest.mark.parametrize("body", [b"abc", b"a"])
def test_a_body_of_another_length_than_the_head_says_is_not_sent(body: bytes) -> None:
    client = Client()
    with pytest.raises(RuntimeError, match="not as long"):
        client.send(200, [length(b"ab")], body)
    assert not client.transport.written


def test_messages_come_in_their_order() -> None:
    client = Client()
    with pytest.raises(RuntimeError, match="out of turn"):
        asyncio.run(client.cycle.send({"type": "http.response.body", "body": b""}))
    client.send(200, [length(b"")], b"")
    with pytest.raises(RuntimeError, match="out of turn"):
        asyncio.run(client.cycle.send({"type": "http.response.body", "body": b""}))


def test_who_closes_says_so_once() -> None:
    client = Client(keep_alive=True)
    said = client.send(200, [(b"connection", b"Close"), length(b"")], b"")
    assert said[0].lower().count(b"connection") == 1
    assert client.transport.closed


def test_a_body_in_many_pieces_is_copied_once() -> None:
    cycle = Client("POST").cycle
    pieces = [b"%d" % number for number in range(5)]
    for piece in pieces[:2]:
        cycle.take(piece)
    begun = cycle.body
    for piece in pieces[2:]:
        cycle.take(piece)
    assert cycle.body is begun
    assert begun == b"".join(pieces)
