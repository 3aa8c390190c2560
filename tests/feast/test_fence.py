"""One writer a project: a newer one fences the older, whatever state it is in, and nothing is ever half done."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psutil
import psycopg
import pytest
from world import World

from factories import Object, a_feature_view, a_project
from featureplane.errors import ChildDied, Fenced, StoreUnavailable
from featureplane.registry.writer import Writer
from patience import PATIENCE, SLACK, until

# More than one transaction holds.
MANY = 60


def views(count: int, **changes: Any) -> list[Object]:
    return [a_feature_view(f"v{number}", **changes) for number in range(count)]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as made:
        yield made


@contextmanager
def locked(world: World, table: str) -> Iterator[psycopg.Connection]:
    """Somebody else holds the table: whoever writes to it waits, who reads it does not."""
    with psycopg.connect(**world.stores.postgres.keywords) as connection:
        connection.execute(f"LOCK TABLE {table} IN SHARE MODE")
        yield connection
        connection.rollback()


def waiting(world: World) -> list[tuple[Any, ...]]:
    """Writers of the project that wait for a lock."""
    return world.query(
        "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'featureplane-writer/%%' "
        "AND datname = current_database() AND wait_event_type = 'Lock'"
    )


def test_opening_takes_the_next_epoch(world: World) -> None:
    assert [world.writer().open() for _ in range(3)] == [1, 2, 3]


def test_opening_again_keeps_the_epoch(world: World) -> None:
    writer = world.writer()
    assert [writer.open(), writer.open()] == [1, 1]


def test_a_writer_that_was_taken_over_writes_nothing(world: World) -> None:
    first, second = world.writer(), world.writer()
    first.apply(world.plan(a_feature_view()))
    plan = world.plan(a_feature_view(ttl="1d"), a_feature_view("new"))
    second.open()
    before = world.rows()
    with pytest.raises(Fenced):
        first.apply(plan)
    assert world.rows() == before


def test_a_writer_that_was_taken_over_before_it_loaded_feast_writes_nothing(world: World) -> None:
    first, second = world.writer(), world.writer()
    first.open()
    plan = world.plan(a_feature_view())
    second.open()
    before = world.rows()
    with pytest.raises(Fenced):
        first.apply(plan)
    assert world.rows() == before


@pytest.mark.parametrize("request_of", [Writer.fold, Writer.open], ids=["fold", "open"])
def test_a_writer_that_was_taken_over_never_takes_it_back(world: World, request_of: Callable[[Writer], int]) -> None:
    first, second = world.writer(), world.writer()
    first.open()
    second.open()
    for _ in range(2):
        with pytest.raises(Fenced):
            request_of(first)
    second.apply(world.plan(a_feature_view()))


def test_projects_do_not_fence_each_other(world: World) -> None:
    first = world.writer()
    first.open()
    other = world.writer(world.declarations(a_project(project="other")).project)
    assert other.open() == 1
    first.apply(world.plan(a_feature_view()))


def test_a_writer_whose_process_ended_goes_on(world: World) -> None:
    writer = world.writer()
    writer.apply(world.plan(a_feature_view()))
    os.kill(writer.pid, signal.SIGKILL)
    writer.apply(world.plan(a_feature_view(ttl="1d")))
    assert world.plan(a_feature_view(ttl="1d")).is_empty


def test_a_writer_whose_process_ended_does_not_take_it_back(world: World) -> None:
    first, second = world.writer(), world.writer()
    first.open()
    os.kill(first.pid, signal.SIGKILL)
    assert second.open() == 2
    with pytest.raises(Fenced):
        first.apply(world.plan(a_feature_view()))


def test_the_process_ends_with_its_parents_pipe(world: World) -> None:
    writer = world.writer()
    writer.open()
    pid = writer.pid
    process = psutil.Process(pid)
    writer.close()
    assert psutil.wait_procs([process], timeout=PATIENCE)[1] == []


class TestTakingOverInTheMiddle:
    """The first writer is in a transaction, waiting for a table; then the second comes."""

    @pytest.fixture
    def plan(self, world: World) -> Any:
        world.apply(*views(2))
        return world.plan(*views(3, ttl="1d"))

    def test_a_writer_that_hangs_is_taken_over_within_seconds(
        self, world: World, plan: Any, pool: ThreadPoolExecutor
    ) -> None:
        first, second = world.the_writer, world.writer()
        with locked(world, "featureplane.definitions"):
            applying = pool.submit(first.apply, plan)
            until(lambda: waiting(world))
            start = time.monotonic()
            assert second.open() == 2
            assert time.monotonic() - start < 8 + SLACK
        with pytest.raises((Fenced, StoreUnavailable)):
            applying.result(PATIENCE)

    @pytest.mark.parametrize("statement", ["waits", "is done"])
    def test_a_writer_that_was_stopped_and_continued_writes_nothing(
        self, world: World, plan: Any, pool: ThreadPoolExecutor, statement: str
    ) -> None:
        first, second = world.the_writer, world.writer()
        with locked(world, "feature_views") as lock:
            applying = pool.submit(first.apply, plan)
            until(lambda: waiting(world))
            pid = first.pid
            os.kill(pid, signal.SIGSTOP)
            if statement == "is done":
                lock.rollback()
            second.open()
        second.apply(plan)
        before = world.rows()
        os.kill(pid, signal.SIGCONT)
        with pytest.raises((Fenced, StoreUnavailable)):
            applying.result(PATIENCE)
        assert world.rows() == before
        assert world.plan(*views(3, ttl="1d")).is_empty


def test_a_writer_that_was_stopped_between_transactions_writes_no_more(world: World, pool: ThreadPoolExecutor) -> None:
    first, second = world.writer(), world.writer()
    first.open()
    plan = world.plan(*views(MANY))
    stopped = threading.Event()

    def stop_at_the_first_batch(_done: int, _total: int) -> None:
        if not stopped.is_set():
            os.kill(first.pid, signal.SIGSTOP)
            stopped.set()

    applying: Future[Any] = pool.submit(first.apply, plan, stop_at_the_first_batch)
    assert stopped.wait(PATIENCE)
    pid = first.pid
    second.open()
    before = world.rows()
    os.kill(pid, signal.SIGCONT)
    with pytest.raises((Fenced, StoreUnavailable)):
        applying.result(PATIENCE)
    assert world.rows() == before


class TestKilledInTheMiddle:
    @pytest.mark.parametrize("table", ["data_sources", "feature_views", "featureplane.definitions"])
    def test_the_next_writer_completes_it(self, world: World, table: str, pool: ThreadPoolExecutor) -> None:
        first = world.writer(attempts=1)
        first.apply(world.plan(*views(20)))
        plan = world.plan(*views(MANY, ttl="1d"))
        with locked(world, table):
            applying = pool.submit(first.apply, plan)
            until(lambda: waiting(world))
            os.kill(first.pid, signal.SIGKILL)
            with pytest.raises(ChildDied):
                applying.result(PATIENCE)
        world.assert_nothing_is_half_done()
        world.apply(*views(MANY, ttl="1d"))
        world.assert_nothing_is_half_done()
        assert world.plan(*views(MANY, ttl="1d")).is_empty

    def test_the_same_writer_completes_it_itself(self, world: World) -> None:
        writer = world.writer()
        writer.open()
        killed = threading.Event()

        def kill_at_the_first_batch(_done: int, _total: int) -> None:
            if not killed.is_set():
                killed.set()
                os.kill(writer.pid, signal.SIGKILL)

        writer.apply(world.plan(*views(MANY)), kill_at_the_first_batch)
        assert killed.is_set()
        assert world.plan(*views(MANY)).is_empty
        world.assert_nothing_is_half_done()

    def test_what_was_done_is_not_noted_twice(self, world: World) -> None:
        writer = world.writer()
        writer.open()
        killed = threading.Event()

        def kill_at_the_second_batch(done: int, _total: int) -> None:
            if done > 100 and not killed.is_set():
                killed.set()
                os.kill(writer.pid, signal.SIGKILL)

        writer.apply(world.plan(*views(MANY)), kill_at_the_second_batch)
        assert killed.is_set()
        assert not world.query("SELECT name FROM featureplane.changes GROUP BY kind, name HAVING count(*) > 1")

    def test_a_removal_is_completed(self, world: World) -> None:
        first = world.writer(attempts=1)
        first.apply(world.plan(*views(MANY)))
        plan = world.plan(a_project(), prune=True)
        with pytest.raises(ChildDied):
            first.apply(plan, lambda _done, _total: os.kill(first.pid, signal.SIGKILL))
        world.assert_nothing_is_half_done()
        world.apply(a_project(), prune=True)
        assert world.registered_keys() == {("project", "feast")}
        assert not world.registered().lost
        purged = world.query("SELECT count(*), count(DISTINCT view) FROM featureplane.purges WHERE feature = ''")
        assert purged == [(MANY, MANY)]


def test_a_writer_starts_cold(world: World, cold: None) -> None:
    """As for users: no fork of anything."""
    world.apply(a_feature_view())
    assert world.plan(a_feature_view()).is_empty
