"""When a project is looked at."""

import asyncio
import selectors

import pytest

from featureplane.controller import queue as module
from featureplane.controller.queue import Again, Queue

KEY, OTHER = ("data", "feast"), ("data", "other")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "_COLLECT_SECONDS", 0.01)
    monkeypatch.setattr(module, "_BACKOFF", (0.02, 0.04))


def looking(answers=(), takes=0.0):
    """A look that notes what it was asked, and answers in turn."""
    seen, left = [], list(answers)

    async def look(key, reasons):
        seen.append((key, sorted(reasons)))
        await asyncio.sleep(takes)
        return left.pop(0) if left else Again()

    return seen, look


class NothingTakesTime(selectors.DefaultSelector):
    """The loop's time goes on by what it waits for, and by nothing else."""

    now = 0.0

    def select(self, timeout=None):
        found = super().select(0)
        if not found and timeout:
            self.now += timeout
        return found


def a_loop():
    selector = NothingTakesTime()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now
    return loop


def run(scenario, resync=60.0, **options):
    seen, look = looking(**options)

    async def main():
        queue = Queue(look, resync)
        try:
            await scenario(queue)
        finally:
            await queue.close()

    with asyncio.Runner(loop_factory=a_loop) as runner:
        runner.run(main())
    return seen


async def idle(queue):
    await asyncio.sleep(0.02)
    while not queue.is_idle():  # noqa: ASYNC110 - the queue tells nobody
        await asyncio.sleep(0.005)


def test_a_crowd_of_changes_is_one_look_and_nothing_happens_before_all_is_known():
    async def scenario(queue):
        for number in range(9):
            queue.mark(KEY, f"change {number % 2}")
        await asyncio.sleep(0.05)
        assert not queue.is_open
        queue.open()
        await idle(queue)

    assert run(scenario) == [(KEY, ["change 0", "change 1"])]


def test_a_change_during_a_look_makes_one_more_and_never_two_at_once():
    async def scenario(queue):
        queue.open()
        queue.mark(KEY, "first")
        await asyncio.sleep(0.04)
        assert queue.busy == {KEY}
        queue.mark(KEY, "second")
        queue.mark(OTHER, "beside")
        await idle(queue)

    seen = run(scenario, takes=0.08)
    assert seen == [(KEY, ["first"]), (OTHER, ["beside"]), (KEY, ["second"])]


def test_an_error_is_tried_again_later_and_later_without_a_reason():
    async def scenario(queue):
        queue.open()
        queue.mark(KEY, "change")
        await asyncio.sleep(0.25)

    seen = run(scenario, answers=[Again(failed=True)] * 2)
    assert seen == [(KEY, ["change"]), (KEY, []), (KEY, [])]


def test_a_look_is_repeated_at_the_time_that_was_asked_for_and_at_the_resync():
    async def scenario(queue):
        queue.open()
        queue.mark(KEY, "change")
        await asyncio.sleep(0.3)

    assert len(run(scenario, answers=[Again(0.03)])) == 2
    assert len(run(scenario, resync=0.05)) >= 3


def test_a_project_that_is_gone_is_forgotten_and_can_come_back():
    async def scenario(queue):
        queue.open()
        queue.mark(KEY, "deleted")
        await idle(queue)
        queue.mark(KEY, "made again")
        await idle(queue)

    assert run(scenario, answers=[Again(gone=True)]) == [(KEY, ["deleted"]), (KEY, ["made again"])]
