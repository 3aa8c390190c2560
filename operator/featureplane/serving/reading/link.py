"""One connection to a Redis server, shared by all requests of a process: commands go out as they come, replies are
told apart by their order (RESP pipelining).

redis-py's asyncio client packs and parses each command in Python and lends a connection to one request at a time.
"""

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import hiredis

from featureplane.serving.reading.outages import why_not_connected, why_refused

logger = logging.getLogger(__name__)

# Seconds in which Redis says nothing at all while somebody waits, and in which a reply has to be complete.
PATIENCE_SECONDS = 0.6
LONGEST_SECONDS = 5.0
# Seconds that connecting may take, the greeting included.
CONNECT_SECONDS = 1.0
_LOOK_SECONDS = 0.1


class LinkLost(Exception):
    """The connection ended, or answered what is no answer; nothing that was asked on it is known."""


class Waiter(Protocol):
    """Who waits for replies: a future, or something that is told at once."""

    def done(self) -> bool:
        """Whether nobody waits any more."""
        ...

    def set_result(self, replies: list[Any], /) -> None: ...

    def set_exception(self, error: Exception, /) -> None: ...


# Is told how many bytes came of a request that is not whole yet; what it returns is why the request is given up.
Keep = Callable[[int], Exception | None]


class Link(asyncio.Protocol):
    """Made by `open_link`. Every method is for the loop's thread.

    A silence of more than `patience` seconds ends the connection: what came late would be in the way of all that
    follows. `on_lost` is called when it ends in any way but by `close`.
    """

    def __init__(self, patience: float = PATIENCE_SECONDS) -> None:
        self._loop = asyncio.get_running_loop()
        self._watch: asyncio.TimerHandle | None = None
        self._reader = hiredis.Reader()
        self._gets = self._reader.gets
        # For each request who waits for it, the number of its replies, those that came, until when all must have come,
        # how long it is, and who is told how much did.
        self._waiting: deque[tuple[Waiter, int, list[Any], float, int, Keep | None]] = deque()
        # Bytes of all that wait for replies.
        self.unanswered = 0
        self._transport: asyncio.Transport | None = None
        # Silence is counted in looks at it: a loop that was busy for a second has not waited for a second.
        self._most_silent = max(round(patience / _LOOK_SECONDS), 1)
        self._silent = 0
        self.on_lost: Callable[[str], None] | None = None
        self.is_lost = False

    def ask(self, commands: bytes, count: int, keep: Keep | None = None) -> asyncio.Future[list[Any]]:
        """Send `count` commands; their replies, errors as hiredis.ReplyError. The future may raise LinkLost, and what
        `keep` returns.
        """
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        if self.is_lost or self._transport is None:
            future.set_exception(LinkLost("the connection ended"))
        else:
            self.ask_for(future, commands, count, keep)
        return future

    def ask_for(self, waiter: Waiter, commands: bytes, count: int, keep: Keep | None = None) -> None:
        """As `ask` does, of a link that is not lost."""
        size = len(commands)
        self.unanswered += size
        self._waiting.append((waiter, count, [], self._loop.time() + LONGEST_SECONDS, size, keep))
        if self._watch is None:
            self._silent = 0
            self._watch = self._loop.call_later(_LOOK_SECONDS, self._look)
        cast(asyncio.Transport, self._transport).write(commands)

    def close(self) -> None:
        """Drop the connection, and with it what waits on it."""
        self.on_lost = None
        self._lose("the connection was closed")

    def _lose(self, why: str) -> None:
        if self.is_lost:
            return
        self.is_lost = True
        if self._transport is not None:
            self._transport.abort()
        waiting, self._waiting = self._waiting, deque()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        for waiter, *_ in waiting:
            if not waiter.done():
                _tell(waiter.set_exception, LinkLost(why))
        if self.on_lost is not None:
            self.on_lost(why)

    def _look(self) -> None:
        """One timer for all requests: one for each would cost more than the request."""
        self._watch = None
        if not self._waiting:
            return
        self._silent += 1
        if self._silent >= self._most_silent or self._waiting[0][3] < self._loop.time():
            self._lose("it did not answer in time")
        else:
            self._watch = self._loop.call_later(_LOOK_SECONDS, self._look)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._silent = 0
        self._reader.feed(data)
        gets, waiting = self._gets, self._waiting
        try:
            while waiting:
                waiter, count, replies, _, size, keep = waiting[0]
                while len(replies) < count:
                    reply = gets()
                    if reply is False:
                        if keep is not None:
                            _keep(keep, len(data), waiter, replies)
                        return
                    replies.append(reply)
                waiting.popleft()
                self.unanswered -= size
                if not waiter.done():  # its request gave up, or its client went away
                    _tell(waiter.set_result, replies)
        except hiredis.ProtocolError:
            self._lose("it sent what is no answer")
            return
        # It would be taken for the answer to the next request, and that one's answer for that of the one after it.
        if self._reader.has_data():
            self._lose("it sent what nobody asked for")

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(why_not_connected(exc) if exc else "the connection ended")


def _tell(tell: Callable[[Any], None], what: Any) -> None:
    """Whatever comes of it with one who waits, all others go on."""
    try:
        tell(what)
    except Exception:
        logger.exception("what Redis replied could not be passed on")


def _keep(keep: Keep, size: int, waiter: Waiter, replies: list[Any]) -> None:
    if not waiter.done() and (why := keep(size)) is not None:
        waiter.set_exception(why)
    if waiter.done():  # the rest has to come all the same, for its place
        replies[:] = [None] * len(replies)


async def open_link(
    host: str, port: int, greeting: Sequence[Sequence[bytes]] = (), tls: ssl.SSLContext | None = None
) -> Link:
    """Connect, send the `greeting` (AUTH, SELECT), and hear that Redis answers.

    Raises OSError (also TimeoutError), and LinkLost where Redis refuses.
    """
    loop = asyncio.get_running_loop()
    words = [*greeting, [b"PING"]]
    async with asyncio.timeout(CONNECT_SECONDS):
        _, link = await loop.create_connection(Link, host, port, ssl=tls, server_hostname=host if tls else None)
        try:
            replies = await link.ask(b"".join(command(*each) for each in words), len(words))
            _check(words, replies)
        except BaseException:
            link.close()
            raise
    return link


def _check(words: Sequence[Sequence[bytes]], replies: Sequence[Any]) -> None:
    for (name, *_), reply in zip(words, replies, strict=True):
        # Who may only read keys may not say PING, and has heard from it all the same.
        has_answered = name == b"PING" and str(reply).startswith("NOPERM")
        if isinstance(reply, hiredis.ReplyError) and not has_answered:
            raise LinkLost(why_refused(name, reply))


def command(*words: bytes) -> bytes:
    """RESP: an array of bulk strings."""
    return b"*%d\r\n" % len(words) + bulks(words)


def bulks(words: Sequence[bytes]) -> bytes:
    return b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])
