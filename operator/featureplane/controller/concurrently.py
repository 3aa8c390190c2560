"""Many requests to the API server at once, but not all: it serves others, too."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

from featureplane.errors import ClusterError

_AT_ONCE = 12
_NOT_FOUND = 404


async def concurrently(requests: Iterable[Coroutine[Any, Any, None]]) -> list[ClusterError]:
    """Await all of them and return what went wrong; an object that is gone by now is no error."""
    limit = asyncio.Semaphore(_AT_ONCE)

    async def one(request: Coroutine[Any, Any, None]) -> ClusterError | None:
        async with limit:
            try:
                await request
            except ClusterError as error:
                return error if error.status != _NOT_FOUND else None
        return None

    return [error for error in await asyncio.gather(*map(one, requests)) if error is not None]
