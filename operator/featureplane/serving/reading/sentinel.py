"""The master of a group of Redis servers, as a Sentinel names it (redis.io, "Sentinel client spec").

A master that was replaced may not know it for some seconds, and answers meanwhile with rows that nobody writes any
more: so the Sentinel is asked again and again.
"""

import asyncio
from contextlib import suppress

import hiredis

from featureplane.serving.reading.link import Link, LinkLost, command, open_link
from featureplane.serving.reading.outages import why_refused
from featureplane.serving.reading.store import SingleStore, dial, greeting_of, tls_of
from featureplane.settings import RedisAddress

# Seconds between two questions for the master.
_BETWEEN = 1.0

Node = tuple[str, int]


class SentinelStore(SingleStore):
    """See the module."""

    def __init__(self, address: RedisAddress) -> None:
        super().__init__(address)
        self._sentinel: Link | None = None
        self._asking = asyncio.Lock()
        self._master: Node | None = None
        self._following: asyncio.Task[None] | None = None

    async def open(self) -> None:
        await super().open()
        self._following = asyncio.create_task(self._follow())

    async def close(self) -> None:
        if self._following is not None:
            self._following.cancel()
        if self._sentinel is not None:
            self._sentinel.close()
        await super().close()

    async def _connect(self) -> Link:
        named = await self._named()
        link = await dial(self._address, *named)
        (role,) = await link.ask(command(b"ROLE"), 1)
        # Who may only read is not told, and believes the Sentinel.
        if isinstance(role, list) and role[0] != b"master":
            link.close()
            raise LinkLost("the Sentinel names a master that is none yet")
        self._master = named
        return link

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(_BETWEEN)
            # Without a Sentinel the master is the one that is known.
            with suppress(OSError, LinkLost):
                if self._master is not None and await self._named() != self._master:
                    self._line.drop("the Sentinel names another master")

    async def _named(self) -> Node:
        """Where the master is. Raises OSError and LinkLost."""
        address = self._address
        question = command(b"SENTINEL", b"get-master-addr-by-name", address.sentinel_master.encode())
        async with self._asking:
            if self._sentinel is None or self._sentinel.is_lost:
                greeting = greeting_of(address, database=False)
                self._sentinel = await open_link(address.host, address.port, greeting, tls_of(address))
            (found,) = await self._sentinel.ask(question, 1)
        if isinstance(found, hiredis.ReplyError):
            raise LinkLost(why_refused(b"SENTINEL", found))
        if not isinstance(found, list):
            raise LinkLost(f"the Sentinel knows no master {address.sentinel_master!r}")
        return found[0].decode(), int(found[1])
