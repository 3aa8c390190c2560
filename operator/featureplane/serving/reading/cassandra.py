"""In place of Redis where the online store is Cassandra, which Feast's own app reads and writes: whether it is there.

A server that takes connections counts as there. Who may log in, and what is read, is known to Feast's app alone.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from featureplane.serving.reading.link import Waiter
from featureplane.serving.reading.outages import why_not_connected

_BETWEEN_SECONDS = 10.0
# While it is away: requests are refused until it is seen again.
_BETWEEN_SECONDS_AWAY = 1.0
_PATIENCE_SECONDS = 5.0
logger = logging.getLogger(__name__)


class Cassandra:
    """A `RowStore` that nobody asks for a row. `place` is what it is called in messages."""

    is_spread = False

    def __init__(self, place: str, addresses: Sequence[tuple[str, int]]) -> None:
        self._place = place
        self._addresses = addresses
        self._why = ""
        self._looking: asyncio.Task[None] | None = None

    @property
    def is_away(self) -> str:
        """Why none of its servers can be reached, empty when one can."""
        return f"{self._place} does not answer: {self._why}" if self._why else ""

    @property
    def outage(self) -> str:
        """The same for clients, who are not told where it is."""
        return f"Cassandra does not answer: {self._why}" if self._why else ""

    async def open(self) -> None:
        """Begin to look whether it is there."""
        self._looking = asyncio.create_task(self._look_on())

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking

    async def read(self, keys: Sequence[bytes], commands: Sequence[bytes]) -> list[Any]:  # noqa: ARG002 - a store's
        return []

    def at_once(self, commands: Sequence[bytes], waiter: Waiter) -> bool:  # noqa: ARG002 - a store's
        return False

    async def ask_all(self, commands: Sequence[bytes]) -> list[list[Any]]:  # noqa: ARG002 - a store's
        return []

    async def _look_on(self) -> None:
        while True:
            self._say(await self._look())
            await asyncio.sleep(_BETWEEN_SECONDS_AWAY if self._why else _BETWEEN_SECONDS)

    async def _look(self) -> str:
        why = ""
        for host, port in self._addresses:
            try:
                _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), _PATIENCE_SECONDS)
            except OSError as error:  # TimeoutError is one
                why = why_not_connected(error)
            else:
                writer.close()
                return ""
        return why

    def _say(self, why: str) -> None:
        """Once for each thing that is wrong."""
        if why != self._why:
            self._why = why
            logger.warning("%s", self.is_away or f"{self._place} answers again")
