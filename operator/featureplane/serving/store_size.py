"""How much memory Redis takes for all that it holds, and how much it may take: to be known before it is full."""

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from featureplane.serving.reading.link import command
from featureplane.serving.reading.store import Away, RowStore

LOOK_SECONDS = 15.0
_INFO = command(b"INFO", b"memory")
# Of redis.io's `INFO`: bytes, and 0 where there is no limit.
_BYTES = re.compile(rb"^(used_memory|maxmemory):(\d+)\r?$", re.MULTILINE)


async def follow_size(store: RowStore, tell: Callable[[int, int], None]) -> None:
    """Tell bytes that are used and that may be used (0: any number), of all servers together, again and again until
    cancelled. Nothing is told where the user of Redis may not ask.
    """
    while True:
        with suppress(Away):
            sizes = [_size(*replies) for replies in await store.ask_all([_INFO])]
            if sizes and None not in sizes:
                tell(*_sum([size for size in sizes if size is not None]))
        await asyncio.sleep(LOOK_SECONDS)


def _size(reply: Any) -> tuple[int, int] | None:
    found = dict(_BYTES.findall(reply)) if isinstance(reply, bytes) else {}
    return (int(found[b"used_memory"]), int(found.get(b"maxmemory", 0))) if b"used_memory" in found else None


def _sum(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    limits = [limit for _, limit in sizes]
    return sum(used for used, _ in sizes), sum(limits) if all(limits) else 0
