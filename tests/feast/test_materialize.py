"""Rows from a source to Redis, their history, and what Feast makes of both."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from world import World

from factories import Object, a_feature, a_feature_view, a_project, a_source, an_entity
from featureplane.errors import StoreUnavailable
from featureplane.materialization import lock
from featureplane.materialization.history import FAILED, MANUAL, SUCCEEDED, last_successes
from featureplane.materialization.run import Materializer, materializer
from featureplane.materialization.windows import BEGINNING, Task, scheduled
from featureplane.registry import channel
from featureplane.registry.database import begin
from patience import PATIENCE

NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
FEATURES = {"price": "Float64", "volume": "Int64", "name": "String", "listed": "Bool", "history": "Array(Float32)"}


def write(file: Path, rows: dict[str, datetime], price: float = 1.5) -> None:
    """A row for each commodity, at its time."""
    pd.DataFrame(
        {
            "event_timestamp": list(rows.values()),
            "commodity": list(rows),
            "price": [price] * len(rows),
            "volume": [7] * len(rows),
            "name": [f"the {name} of é" for name in rows],
            "listed": [True] * len(rows),
            "history": [[0.5, 1.0]] * len(rows),
        }
    ).to_parquet(file)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    write(tmp_path / "prices.parquet", {"gold": NOON - 3 * HOUR, "silver": NOON - 2 * HOUR})
    return tmp_path


@pytest.fixture
def objects(lake: Path) -> list[Object]:
    features = [a_feature(name, kind) for name, kind in FEATURES.items()]
    return [
        a_project(offlineStore={"type": "file", "dataRoot": {"uri": str(lake)}}),
        a_feature_view(features=features),
        a_feature_view("missing", entities=[an_entity()], source=a_source(file={"path": "nothing.parquet"})),
    ]


@pytest.fixture
def world(world: World, objects: list[Object], monkeypatch: pytest.MonkeyPatch) -> World:
    for name, value in world.stores.environment().items():
        monkeypatch.setenv(name, value)
    world.apply(*objects)
    return world


@pytest.fixture
def engine(world: World, objects: list[Object], lake: Path) -> Iterator[Materializer]:
    with materializer(world.declarations(*objects).project, world.stores, lake) as made:
        yield made


def task(view: str = "commodity_prices", start: datetime = BEGINNING, end: datetime = NOON) -> Task:
    return Task(view, start, end, "hourly")


def online(world: World, *names: str) -> dict[str, list[Any]]:
    """What Feast's own SDK reads."""
    references = [f"commodity_prices:{feature}" for feature in FEATURES]
    rows = [{"commodity": name} for name in names]
    return world.sdk(online=True).get_online_features(references, rows).to_dict()


def history(world: World) -> list[tuple[Any, ...]]:
    return world.query("SELECT view, job, result, rows_written, max_event_time FROM featureplane.runs ORDER BY id")


def watermarks(world: World) -> dict[str, datetime]:
    with begin(world.engine, world.stores.postgres) as connection:
        return last_successes(connection, "feast")


def intervals(world: World) -> list[tuple[datetime, datetime]]:
    return world.sdk().get_feature_view("commodity_prices").materialization_intervals


def test_feast_reads_the_rows_that_a_run_wrote(world: World, engine: Materializer) -> None:
    engine.run([task()])
    assert online(world, "silver", "gold") == {
        "commodity": ["silver", "gold"],
        "price": [1.5, 1.5],
        "volume": [7, 7],
        "name": ["the silver of é", "the gold of é"],
        "listed": [True, True],
        "history": [[0.5, 1.0], [0.5, 1.0]],
    }


def test_a_run_is_in_the_history_with_its_rows_and_newest_event(world: World, engine: Materializer) -> None:
    (run,) = engine.run([task()])
    assert (run.result, run.rows_written, run.max_event_time) == (SUCCEEDED, 2, NOON - 2 * HOUR)
    assert history(world) == [("commodity_prices", "hourly", SUCCEEDED, 2, NOON - 2 * HOUR)]


def test_a_window_without_rows_succeeds_with_none(world: World, engine: Materializer) -> None:
    (run,) = engine.run([task(start=NOON - HOUR)])
    assert (run.result, run.rows_written, run.max_event_time) == (SUCCEEDED, 0, None)


