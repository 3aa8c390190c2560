"""Redis for the read path, however its servers work together, and how each is connected to."""

import ssl
from collections.abc import Sequence
from typing import Any, Protocol

import hiredis

from featureplane.serving.reading.line import Away, Line
from featureplane.serving.reading.link import Link, Waiter, open_link
from featureplane.serving.reading.outages import outage
from featureplane.settings import RedisAddress

__all__ = ["Away", "SingleStore", "Store", "dial", "greeting_of", "open_store", "raise_outage", "tls_of"]


class Store(Protocol):
    """Redis, however its servers work together."""

    async def open(self) -> None:
        """Connect, or begin to try."""

    async def close(self) -> None: ...

    async def read(self, keys: Sequence[bytes], commands: Sequence[bytes]) -> list[Any]:
        """The reply to each command, which is about the key at its place. Raises Away."""
        ...

    def at_once(self, commands: Sequence[bytes], waiter: Waiter) -> bool:
        """Whether it was asked for the reply to each command, errors and all, without a wait for anything."""
        ...

    @property
    def is_away(self) -> str:
        """Why Redis cannot be read, empty when it can."""
        ...


class RowStore(Store, Protocol):
    """What writing needs beside."""

    async def ask_all(self, commands: Sequence[bytes]) -> list[list[Any]]:
        """The replies of each server that has keys, to all of these. Raises Away."""
        ...

    @property
    def is_spread(self) -> bool:
        """Whether keys may lie on several servers: a command then is about one of them."""
        ...


class SingleStore:
    """One Redis server."""

    is_spread = False

    def __init__(self, address: RedisAddress) -> None:
        self._address = address
        self._line = Line(self._connect, str(address))

    async def _connect(self) -> Link:
        return await dial(self._address)

    async def open(self) -> None:
        await self._line.open()

    async def close(self) -> None:
        self._line.close()

    async def read(self, _: Sequence[bytes], commands: Sequence[bytes]) -> list[Any]:
        replies = await self._line.ask(commands)
        if hiredis.ReplyError in set(map(type, replies)):
            raise_outage(self._line, replies)
        return replies

    def at_once(self, commands: Sequence[bytes], waiter: Waiter) -> bool:
        return self._line.at_once(commands, waiter)

    async def ask_all(self, commands: Sequence[bytes]) -> list[list[Any]]:
        return [await self._line.ask(commands)]

    @property
    def is_away(self) -> str:
        return self._line.is_away


def raise_outage(line: Line, replies: Sequence[Any]) -> None:
    """Raise Away where an error among the replies is about the server."""
    code, why = outage(replies)
    if code == "NOAUTH":  # a proxy between us may have made a connection of its own
        line.drop(why)
    if code:
        raise Away(why)


async def dial(address: RedisAddress, host: str = "", port: int = 0) -> Link:
    """A link to the address, or to another server that lets us in likewise. Raises OSError and LinkLost."""
    return await open_link(host or address.host, port or address.port, greeting_of(address), tls_of(address))


def greeting_of(address: RedisAddress, *, database: bool = True) -> list[Sequence[bytes]]:
    """The commands that a connection begins with."""
    greeting: list[Sequence[bytes]] = []
    if address.password:
        user = [address.username.encode()] if address.username else []
        greeting.append([b"AUTH", *user, address.password.encode()])
    if address.db and database and address.mode != "Cluster":
        greeting.append([b"SELECT", b"%d" % address.db])
    return greeting


def tls_of(address: RedisAddress) -> ssl.SSLContext | None:
    """How to speak TLS to the servers, where that is so; the file is read each time, as it may be renewed."""
    return ssl.create_default_context(cafile=address.ca_file or None) if address.tls else None


async def open_store(address: RedisAddress) -> RowStore:
    """A store that connects by itself; it may be away at first."""
    store: RowStore
    if address.mode == "Cluster":
        from featureplane.serving.reading.cluster import ClusterStore

        store = ClusterStore(address)
    elif address.mode == "Sentinel":
        from featureplane.serving.reading.sentinel import SentinelStore

        store = SentinelStore(address)
    else:
        store = SingleStore(address)
    await store.open()
    return store
