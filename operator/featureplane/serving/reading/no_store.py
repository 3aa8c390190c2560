"""In place of Redis where the online store is another, which Feast's own app reads and writes."""

from collections.abc import Sequence
from typing import Any

from featureplane.serving.reading.link import Waiter


class NoStore:
    """A `RowStore` that nobody asks for a row."""

    is_spread = False
    is_away = ""

    async def open(self) -> None:
        """There is nothing to connect to."""

    async def close(self) -> None:
        """Nor to let go."""

    async def read(self, keys: Sequence[bytes], commands: Sequence[bytes]) -> list[Any]:  # noqa: ARG002 - a store's
        return []

    def at_once(self, commands: Sequence[bytes], waiter: Waiter) -> bool:  # noqa: ARG002 - a store's
        return False

    async def ask_all(self, commands: Sequence[bytes]) -> list[list[Any]]:  # noqa: ARG002 - a store's
        return []