def test_a_view_that_fails_stops_no_other(world: World, engine: Materializer) -> None:
    runs = engine.run([task("missing"), task(), task("unregistered")])
    assert [run.result for run in runs] == [FAILED, SUCCEEDED, FAILED]
    assert "nothing.parquet" in runs[0].message
    assert "unregistered" in runs[2].message
    assert [(view, result) for view, _, result, *_ in history(world)] == [
        ("missing", FAILED),
        ("commodity_prices", SUCCEEDED),
        ("unregistered", FAILED),
    ]


def test_a_failed_run_moves_no_watermark(world: World, engine: Materializer) -> None:
    engine.run([task("missing"), task()])
    assert watermarks(world) == {"commodity_prices": NOON}


def test_a_window_chosen_by_hand_moves_no_watermark(world: World, engine: Materializer) -> None:
    engine.run([replace(task(), job=MANUAL)])
    assert watermarks(world) == {}


def test_a_view_that_comes_back_has_no_watermark(world: World, engine: Materializer, objects: list[Object]) -> None:
    engine.run([task()])
    assert watermarks(world) == {"commodity_prices": NOON}
    rest = [item for item in objects if item["metadata"]["name"] != "commodity-prices"]
    world.apply(*rest, prune=True)
    world.apply(*objects)
    assert watermarks(world) == {}


def test_a_view_that_changes_keeps_its_watermark(world: World, engine: Materializer, objects: list[Object]) -> None:
    engine.run([task()])
    features = [a_feature(name, kind) for name, kind in FEATURES.items()]
    world.apply(objects[0], a_feature_view(features=features, ttl="1d"), objects[2])
    assert watermarks(world) == {"commodity_prices": NOON}


def test_a_later_run_catches_up(world: World, engine: Materializer, lake: Path) -> None:
    engine.run([task(end=NOON - 150 * timedelta(minutes=1))])
    assert online(world, "gold", "silver")["price"] == [1.5, None]
    write(lake / "prices.parquet", {"gold": NOON + HOUR, "silver": NOON - 2 * HOUR}, price=9.0)
    now = NOON + 5 * HOUR
    start, end = scheduled(now, HOUR, watermarks(world)["commodity_prices"])
    (run,) = engine.run([task(start=start, end=end)])
    assert run.rows_written == 2
    assert online(world, "gold", "silver")["price"] == [9.0, 9.0]


def test_a_change_of_the_view_is_seen_by_the_next_run(
    world: World, engine: Materializer, objects: list[Object], lake: Path
) -> None:
    engine.run([task()])
    write(lake / "other.parquet", {"tin": NOON - HOUR}, price=3.0)
    features = [a_feature(name, kind) for name, kind in FEATURES.items()]
    world.apply(
        objects[0], a_feature_view(features=features, source=a_source(file={"path": "other.parquet"})), objects[2]
    )
    engine.run([task()])
    assert online(world, "tin")["price"] == [3.0]


@pytest.fixture
def by_feast(world: World, objects: list[Object], lake: Path) -> Iterator[Materializer]:
    """A project that chose Feast's own engine."""
    project = {**objects[0], "spec": {**objects[0]["spec"], "batchEngine": {"type": "local"}}}
    with materializer(world.declarations(project, *objects[1:]).project, world.stores, lake) as made:
        yield made


def test_a_project_with_another_engine_goes_through_feast(world: World, by_feast: Materializer) -> None:
    (run,) = by_feast.run([task()])
    assert (run.result, run.rows_written, run.rows_read, run.max_event_time) == (SUCCEEDED, 2, None, NOON - 2 * HOUR)
    assert online(world, "gold")["price"] == [1.5]


def test_a_run_goes_on_after_its_process_was_killed(by_feast: Materializer) -> None:
    by_feast.run([task()])
    pid = by_feast._feast._child.pid  # noqa: SLF001 - nobody else wants to know
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=PATIENCE)
    (run,) = by_feast.run([task()])
    assert run.result == SUCCEEDED


