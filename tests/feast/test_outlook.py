"""Which runs of the history the operator counts."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import pytest
from world import World

from factories import a_feature, a_feature_view, a_project
from featureplane.controller.register import Register
from featureplane.materialization import outlook
from featureplane.materialization.history import SUCCEEDED, Run, insert_run
from featureplane.registry.database import begin

NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def world(world: World) -> World:
    world.apply(a_project(), a_feature_view())
    return world


_seconds = itertools.count()


def note(world: World, view: str, project: str = "feast") -> None:
    """A run that began a second after the one before."""
    began = NOON + next(_seconds) * SECOND
    run = Run(view, "hourly", NOON, NOON, began, began + SECOND, SUCCEEDED, rows_read=3)
    with begin(world.engine, world.stores.postgres) as connection:
        insert_run(connection, project, run)


def ended_since(world: World, last: int | None) -> dict[int, Run]:
    with begin(world.engine, world.stores.postgres) as connection:
        return outlook.ended_since(connection, "feast", last)


def test_a_history_without_runs_is_empty(world: World) -> None:
    assert ended_since(world, None) == {}
    assert ended_since(world, 0) == {}


def test_every_run_of_the_project_since_the_last_is_there(world: World) -> None:
    """More of a view than its status shows, too."""
    for _ in range(outlook.MOST_RUNS + 3):
        note(world, "a")
    note(world, "b")
    note(world, "a", project="another")
    found = ended_since(world, 0)
    assert [run.view for run in found.values()] == ["a"] * (outlook.MOST_RUNS + 3) + ["b"]
    assert {run.rows_read for run in found.values()} == {3}


def test_a_long_history_is_read_from_its_end(world: World) -> None:
    for number in range(outlook._LATE + 50):  # noqa: SLF001 - the reading's own bound
        note(world, str(number))
    newest = max(ended_since(world, None))
    assert len(ended_since(world, None)) == len(ended_since(world, newest)) == outlook._LATE  # noqa: SLF001
    note(world, "new")
    assert list(ended_since(world, newest).values())[-1].view == "new"


def test_a_view_waits_for_a_run_that_knew_of_its_last_extension(world: World) -> None:
    def waiting() -> dict[str, outlook.Waiting]:
        with begin(world.engine, world.stores.postgres) as connection:
            return outlook.waiting(connection, "feast")

    def succeed(seen_change: int) -> None:
        now = datetime.now(UTC)
        run = Run("commodity_prices", "initial", NOON, NOON, now, now, SUCCEEDED)
        with begin(world.engine, world.stores.postgres) as connection:
            insert_run(connection, "feast", run, seen_change)

    first = waiting()["commodity_prices"].seq
    succeed(first)
    assert waiting() == {}
    world.apply(a_project(), a_feature_view(features=[a_feature(), a_feature("volume", "Int64")]))
    extended = waiting()["commodity_prices"].seq
    assert extended > first
    succeed(extended - 1)
    assert waiting()["commodity_prices"].seq == extended
    succeed(extended)
    assert waiting() == {}


def test_the_operator_takes_each_run_for_new_once(world: World) -> None:
    """Also where it reads them all again for a status that was not written, and after it was away for a while."""

    async def looks() -> list[list[str]]:
        found = []
        register = Register(world.declarations(a_project(), a_feature_view()).project, world.stores)
        try:
            for views in ([], ["b"], [], ["c"] * (outlook.MOST_RUNS + 2)):
                for view in views:
                    note(world, view)
                register.read_runs_again()
                looked = await register.look(["a"])
                assert "a" in looked.runs
                found.append([run.view for run in looked.ended])
        finally:
            await register.close()
        return found

    note(world, "a")
    assert asyncio.run(looks()) == [[], ["b"], [], ["c"] * (outlook.MOST_RUNS + 2)]
