"""Items made ahead of whoever takes them."""

import threading
import time
from collections.abc import Iterator

import pytest

from featureplane.materialization.prefetch import prefetched


def count(made: list[int], to: int) -> Iterator[int]:
    for number in range(to):
        made.append(number)
        yield number


def threads() -> int:
    return sum(thread.name == "prefetch" for thread in threading.enumerate())


def test_all_items_come_in_their_order() -> None:
    with prefetched(count([], 100)) as items:
        assert list(items) == list(range(100))
    assert threads() == 0


def test_no_more_are_made_than_asked_for() -> None:
    made: list[int] = []
    with prefetched(count(made, 100), most=2) as items:
        assert next(items) == 0
        time.sleep(0.3)
        assert len(made) <= 4
    assert threads() == 0


def test_an_error_comes_after_what_was_made_before_it() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    with prefetched(broken()) as items:
        assert next(items) == 1
        with pytest.raises(ValueError, match="broken"):
            next(items)


def test_a_long_step_is_cancelled_when_nobody_wants_it_any_more() -> None:
    cancelled = threading.Event()

    def slow() -> Iterator[int]:
        yield 1
        assert cancelled.wait(60)
        raise ValueError("cancelled")

    began = time.monotonic()
    with prefetched(slow(), cancel=cancelled.set) as items:
        next(items)
    assert time.monotonic() - began < 30
    assert threads() == 0


def test_who_waits_for_the_next_may_give_up() -> None:
    cancelled = threading.Event()

    def slow() -> Iterator[int]:
        cancelled.wait(60)
        yield 1

    def give_up() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError), prefetched(slow(), cancel=cancelled.set, on_wait=give_up) as items:
        next(items)
    assert threads() == 0


def test_leaving_early_ends_the_thread() -> None:
    def leave() -> None:
        with prefetched(count([], 1_000_000)) as items:
            next(items)
            raise KeyError

    with pytest.raises(KeyError):
        leave()
    assert threads() == 0
