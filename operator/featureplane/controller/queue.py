"""When a project is looked at: soon after a change, again after an error, and at a time that was asked for.

One task for each project runs its reconciles one after the other; changes that arrive meanwhile make one more.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from featureplane.controller.inventory import ProjectKey
from featureplane.controller.metrics import QUEUE

# Changes come in crowds (kubectl apply -f folder): wait a moment for the rest.
_COLLECT_SECONDS = 0.2
_BACKOFF = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
_JITTER = 0.1

# Looks at a project for these reasons (none: it is time to) and says when to look again. Must not raise.
Look = Callable[[ProjectKey, frozenset[str]], Awaitable["Again"]]


@dataclass(frozen=True)
class Again:
    """When to look again; `failed` makes it sooner, and later with each time in a row. None: when something changes."""

    seconds: float | None = None
    failed: bool = False
    gone: bool = False


@dataclass
class _Turn:
    wake: asyncio.Event
    task: asyncio.Task[None]
    reasons: set[str] = field(default_factory=set)


class Queue:
    """The projects to be looked at."""

    def __init__(self, look: Look, resync: float) -> None:
        self._look = look
        self._resync = resync
        self._turns: dict[ProjectKey, _Turn] = {}
        self._open = asyncio.Event()
        self.busy: set[ProjectKey] = set()

    def open(self) -> None:
        """Begin: until then changes only gather."""
        self._open.set()

    @property
    def is_open(self) -> bool:
        return self._open.is_set()

    def mark(self, key: ProjectKey, why: str) -> None:
        """Look at the project soon."""
        turn = self._turns.get(key)
        if turn is None:
            wake = asyncio.Event()
            turn = self._turns[key] = _Turn(wake, asyncio.create_task(self._run(key, wake), name=f"project {key}"))
        turn.reasons.add(why)
        turn.wake.set()
        self._count()

    def is_idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self.busy and not any(turn.wake.is_set() for turn in self._turns.values())

    async def close(self) -> None:
        """Break off what runs, as a kill would: the next look of the next process makes it good."""
        tasks = [turn.task for turn in self._turns.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, key: ProjectKey, wake: asyncio.Event) -> None:
        failures = 0
        await self._open.wait()
        pause: float | None = None
        while True:
            await _wait(wake, pause)
            await asyncio.sleep(_COLLECT_SECONDS)
            wake.clear()
            reasons = frozenset(self._turns[key].reasons)
            self._turns[key].reasons.clear()
            self.busy.add(key)
            self._count()
            try:
                again = await self._look(key, reasons)
            finally:
                self.busy.discard(key)
                self._count()
            if again.gone and not wake.is_set():
                del self._turns[key]
                return
            failures = failures + 1 if again.failed else 0
            pause = self._pause(again, failures)

    def _pause(self, again: Again, failures: int) -> float:
        resync = self._resync * (1 + random.uniform(-_JITTER, _JITTER))  # noqa: S311 - no secret
        if failures:
            delay = _BACKOFF[min(failures, len(_BACKOFF)) - 1]
            return delay * (1 + random.uniform(0, _JITTER))  # noqa: S311
        return resync if again.seconds is None else max(0.0, min(again.seconds, resync))

    def _count(self) -> None:
        QUEUE.set(sum(turn.wake.is_set() for turn in self._turns.values()))


async def _wait(wake: asyncio.Event, pause: float | None) -> None:
    try:
        async with asyncio.timeout(pause):
            await wake.wait()
    except TimeoutError:
        pass
