"""How much an online store of Feast's has written: Feast's engine keeps no count of its own."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any


class Written:
    """Rows, and the newest event time, since the last `clear`. It does not grow: a server writes for months."""

    def __init__(self) -> None:
        self.rows = 0
        self.newest: datetime | None = None

    def add(self, data: Sequence[Any]) -> None:
        """One batch, as Feast gives it to `online_write_batch`."""
        times = [row[2] if row[2].tzinfo else row[2].replace(tzinfo=UTC) for row in data]
        self.rows += len(times)
        self.newest = max([*times, *([self.newest] if self.newest else [])], default=None)

    def clear(self) -> None:
        self.rows, self.newest = 0, None
