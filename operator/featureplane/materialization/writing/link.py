"""One server's socket: requests go out while replies come in, so neither side ever waits for the other."""

import select
import ssl
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import hiredis

from featureplane.materialization.writing.connection import socket_of
from featureplane.materialization.writing.exchange import Exchange
from featureplane.materialization.writing.faults import Interrupted

_PIECE = 1 << 18
_LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
# A zero of Redis equals False, hiredis' own sign for "no more".
_NO_MORE = object()
# Redis answers some 50 commands at a time. To wait a moment for more of its answers costs nothing while it has work.
_GATHERING = 0.0005


class Link:
    """A connection with what is yet to be sent and to be answered. Errors of Redis are among an exchange's replies."""

    def __init__(self, name: str, connection: Any) -> None:
        self.name = name
        self._connection = connection
        self._socket = socket_of(connection)
        self._socket.setblocking(False)
        self._unsent: deque[memoryview] = deque()
        self._awaited: deque[Exchange] = deque()
        self._space = bytearray(_PIECE)
        self._reader: Any = hiredis.Reader(replyError=self._failed, notEnoughData=_NO_MORE)
        self._has_failed = False

    def fileno(self) -> int:
        return self._socket.fileno()

    def post(self, exchange: Exchange) -> None:
        """Queue a request, which `move` will send."""
        exchange.expected = exchange.request.replies
        self._unsent.extend(buffer for buffer in exchange.request.buffers if len(buffer))
        self._awaited.append(exchange)

    @property
    def is_idle(self) -> bool:
        return not self._awaited

    @property
    def has_unsent(self) -> bool:
        return bool(self._unsent)

    def send(self) -> None:
        """Send what the socket takes."""
        while self._unsent:
            buffer = self._unsent[0]
            try:
                count = self._socket.send(buffer[:_PIECE])
            except _LATER:
                return
            except OSError as error:
                raise Interrupted(f"the connection broke: {error}") from error
            if count == len(buffer):
                self._unsent.popleft()
            else:
                self._unsent[0] = buffer[count:]

    def receive(self) -> list[Exchange]:
        """Take what came; the exchanges that it completes."""
        while True:
            try:
                count = self._socket.recv_into(self._space)
            except _LATER:
                return self._completed()
            except OSError as error:
                raise Interrupted(f"the connection broke: {error}") from error
            if not count:
                raise Interrupted("the server closed the connection")
            self._reader.feed(self._space, 0, count)
            # A socket that was not filled is empty, but TLS may hold back what it has decrypted.
            if count < _PIECE and not isinstance(self._socket, ssl.SSLSocket):
                return self._completed()

    def close(self) -> None:
        with suppress(Exception):
            self._connection.disconnect()

    def _failed(self, text: str) -> Exception:
        self._has_failed = True
        return hiredis.ReplyError(text)

    def _completed(self) -> list[Exchange]:
        try:
            replies = list(iter(self._reader.gets, _NO_MORE))
        except hiredis.ProtocolError as error:
            raise Interrupted(f"the server sent what is no answer: {error}") from error
        done = []
        start = 0
        while start < len(replies):
            if not self._awaited:
                raise Interrupted("the server sent more answers than it was asked for")
            exchange = self._awaited[0]
            exchange.failed |= self._has_failed
            end = start + exchange.expected - len(exchange.replies)
            exchange.replies += replies[start:end]
            start = end
            if len(exchange.replies) == exchange.expected:
                done.append(self._awaited.popleft())
        self._has_failed = False
        return done


def move(links: Sequence[Link], timeout: float) -> list[Exchange]:
    """Send and receive on all links until something moves: the exchanges that this completed.

    Returns at once with a `timeout` of 0 (seconds). Raises Interrupted when nothing moved within it.
    """
    poll = select.poll()
    busy = {link.fileno(): link for link in links if not link.is_idle}
    for number, link in busy.items():
        poll.register(number, select.POLLIN | (select.POLLOUT if link.has_unsent else 0))
    ready = poll.poll(timeout * 1000)
    if not ready and timeout:
        raise Interrupted(f"no answer for {timeout:g} s")
    done: list[Exchange] = []
    for number, events in ready:
        link = busy[number]
        if events & select.POLLOUT:
            link.send()
        if events & ~select.POLLOUT:
            done += link.receive()
    if ready and not done and timeout:
        time.sleep(_GATHERING)
    return done
