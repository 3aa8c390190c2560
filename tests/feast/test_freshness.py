"""The newest event time of each view, from the run history or from what Feast has noted."""

from datetime import UTC, datetime, timedelta

import pytest
from test_materialize import NOON, task, write
from world import World

from factories import a_feature_view, a_project
from featureplane.materialization.history import FAILED, SUCCEEDED, Run, insert_run
from featureplane.materialization.run import materializer
from featureplane.registry import event_times
from featureplane.registry.database import begin
from featureplane.serving.catalogue.followed import Followed
from featureplane.serving.catalogue.freshness import Newest

HOUR = timedelta(hours=1)


def note(world: World, hour: int, newest: datetime | None, view: str = "commodity_prices", result=SUCCEEDED) -> None:
    """A run that ended at this hour."""
    ended = NOON + hour * HOUR
    run = Run(view, "hourly", NOON, NOON, ended, ended, result, max_event_time=newest)
    with begin(world.engine, world.stores.postgres) as connection:
        insert_run(connection, "feast", run)


@pytest.fixture
def followed(world: World):
    world.apply(a_feature_view(), a_feature_view("other"))
    followed = Followed(world.stores.postgres, "feast")
    followed.refresh()
    yield followed
    followed.close()


def looked(followed: Followed, view: str = "commodity_prices", **written: float) -> Newest | None:
    followed.refresh(thoroughly=True)
    followed.freshness.look(followed.catalogue.views)
    return followed.freshness.of(followed.catalogue.views[view], written)


def run_of(time: datetime) -> Newest:
    return Newest(time.timestamp(), "run")


def test_nothing_is_known_before_a_run(followed):
    assert looked(followed) is None


def test_the_newest_row_counts_and_not_the_last_run(world, followed):
    note(world, 1, NOON)
    note(world, 2, NOON - 5 * HOUR)
    note(world, 3, None)
    note(world, 4, NOON - HOUR, view="other", result=FAILED)
    assert looked(followed) == run_of(NOON)
    assert looked(followed, "other") == run_of(NOON - HOUR)


def test_later_runs_are_found_and_older_rows_change_nothing(world, followed):
    note(world, 1, NOON)
    assert looked(followed) == run_of(NOON)
    note(world, 2, NOON + HOUR)
    assert looked(followed) == run_of(NOON + HOUR)
    note(world, 3, NOON - HOUR)
    assert looked(followed) == run_of(NOON + HOUR)


def test_a_run_that_shows_after_one_of_a_higher_number_is_found(world, followed):
    """A transaction takes its number before it can be seen."""
    with world.sql() as slow:
        (number,) = slow.execute("SELECT nextval('featureplane.runs_id_seq')").fetchone()
        note(world, 1, NOON)
        assert looked(followed) == run_of(NOON)
        slow.execute(
            "INSERT INTO featureplane.runs (id, project, view, job, started_at, finished_at, max_event_time, result) "
            "VALUES (%s, 'feast', 'commodity_prices', 'slow', now(), now(), %s, 'Succeeded')",
            (number, NOON + HOUR),
        )
    assert looked(followed) == run_of(NOON + HOUR)


def test_the_history_of_a_view_that_comes_back_is_read(world, followed):
    note(world, 1, NOON, view="back")
    for _ in range(2):
        assert looked(followed) is None
    with begin(world.engine, world.stores.postgres) as connection:
        number = event_times.last_run(connection)
        connection.exec_driver_sql(f"ALTER SEQUENCE featureplane.runs_id_seq RESTART WITH {number + 5000}")
    note(world, 2, NOON)
    looked(followed)
    world.apply(a_feature_view(), a_feature_view("other"), a_feature_view("back"))
    assert looked(followed, "back") == run_of(NOON)


def test_what_was_written_through_the_server_counts_where_it_is_newer(world, followed):
    note(world, 1, NOON)
    later = (NOON + HOUR).timestamp()
    assert looked(followed, commodity_prices=later) == Newest(later, "write")
    assert looked(followed, commodity_prices=later - 7200) == run_of(NOON)


def test_a_run_of_ours_is_known_by_its_rows(world):
    write(world.folder / "prices.parquet", {"gold": NOON - 3 * HOUR})
    project = a_project(offlineStore={"type": "file", "dataRoot": {"uri": str(world.folder)}})
    world.apply(project, a_feature_view())
    declarations = world.declarations(project, a_feature_view())
    with materializer(declarations.project, world.stores, world.folder) as engine:
        assert [run.result for run in engine.run([task(end=NOON)])] == ["Succeeded"]
    followed = Followed(world.stores.postgres, "feast")
    assert looked(followed) == run_of(NOON - 3 * HOUR)
    followed.close()


def copied_by_feast(world: World, until: datetime) -> Newest | None:
    """What is known after a window of Feast's own."""
    write(world.folder / "prices.parquet", {"gold": NOON - 3 * HOUR})
    project = a_project(offlineStore={"type": "file", "dataRoot": {"uri": str(world.folder)}})
    folder = world.repo(project, a_feature_view())
    world.registered()
    assert world.feast("apply", folder=folder).returncode == 0
    window = [f"{time:%Y-%m-%dT%H:%M:%S}" for time in (NOON - 5 * HOUR, until)]
    assert world.feast("materialize", *window, folder=folder).returncode == 0
    followed = Followed(world.stores.postgres, "feast")
    newest = looked(followed)
    followed.close()
    return newest


def test_where_only_feast_wrote_the_end_of_its_last_window_is_known(bare_world):
    assert copied_by_feast(bare_world, NOON) == Newest(datetime(2026, 1, 10, 12, tzinfo=UTC).timestamp(), "window")


def test_a_window_that_ends_in_the_future_counts_as_of_when_feast_noted_it(bare_world):
    before = datetime.now(UTC).replace(microsecond=0)
    newest = copied_by_feast(bare_world, before + 1000 * HOUR)
    assert newest.of == "window"
    assert before.timestamp() <= newest.at <= datetime.now(UTC).timestamp()


def test_a_history_that_cannot_be_read_stops_nothing_and_is_said_once(world, followed, caplog):
    note(world, 1, NOON)
    with world.sql() as connection:
        connection.execute("ALTER TABLE featureplane.runs RENAME TO hidden")
    try:
        assert [looked(followed) for _ in range(2)] == [None, None]
        assert len([record for record in caplog.records if "how fresh" in record.message]) == 1
    finally:
        with world.sql() as connection:
            connection.execute("ALTER TABLE featureplane.hidden RENAME TO runs")
    assert looked(followed) == run_of(NOON)
