"""A Redis Cluster: each key's command goes to the node that has its slot, all nodes at once.

A node says where else a command belongs while slots move: MOVED for good, ASK for this once (Redis Cluster
specification, "Redirection and resharding"). Who has which slots is asked at the start, and again and again while
something is wrong: a node that is gone tells nobody who took its place.
"""

import asyncio
from binascii import crc_hqx
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import hiredis

from featureplane.online.slots import SLOTS, hashed
from featureplane.serving.reading.line import Away, Line
from featureplane.serving.reading.link import CONNECT_SECONDS, LinkLost, Waiter, command
from featureplane.serving.reading.outages import why_not_connected, why_refused
from featureplane.serving.reading.store import dial, raise_outage
from featureplane.settings import RedisAddress

Node = tuple[str, int]
_ASKING = command(b"ASKING")
_SLOTS = command(b"CLUSTER", b"SLOTS")
# Seconds from a request's first command to the end of its last attempt elsewhere, and between two of them.
_PATIENCE = 0.9
_BETWEEN = 0.02
# Seconds between two questions for the slots while something is wrong.
_BETWEEN_LOOKS = 0.25


class ClusterStore:
    """See the module."""

    is_spread = True

    def __init__(self, address: RedisAddress) -> None:
        self._address = address
        self._lines: dict[Node, Line] = {}
        self._owners: list[Node | None] = [None] * SLOTS
        self._why = "it was not asked yet"
        self._looking: asyncio.Task[None] | None = None
        self._looked = asyncio.Event()

    async def open(self) -> None:
        self._look_again()
        with suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._looked.wait()
        await asyncio.gather(*(line.open() for line in self._lines.values()))

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        for line in self._lines.values():
            line.close()

    @property
    def is_away(self) -> str:
        return self._why or next((line.is_away for line in self._lines.values() if line.is_away), "")

    def at_once(self, _: Sequence[bytes], __: Waiter) -> bool:
        """Replies of several nodes have to be waited for."""
        return False

    async def read(self, keys: Sequence[bytes], commands: Sequence[bytes]) -> list[Any]:
        replies: list[Any] = [None] * len(keys)
        until = asyncio.get_running_loop().time() + _PATIENCE
        left = self._owned(keys)
        await self._round(left, commands, replies)
        while left := self._redirected(keys, left, replies):
            try:
                async with asyncio.timeout_at(until):
                    await asyncio.sleep(_BETWEEN)
                    await self._round(left, commands, replies)
            except TimeoutError:
                raise Away("its nodes do not agree on who has the slot of a row") from None
        return replies

    async def ask_all(self, commands: Sequence[bytes]) -> list[list[Any]]:
        if not self._lines:
            self._look_again()
            raise Away(self._why)
        return list(await asyncio.gather(*(line.ask(commands) for line in self._lines.values())))

    def _owned(self, keys: Sequence[bytes]) -> dict[int, tuple[Node, bool]]:
        """Where each command goes, and whether the node is asked for a slot that it does not have yet."""
        found: dict[int, tuple[Node, bool]] = {}
        owners = self._owners
        for place, key in enumerate(keys):
            owner = owners[crc_hqx(hashed(key), 0) % SLOTS]
            if owner is None:
                self._look_again()
                raise Away(self._why or "no node of the cluster has the slot of a row")
            found[place] = owner, False
        return found

    def _redirected(
        self, keys: Sequence[bytes], asked: Mapping[int, tuple[Node, bool]], replies: Sequence[Any]
    ) -> dict[int, tuple[Node, bool]]:
        """Where those belong that were sent elsewhere."""
        found: dict[int, tuple[Node, bool]] = {}
        for place, (node, _) in asked.items():
            reply = replies[place]
            if _is_redirection(reply):
                why, _, there = str(reply).split()
                host, _, port = there.rpartition(":")
                # Without a host it is another port of the node that was asked.
                target = (host or node[0], int(port))
                found[place] = target, why == "ASK"
                if why == "MOVED":
                    self._owners[crc_hqx(hashed(keys[place]), 0) % SLOTS] = target
                    self._look_again()
        return found

    async def _round(
        self, wanted: Mapping[int, tuple[Node, bool]], commands: Sequence[bytes], replies: list[Any]
    ) -> None:
        places: dict[tuple[Node, bool], list[int]] = {}
        for place, where in wanted.items():
            places.setdefault(where, []).append(place)
        try:
            await asyncio.gather(
                *(self._ask(node, mine, commands, replies, asking=asking) for (node, asking), mine in places.items())
            )
        except Away:
            self._look_again()
            raise

    async def _ask(
        self, node: Node, places: Sequence[int], commands: Sequence[bytes], replies: list[Any], *, asking: bool
    ) -> None:
        line = self._line(node)
        if asking:
            # One command each: what is sent in between would take the permission.
            answers = await line.ask([_ASKING + commands[place] for place in places], each=2)
            answers = answers[1::2]
        else:
            answers = await line.ask([commands[place] for place in places])
        if hiredis.ReplyError in set(map(type, answers)):
            raise_outage(line, [answer for answer in answers if not _is_redirection(answer)])
        for place, answer in zip(places, answers, strict=True):
            replies[place] = answer

    def _line(self, node: Node) -> Line:
        line = self._lines.get(node)
        if line is None:
            host, port = node
            line = self._lines[node] = Line(lambda: dial(self._address, host, port), f"{host}:{port}")
        return line

    def _look_again(self) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        """Ask who has which slots until all is well."""
        while True:
            try:
                self._take(await self._slots())
            except Exception as error:  # noqa: BLE001 - whatever it is, the next attempt may succeed
                self._why = str(error) if isinstance(error, LinkLost | Away) else why_not_connected(error)
            else:
                self._why = ""
                self._looked.set()
            await asyncio.sleep(_BETWEEN_LOOKS)
            if not self.is_away:
                return

    def _take(self, slots: list[tuple[int, int, Node]]) -> None:
        owners: list[Node | None] = [None] * SLOTS
        for first, last, node in slots:
            owners[first : last + 1] = [node] * (last + 1 - first)
        self._owners = owners
        nodes = {node for *_, node in slots}
        for node in self._lines.keys() - nodes:
            # What was asked of it has its answer by then.
            asyncio.get_running_loop().call_later(_PATIENCE, self._lines.pop(node).close)
        for node in nodes:
            self._line(node).connect()

    async def _slots(self) -> list[tuple[int, int, Node]]:
        """First and last slot of each range with the node that has it, as any node says that answers."""
        for (host, _), line in list(self._lines.items()):
            with suppress(Away):
                if not line.is_away:
                    return _ranges(await line.ask([_SLOTS]), host)
        link = await dial(self._address)
        try:
            return _ranges(await link.ask(_SLOTS, 1), self._address.host)
        finally:
            link.close()


def _is_redirection(reply: Any) -> bool:
    return isinstance(reply, hiredis.ReplyError) and str(reply).startswith(("MOVED ", "ASK "))


def _ranges(replies: list[Any], asked: str) -> list[tuple[int, int, Node]]:
    (found,) = replies
    if isinstance(found, hiredis.ReplyError):
        disabled = "cluster support disabled" in str(found)
        raise LinkLost("it is no cluster; say so in its address" if disabled else why_refused(b"CLUSTER", found))
    # A node that does not know its own name is the one that was asked.
    return [
        (first, last, (host.decode() if host and host != b"?" else asked, int(port)))
        for first, last, (host, port, *_), *_ in found
    ]