def test_feasts_process_ends_when_its_lock_is_lost(by_feast: Materializer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run may have begun on the view."""
    by_feast.run([task()])
    child = by_feast._feast._child  # noqa: SLF001 - nobody else wants to know

    def lost(_: lock.Held) -> None:
        raise StoreUnavailable("the lock is gone")

    with monkeypatch.context() as patch:
        patch.setattr(channel, "_WAIT_SECONDS", 0.01)
        patch.setattr(lock.Held, "check", lost)
        (run,) = by_feast.run([task()])
    assert (run.result, run.message, child.is_running) == (FAILED, "the lock is gone", False)
    (run,) = by_feast.run([task()])
    assert run.result == SUCCEEDED


class TestFeastsCommands:
    """`feast materialize` and the SDK use our engine by its class path."""

    def test_the_sdk_copies_with_it(self, world: World) -> None:
        sdk = world.sdk(online=True)
        sdk.materialize(NOON - 4 * HOUR, NOON, ["commodity_prices"])
        assert online(world, "gold", "silver")["price"] == [1.5, 1.5]
        (copied,) = sdk._get_provider().batch_engine.copied  # noqa: SLF001 - Feast's jobs have no place for counts
        assert (copied.read, copied.written, copied.newest) == (2, 2, NOON - 2 * HOUR)

    def test_a_source_that_has_no_reader_of_ours_is_read_by_feast(
        self, world: World, lake: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("featureplane.plugins.views.convert", lambda *_: None)
        write(lake / "prices.parquet", {"gold": NOON - 3 * HOUR, "silver": NOON - 90 * HOUR, "tin": NOON + HOUR})
        sdk = world.sdk(online=True)
        sdk.materialize(NOON - 100 * HOUR, NOON, ["commodity_prices"])
        assert online(world, "gold", "silver", "tin")["price"] == [1.5, 1.5, None]
        (copied,) = sdk._get_provider().batch_engine.copied  # noqa: SLF001
        assert (copied.read, copied.written) == (2, 2)


class TestFold:
    def test_feast_learns_the_window(self, world: World, engine: Materializer) -> None:
        engine.run([task(start=NOON - 4 * HOUR)])
        assert world.the_writer.fold() == 1
        assert intervals(world) == [(NOON - 4 * HOUR, NOON)]

    def test_folding_again_changes_nothing(self, world: World, engine: Materializer) -> None:
        engine.run([task()])
        world.the_writer.fold()
        before = world.rows()
        assert world.the_writer.fold() == 0
        assert world.rows() == before

    def test_windows_that_overlap_are_one(self, world: World, engine: Materializer) -> None:
        for hours in range(3):
            engine.run([task(start=NOON + (hours - 2) * HOUR, end=NOON + hours * HOUR)])
            world.the_writer.fold()
        assert intervals(world) == [(NOON - 2 * HOUR, NOON + 2 * HOUR)]

    def test_a_window_of_the_past_does_not_hide_the_newest(self, world: World, engine: Materializer) -> None:
        engine.run([task(start=NOON - HOUR)])
        world.the_writer.fold()
        engine.run([task(start=NOON - 9 * HOUR, end=NOON - 8 * HOUR)])
        world.the_writer.fold()
        assert intervals(world) == [(NOON - 9 * HOUR, NOON - 8 * HOUR), (NOON - HOUR, NOON)]

    def test_a_failed_run_is_not_folded(self, world: World, engine: Materializer) -> None:
        engine.run([task("missing")])
        assert world.the_writer.fold() == 0
        assert world.sdk().get_feature_view("missing").materialization_intervals == []

    def test_a_view_that_is_gone_is_passed_over(
        self, world: World, engine: Materializer, objects: list[Object]
    ) -> None:
        engine.run([task()])
        world.apply(objects[0], prune=True)
        assert world.the_writer.fold() == 1
        assert world.the_writer.fold() == 0

    def test_the_definition_stays_as_it_was(self, world: World, engine: Materializer, objects: list[Object]) -> None:
        engine.run([task()])
        world.the_writer.fold()
        plan = world.plan(*objects)
        assert (plan.changes, plan.adopted) == ((), ())

    def test_feast_apply_keeps_the_windows(self, world: World, engine: Materializer, objects: list[Object]) -> None:
        """Feast's plan takes a view that was ever materialized for changed; its apply then changes nothing of ours."""
        engine.run([task()])
        world.the_writer.fold()
        assert world.feast("apply", folder=world.repo(*objects)).returncode == 0
        assert intervals(world) == [(BEGINNING, NOON)]
        assert world.plan(*objects).is_empty

    def test_feasts_materialize_incremental_goes_on_from_there(
        self, world: World, engine: Materializer, objects: list[Object], lake: Path
    ) -> None:
        engine.run([task()])
        world.the_writer.fold()
        write(lake / "prices.parquet", {"gold": NOON + HOUR}, price=4.0)
        folder = world.repo(*objects)
        end = (NOON + 2 * HOUR).strftime("%Y-%m-%dT%H:%M:%S")
        done = world.feast("materialize-incremental", end, "-v", "commodity_prices", folder=folder)
        assert done.returncode == 0, done.stdout
        assert str(NOON.date()) in done.stdout
        assert online(world, "gold")["price"] == [4.0]
        assert intervals(world)[-1][0] == NOON
