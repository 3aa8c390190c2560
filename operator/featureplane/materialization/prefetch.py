"""Work on the next items while somebody is busy with the last one."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from queue import Full, Queue
from threading import Event, Thread
from typing import Any, TypeVar

T = TypeVar("T")

_DONE = object()
# How long a thread may take to notice that nobody wants its items any more.
_NOTICE = 0.1


@contextmanager
def prefetched(items: Iterable[T], most: int = 2) -> Iterator[Iterator[T]]:
    """The items, made in a thread of their own, at most so many ahead of whoever takes them.

    What making one raises is raised where it would have been taken. The thread has ended when the block has.
    """
    maker = _Maker(items, most)
    try:
        yield maker.taken()
    finally:
        maker.stop()


class _Maker:
    def __init__(self, items: Iterable[Any], most: int) -> None:
        self._items = items
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
        while (item := self._queue.get()) is not _DONE:
            yield item
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
