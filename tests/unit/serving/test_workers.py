"""When a worker is started again, and when the server has failed."""

import threading
from collections.abc import Callable, Iterator

import pytest

from featureplane.serving import workers as module
from featureplane.serving.workers import Workers
from patience import until


class Clock:
    """In the place of `time`: it goes on when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked = 0

    def monotonic(self) -> float:
        self.asked += 1
        return self.now

    def go_on(self, seconds: float) -> None:
        """And let those who wait for it look."""
        self.now += seconds
        asked = self.asked
        until(lambda: self.asked >= asked + 2)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.01)
    return made


class Worker:
    """A process that ends when the test says so."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.exit_status: int | None = None
        self.went_on = False

    @property
    def is_running(self) -> bool:
        return self.exit_status is None

    def go_on(self) -> None:
        self.went_on = True

    def ask_to_end(self) -> None: ...

    def stop(self, _: float = 0.0) -> None:
        self.exit_status = self.exit_status or 0


class Run:
    def __init__(self, count: int) -> None:
        self.made: list[Worker] = []
        self.ended: list[int] = []
        self.said: list[str] = []
        self.workers = Workers(self._make, count, self.ended.append, self.said.append)  # type: ignore[arg-type]

    def _make(self) -> Worker:
        self.made.append(Worker(len(self.made)))
        return self.made[-1]

    def end(self, number: int, status: int) -> None:
        """Let this worker end, and the server note it."""
        self.made[number].exit_status = status
        until(lambda: self.made[number].pid in self.ended)


@pytest.fixture
def start(clock: Clock) -> Iterator[Callable[[int], Run]]:
    runs: list[Run] = []

    def make(count: int) -> Run:
        runs.append(Run(count))
        return runs[-1]

    yield make
    for run in runs:
        run.workers.stop()


def test_one_that_ends_later_is_replaced_at_once(start: Callable[[int], Run], clock: Clock) -> None:
    run = start(2)
    run.workers.go_on()
    clock.now += module._LEAST_SECONDS  # noqa: SLF001 - a worker is asked for nothing else
    run.end(0, -9)
    until(lambda: len(run.made) == 3)
    until(lambda: run.made[2].went_on)
    assert run.ended == [0]
    until(lambda: run.said)
    assert "SIGKILL" in run.said[0]
    assert run.workers.is_running


def test_the_last_that_ends_right_after_its_start_fails_the_server(start: Callable[[int], Run]) -> None:
    run = start(2)
    run.made[0].exit_status = 3
    run.made[1].exit_status = 3
    until(lambda: not run.workers.is_running)
    assert run.workers.wait() == 3


def test_one_that_ends_again_and_again_waits_longer_and_longer_and_does_not_take_the_others_with_it(
    start: Callable[[int], Run], clock: Clock
) -> None:
    run = start(2)
    for seconds in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0):
        count = len(run.made)
        run.end(-1, 1)
        clock.go_on(seconds - 0.1)
        assert len(run.made) == count
        clock.now += 0.2
        until(lambda count=count: len(run.made) > count)
    assert run.workers.is_running
    assert run.made[0].is_running


def test_one_that_was_replaced_before_all_went_on_waits_like_the_others(
    start: Callable[[int], Run], clock: Clock
) -> None:
    run = start(2)
    run.end(0, 1)
    clock.now += 1.0
    until(lambda: len(run.made) == 3)
    assert not run.made[2].went_on
    run.workers.go_on()
    assert run.made[2].went_on


def test_all_are_stopped_within_the_time_of_one(clock: Clock) -> None:
    given: list[float] = []

    class Stubborn(Worker):
        def stop(self, seconds: float = 0.0) -> None:
            given.append(seconds)
            clock.now += seconds

    numbers = iter(range(4))
    workers = Workers(lambda: Stubborn(next(numbers)), 4, given.append, print)  # type: ignore[arg-type, return-value]
    before = threading.active_count()
    workers.stop()
    assert given == [module._STOP_SECONDS, 0.0, 0.0, 0.0]  # noqa: SLF001
    assert threading.active_count() < before
