"""What `featureplane up` waits for: a change of the files, a schedule that is due, the end of the server."""

import shlex
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from featureplane.errors import FeatureplaneError
from featureplane.local.files import write_file
from featureplane.model.cron import next_time
from featureplane.model.feast_project import Schedule
from featureplane.settings import Stores

_TICK_SECONDS = 0.4
_BETWEEN_TRIES = timedelta(seconds=5)
_Stamps = dict[Path, tuple[int, int, int]]
# Of files that nobody has read.
_NEVER: _Stamps = {Path(): (0, 0, 0)}


class Running(Protocol):
    """A process that should not end by itself."""

    @property
    def is_running(self) -> bool: ...


@dataclass(frozen=True)
class Event:
    """Something to do: the files changed (no schedule), or a schedule is due."""

    schedule: str | None = None


def now() -> datetime:
    return datetime.now(UTC)


class WatchedFiles:
    """Whether files changed since they were last read; make it before the first reading.

    Their times, sizes and numbers are looked at again and again. Notifications of the kernel would be lost when an
    editor puts a new file in the old one's place or a folder is made anew, and do not come from every file system.
    What `changed` last found `is_again` where it was said to `read_again`.
    """

    def __init__(self, find: Callable[[], Iterable[Path]]) -> None:
        self._find = find
        self._read = self._last = self._stamps()
        self.is_again = False
        self._not_before = now()

    def changed(self) -> bool:
        """Whether they differ from when they were last read and stand still: half a file is nothing to read."""
        before, self._last = self._last, self._stamps()
        if self._last == self._read or self._last != before or now() < self._not_before:
            return False
        self.is_again, self._read = self._read == _NEVER, self._last
        return True

    def read_again(self) -> None:
        """Take the files for changed, in a while: what they said could not be carried out."""
        self._read, self._not_before = _NEVER, now() + _BETWEEN_TRIES

    def _stamps(self) -> _Stamps:
        stamps: _Stamps = {}
        for file in self._find():
            with suppress(OSError):
                status = file.stat()
                stamps[file] = (status.st_mtime_ns, status.st_size, status.st_ino)
        return stamps


def events(
    files: WatchedFiles,
    schedules: Callable[[], Mapping[str, Schedule]],
    server: Running,
    must_stay: Callable[[], None],
    stop: threading.Event | None = None,
) -> Iterator[Event]:
    """Wait, and yield what is to be done, until `stop` is set. `schedules` are asked for each time: they may change.

    Raises FeatureplaneError when the server ends by itself, and what `must_stay` raises.
    """
    stop = stop or threading.Event()
    clocks: dict[str, tuple[Schedule, datetime]] = {}
    due_schedules(schedules(), clocks)
    while not stop.wait(_TICK_SECONDS):
        if not server.is_running:
            raise FeatureplaneError("the server ended by itself; start featureplane up again")
        must_stay()
        if files.changed():
            yield Event()
        for name in due_schedules(schedules(), clocks):
            yield Event(name)


def due_schedules(schedules: Mapping[str, Schedule], clocks: dict[str, tuple[Schedule, datetime]]) -> list[str]:
    """The schedules whose time has come; each clock that is new, due or of another schedule by now is set again."""
    names = []
    for name, schedule in schedules.items():
        known, time = clocks.get(name, (None, None))
        is_due = known == schedule and time is not None and time <= now()
        if is_due:
            names.append(name)
        if is_due or known != schedule:
            clocks[name] = (schedule, next_time(schedule.cron, schedule.time_zone, now()))
    return names


def write_environment(path: Path, stores: Stores) -> None:
    """A file for a shell to read: how to reach the stores. Only its owner may read it: it holds a password."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(stores.environment().items())]
    write_file(path, "\n".join(lines) + "\n", mode=0o600)
