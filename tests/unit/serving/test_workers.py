"""When a worker is started again, and when the server has failed."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from featureplane.serving import workers as module
from featureplane.serving.workers import Workers

LEAST = 0.3


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
        self.made_at: list[float] = []
        self.workers = Workers(self._make, count, self.ended.append, self.said.append)  # type: ignore[arg-type]

    def _make(self) -> Worker:
        self.made.append(Worker(len(self.made)))
        self.made_at.append(time.monotonic())
        return self.made[-1]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Run]]:
    times = {"_LEAST_SECONDS": LEAST, "_FIRST_WAIT": 0.05, "_LONGEST_WAIT": 0.4, "_LOOK_SECONDS": 0.01}
    for name, seconds in times.items():
        monkeypatch.setattr(module, name, seconds)
    runs: list[Run] = []

    def make(count: int) -> Run:
        runs.append(Run(count))
        return runs[-1]

    yield make
    for run in runs:
        run.workers.stop()


def wait_for(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 5
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_one_that_ends_later_is_replaced_at_once(start: Callable[[int], Run]) -> None:
    run = start(2)
    run.workers.go_on()
    time.sleep(LEAST)
    run.made[0].exit_status = -9
    wait_for(lambda: len(run.made) == 3)
    assert run.made[2].went_on
    assert run.ended == [0]
    assert "SIGKILL" in run.said[0]
    assert run.workers.is_running


def test_the_last_that_ends_right_after_its_start_fails_the_server(start: Callable[[int], Run]) -> None:
    run = start(2)
    run.made[0].exit_status = 3
    run.made[1].exit_status = 3
    wait_for(lambda: not run.workers.is_running)
    assert run.workers.wait() == 3


def test_one_that_ends_again_and_again_does_not_take_the_others_with_it(start: Callable[[int], Run]) -> None:
    run = start(2)
    for _ in range(5):
        run.made[-1].exit_status = 1
        count = len(run.made)
        wait_for(lambda count=count: len(run.made) > count)  # type: ignore[misc]
    assert run.workers.is_running
    assert run.made[0].is_running
    waits = [after - before for before, after in zip(run.made_at[1:], run.made_at[2:], strict=False)]
    assert waits[0] < waits[1] < waits[2]
    assert 0.4 <= waits[4] < 0.7


def test_one_that_was_replaced_before_all_went_on_waits_like_the_others(start: Callable[[int], Run]) -> None:
    run = start(2)
    run.made[0].exit_status = 1
    wait_for(lambda: len(run.made) == 3)
    assert not run.made[2].went_on
    run.workers.go_on()
    assert run.made[2].went_on


def test_all_are_stopped_within_the_time_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []

    class Stubborn(Worker):
        def stop(self, seconds: float = 0.0) -> None:
            given.append(seconds)
            time.sleep(min(seconds, 0.2))

    monkeypatch.setattr(module, "_STOP_SECONDS", 0.2)
    numbers = iter(range(4))
    workers = Workers(lambda: Stubborn(next(numbers)), 4, given.append, print)  # type: ignore[arg-type, return-value]
    before = threading.active_count()
    workers.stop()
    assert len(given) == 4
    assert sum(given) < 0.3
    assert threading.active_count() < before
