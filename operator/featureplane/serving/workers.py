"""The server's processes: as many as it has workers, each started again when it ends by itself."""

import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from featureplane.serving.process import ServerProcess

# A worker that ends sooner than this after its start would end again: the next start waits, each time twice as long.
_LEAST_SECONDS = 10.0
_FIRST_WAIT = 0.5
_LONGEST_WAIT = 30.0
_LOOK_SECONDS = 0.2
# All workers together may take this long to finish their requests (`http.server`).
_STOP_SECONDS = 15.0


@dataclass
class _Place:
    """One of the workers: the process that is it now, or was it last."""

    process: ServerProcess
    started: float
    # Seconds that the next start waits if it ends early, and when that start is; None while the process runs.
    wait: float
    due: float | None = None


class Workers:
    """`count` processes that `make` makes, until `stop`; `say` is told of each that ends by itself, and `ended` its id.

    When the last of them ends right after its start there is nothing left to wait for: the server has failed.
    """

    def __init__(
        self,
        make: Callable[[], ServerProcess],
        count: int,
        ended: Callable[[int], None],
        say: Callable[[str], None],
    ) -> None:
        self._make = make
        self._ended = ended
        self._say = say
        self._places = [_Place(make(), time.monotonic(), _FIRST_WAIT) for _ in range(count)]
        self._failed: ServerProcess | None = None
        self._may_go_on = False
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="workers", daemon=True)
        self._thread.start()

    def go_on(self) -> None:
        """Let all begin."""
        with self._lock:
            self._may_go_on = True
            for place in self._places:
                place.process.go_on()

    @property
    def is_running(self) -> bool:
        return self._failed is None and not self._stopped.is_set()

    @property
    def exit_status(self) -> int | None:
        """Of the last worker, when none could stay."""
        return self._failed.exit_status if self._failed else None

    def wait(self) -> int:
        """Wait until no worker can stay, and return the exit status of the last."""
        while self.is_running:
            self._stopped.wait(_LOOK_SECONDS)
        return self.exit_status or 0

    def stop(self) -> None:
        """Let all finish their requests, then end them."""
        self._stopped.set()
        self._thread.join()
        for place in self._places:
            place.process.ask_to_end()
        until = time.monotonic() + _STOP_SECONDS
        for place in self._places:
            place.process.stop(max(until - time.monotonic(), 0.0))

    def _watch(self) -> None:
        while not self._stopped.wait(_LOOK_SECONDS):
            for place in self._places:
                if place.due is None and not place.process.is_running:
                    self._note_end(place)
                    if self._failed is not None:
                        return
                if place.due is not None and place.due <= time.monotonic():
                    self._start_again(place)

    def _note_end(self, place: _Place) -> None:
        now = time.monotonic()
        place.process.stop(0.0)
        self._ended(place.process.pid)
        was_early = now - place.started < _LEAST_SECONDS
        if was_early and not any(other.process.is_running for other in self._places):
            self._failed = place.process
        place.due = now + (place.wait if was_early else 0.0)
        place.wait = min(place.wait * 2, _LONGEST_WAIT) if was_early else _FIRST_WAIT
        self._say(f"a worker ended by itself {now - place.started:.0f} s after its start ({_how(place.process)})")

    def _start_again(self, place: _Place) -> None:
        with self._lock, suppress(OSError):  # too many processes at the moment: tried again
            made = self._make()
            if self._may_go_on:
                made.go_on()
            place.process, place.started, place.due = made, time.monotonic(), None


def _how(process: ServerProcess) -> str:
    status = process.exit_status or 0
    return f"exit status {status}" if status >= 0 else signal.Signals(-status).name
