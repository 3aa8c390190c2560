"""A link to one Redis server that is made again when it is lost, and what may be under way on it.

A request that finds Redis away fails at once, or as soon as its time is up: a client is better served by an error that
says when to come back than by a wait. Meanwhile a task of its own connects again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from featureplane.serving.reading.link import CONNECT_SECONDS, Link, LinkLost, Waiter
from featureplane.serving.reading.outages import why_not_connected
from featureplane.serving.reading.refusals import Refused

logger = logging.getLogger(__name__)

# Seconds between two attempts to connect, and for how long a lost connection may be one that is back at once.
_BETWEEN = (0.05, 0.1, 0.2, 0.3, 0.5)
_MOMENT = 0.25
# Commands that are sent in one go: what others ask comes in between.
_AT_ONCE = 1_000
# Bytes of commands that wait for their replies, which take about six times the memory; the rest is kept for small ones.
MOST_UNDER_WAY = 16 << 20
_KEPT = 4 << 20
_SMALL = 64 << 10
# What is on the link when small ones have to queue with all others.
_MOST_AT_ONCE = 8 << 20
# Bytes of replies to all requests of a process that have not all their replies, and to one: values may have any length.
MOST_KEPT = 256 << 20
MOST_OF_ONE = 128 << 20
# Rows of a request whose replies are not counted; it would cost the smallest requests more than others.
_FEW = 8

Connect = Callable[[], Awaitable[Link]]


class Away(Exception):
    """Redis does not answer, or not in time."""


class _Kept:
    """What has come of the replies to one request."""

    of_all = 0

    def __init__(self) -> None:
        self._size = 0

    def more(self, size: int) -> Exception | None:
        """Why the request is given up, where there is more of it now than may be."""
        self._size += size
        _Kept.of_all += size
        if self._size > MOST_OF_ONE:
            return Refused(f"the rows have more than {MOST_OF_ONE >> 20} MiB; ask for fewer of them at a time", 413)
        return Away("too large rows are read from it at the moment") if _Kept.of_all > MOST_KEPT else None

    def forget(self) -> None:
        _Kept.of_all -= self._size


class Line:
    """`connect` makes the link; `name` is what the log calls the server."""

    def __init__(self, connect: Connect, name: str, most_under_way: int = MOST_UNDER_WAY) -> None:
        self._connect_once = connect
        self._name = name
        self._most = most_under_way
        self._under_way = 0
        self._link: Link | None = None
        self._back = asyncio.Event()
        self._connecting: asyncio.Task[None] | None = None
        self._lost_at = asyncio.get_running_loop().time()
        self._why = "it was not asked yet"
        self._said = ""
        self._is_closed = False

    def connect(self) -> None:
        """Begin to connect, where it is not done yet."""
        if self._link is None:
            self._connect_again()

    async def open(self) -> None:
        """Connect, or begin to try."""
        self.connect()
        with suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._back.wait()

    def close(self) -> None:
        """Drop the link, and what is asked on it."""
        self._is_closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        self.drop("the connection was closed")

    def drop(self, why: str) -> None:
        """Give up the link; unless closed, another is made."""
        if self._link is not None and not self._link.is_lost:
            self._link.close()
            self._lost(why)

    async def ask(self, commands: Sequence[bytes], each: int = 1) -> list[Any]:
        """The reply to each command, or replies where it is more than one in a piece. Raises Away, Refused."""
        link = self._link
        if link is None or link.is_lost:
            link = await self._another()
        size = sum(map(len, commands))
        if self._under_way + size > self._most + (_KEPT if size <= _SMALL else 0):
            raise Away("too many rows are read from it at the moment")
        self._under_way += size
        kept = _Kept() if len(commands) > _FEW else None
        try:
            if len(commands) <= _AT_ONCE:
                return await link.ask(b"".join(commands), each * len(commands), kept.more if kept else None)
            return await self._ask_in_parts(link, commands, each, kept)
        except LinkLost as error:
            raise Away(str(error)) from None
        finally:
            self._under_way -= size
            if kept is not None:
                kept.forget()

    def at_once(self, commands: Sequence[bytes], waiter: Waiter) -> bool:
        """Ask for the replies to a few commands where the link is there, and has room; False if not."""
        link = self._link
        if link is None or link.is_lost or link.unanswered > _MOST_AT_ONCE or len(commands) > _FEW:
            return False
        link.ask_for(waiter, b"".join(commands), len(commands))
        return True

    @property
    def is_away(self) -> str:
        """Why the server cannot be read, empty when it can."""
        return self._why if self._link is None or self._link.is_lost else ""

    @staticmethod
    async def _ask_in_parts(link: Link, commands: Sequence[bytes], each: int, kept: _Kept | None) -> list[Any]:
        more = kept.more if kept is not None else None
        replies: list[Any] = []
        for start in range(0, len(commands), _AT_ONCE):
            some = commands[start : start + _AT_ONCE]
            replies += await link.ask(b"".join(some), each * len(some), more)
        return replies

    async def _another(self) -> Link:
        """The next link, where it is there in a moment: a server closes what was idle for long, or has restarted."""
        until = self._lost_at + _MOMENT
        self._connect_again()
        if until > asyncio.get_running_loop().time():
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._back.wait()
        if self._link is None or self._link.is_lost:
            raise Away(self._why)
        return self._link

    def _lost(self, why: str) -> None:
        self._lost_at = asyncio.get_running_loop().time()
        self._back.clear()
        self._say(why)
        self._connect_again()

    def _connect_again(self) -> None:
        if not self._is_closed and (self._connecting is None or self._connecting.done()):
            self._connecting = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        attempt = 0
        while True:
            try:
                link = await self._connect_once()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next attempt may succeed
                self._say(str(error) if isinstance(error, LinkLost) else why_not_connected(error))
            else:
                break
            await asyncio.sleep(_BETWEEN[min(attempt, len(_BETWEEN) - 1)])
            attempt += 1
        self._link, link.on_lost = link, self._lost
        self._back.set()
        if self._said:
            logger.warning("Redis at %s is read again", self._name)
            self._said = ""

    def _say(self, why: str) -> None:
        """Once for each thing that is wrong: requests and attempts are many."""
        self._why = why
        if why != self._said and not self._is_closed:
            logger.warning("Redis at %s cannot be read: %s", self._name, why)
            self._said = why
