"""Work on the next items while somebody is busy with the last one."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any, TypeVar

T = TypeVar("T")

_DONE = object()
# How long a thread may take to notice that nobody wants its items any more, and how often somebody who waits is told.
_NOTICE = 0.1
_WAIT = 1.0


def _nothing() -> None:
    pass


@contextmanager
def prefetched(
    items: Iterable[T], most: int = 2, *, cancel: Callable[[], None] = _nothing, on_wait: Callable[[], None] = _nothing
) -> Iterator[Iterator[T]]:
    """The items, made in a thread of their own, at most so many ahead of whoever takes them.

    What making one raises is raised where it would have been taken. The thread has ended when the block has: where that
    is left early, `cancel` must make a step that is under way raise soon. `on_wait` is called about every second of
    waiting for the next item, and may raise.
    """
    maker = _Maker(items, most, cancel, on_wait)
    try:
        yield maker.taken()
    finally:
        maker.stop()


class _Maker:
    def __init__(
        self, items: Iterable[Any], most: int, cancel: Callable[[], None], on_wait: Callable[[], None]
    ) -> None:
        self._items = items
        self._cancel = cancel
        self._on_wait = on_wait
        self._queue: Queue[Any] = Queue(most)
        self._stopped = Event()
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._make, name="prefetch", daemon=True)
        self._thread.start()

    def _make(self) -> None:
        try:
            for item in self._items:
                self._put(item)
                if self._stopped.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - it is raised where the items are taken
            self._failure = error
        self._put(_DONE)

    def _put(self, item: object) -> None:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=_NOTICE)
            except Full:
                continue
            return

    def taken(self) -> Iterator[Any]:
        while (item := self._next()) is not _DONE:
            yield item
        if self._failure is not None:
            raise self._failure

    def _next(self) -> Any:
        while True:
            try:
                return self._queue.get(timeout=_WAIT)
            except Empty:
                self._on_wait()

    def stop(self) -> None:
        self._stopped.set()
        while self._thread.is_alive():
            self._cancel()
            self._thread.join(_NOTICE)
