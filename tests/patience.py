"""How tests wait for what happens in its own time, and how much longer that may take on a loaded machine."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

# For what comes: a machine with two busy cores takes half a minute to load Feast alone. Nothing is asserted about time,
# and a wait ends as soon as what it is for is so.
PATIENCE = 180.0
# On top of a time that is promised: less than it takes where nobody keeps the promise.
SLACK = 5.0
_PAUSE = 0.02


def until(
    true: Callable[[], Any],
    seconds: float = PATIENCE,
    what: str | Callable[[], object] = "it stayed false",
    passing: type[Exception] | tuple[type[Exception], ...] = (),
) -> Any:
    """Wait for something to be true and return it. A failing assertion counts as not yet, and what is `passing` does
    as well; `what` is to say when it never comes.
    """
    deadline = time.monotonic() + seconds
    while True:
        why: object = None
        try:
            if found := true():
                return found
        except AssertionError as error:
            why = error
        except passing as error:
            why = repr(error)
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {why or (what() if callable(what) else what)}")
        time.sleep(_PAUSE)


async def until_so(true: Callable[[], Any]) -> None:
    """The same where a loop runs."""
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110 - nobody tells when it is so
            await asyncio.sleep(_PAUSE / 2)
