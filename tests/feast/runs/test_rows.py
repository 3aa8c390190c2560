"""Which rows of a run are written, and what is told of the others."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from runs_of_tests import HOUR, NOON, a_run, note, prices, task, write
from world import PROJECT, World

from factories import Object, a_feature, a_feature_view, a_source
from featureplane.materialization import history
from featureplane.materialization.history import FAILED, SUCCEEDED
from featureplane.materialization.run import Materializer
from featureplane.materialization.windows import Task
from featureplane.registry import feast_rows
from featureplane.registry.database import begin


class TestNewest:
    def test_a_correction_with_the_same_event_time_arrives(
        self, world: World, engine: Materializer, lake: Path
    ) -> None:
        engine.run([task()])
        write(lake, [9.0, 2.0, 3.0])
        (run,) = engine.run([task()])
        assert (prices(world), run.rows_written, run.rows_skipped) == ([9.0, 2.0, 3.0], 3, 0)

    def test_an_older_row_is_skipped_and_counted(self, world: World, engine: Materializer, lake: Path) -> None:
        engine.run([task()])
        write(lake, [7.0, 8.0, 9.0], NOON - 2 * HOUR)
        (run,) = engine.run([task()])
        assert (prices(world), run.rows_written, run.rows_skipped) == ([1.0, 2.0, 3.0], 0, 3)

    def test_a_backfill_overwrites_what_is_newer(self, world: World, engine: Materializer, lake: Path) -> None:
        engine.run([task()])
        write(lake, [7.0, 8.0, 9.0], NOON - 2 * HOUR)
        engine.run([task()], overwrite=True)
        assert prices(world) == [7.0, 8.0, 9.0]

    def test_a_new_feature_arrives_with_old_event_times(
        self, world: World, engine: Materializer, lake: Path, project: Object
    ) -> None:
        engine.run([task()])
        write(lake, [1.0, 2.0, 3.0], volume=[10, 20, 30])
        world.apply(project, a_feature_view(features=[a_feature(), a_feature("volume", "Int64")]))
        engine.run([task()])
        assert {len(world.redis.hgetall(key)) for key in world.redis.scan_iter()} == {3}

    def test_a_view_that_takes_pushes_is_written_by_a_script(
        self, world: World, project: Object, engine: Materializer
    ) -> None:
        world.apply(project, a_feature_view(push={"enabled": True}))
        before = world.redis.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)
        (run,) = engine.run([task()])
        assert (prices(world), run.rows_written) == ([1.0, 2.0, 3.0], 3)
        assert world.redis.info("commandstats")["cmdstat_evalsha"]["calls"] > before


class TestBesideFeast:
    @pytest.fixture
    def sdk(self, world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
        for name, value in world.stores.environment().items():
            monkeypatch.setenv(name, value)
        return world.sdk(online=True)

    def write_with(self, sdk: Any, price: float, when: datetime) -> None:
        rows = pd.DataFrame({"commodity": ["c1"], "price": [price], "event_timestamp": [when]})
        sdk.write_to_online_store("commodity_prices", rows)

    def test_what_feast_wrote_later_stays(self, world: World, engine: Materializer, sdk: Any) -> None:
        self.write_with(sdk, 77.0, NOON - HOUR / 2)
        (run,) = engine.run([task()])
        assert (prices(world), run.rows_written, run.rows_skipped) == ([1.0, 77.0, 3.0], 2, 1)

    def test_what_feast_wrote_before_gives_way(self, world: World, engine: Materializer, sdk: Any) -> None:
        self.write_with(sdk, 77.0, NOON - 2 * HOUR)
        engine.run([task()])
        assert prices(world) == [1.0, 2.0, 3.0]

    def test_feast_does_not_put_an_older_row_over_ours(self, world: World, engine: Materializer, sdk: Any) -> None:
        engine.run([task()])
        self.write_with(sdk, 77.0, NOON - 2 * HOUR)
        assert prices(world) == [1.0, 2.0, 3.0]


class TestChecks:
    @pytest.fixture
    def checked(self, world: World, project: Object) -> World:
        feature = a_feature(checks={"minimum": 0, "maxNullFraction": 0.5})
        world.apply(project, a_feature_view(features=[feature]))
        return world

    def test_all_kinds_of_checks_are_asked(
        self, world: World, project: Object, engine: Materializer, lake: Path
    ) -> None:
        checks = [{"notNull": True}, {"in": [2.0]}, {"maximum": 2}]
        for number, check in enumerate(checks):
            world.apply(project, a_feature_view(features=[a_feature(checks=check)]))
            write(lake, [None, 2.0, 3.0], NOON - HOUR / (number + 1))
            (run,) = engine.run([task()])
            assert run.rows_rejected == 1, check

    def test_a_row_that_fails_is_left_out_and_the_history_says_so(
        self, checked: World, engine: Materializer, lake: Path
    ) -> None:
        write(lake, [1.0, -2.0, 3.0])
        (run,) = engine.run([task()])
        assert prices(checked) == [1.0, 3.0]
        assert (run.result, run.rows_read, run.rows_written, run.rows_rejected) == (SUCCEEDED, 3, 2, 1)
        assert run.message == "1 rows were rejected: price is below the minimum 0 in 1, such as -2.0"
        assert checked.query("SELECT rows_read, rows_written, rows_rejected FROM featureplane.runs") == [(3, 2, 1)]

    def test_a_view_over_its_limit_keeps_its_last_good_values(
        self, checked: World, engine: Materializer, lake: Path
    ) -> None:
        engine.run([task()])
        write(lake, [None, None, 9.0], NOON - HOUR / 2)
        (run,) = engine.run([task()])
        assert prices(checked) == [1.0, 2.0, 3.0]
        assert run.result == FAILED
        assert "price has no value in 2 of 3 rows (66.7%), and maxNullFraction allows 50.0%" in run.message

    def test_a_view_whose_rows_all_fail_did_not_succeed(self, checked: World, engine: Materializer, lake: Path) -> None:
        write(lake, [-1.0, -2.0])
        (run,) = engine.run([task()])
        assert (run.result, prices(checked)) == (FAILED, [])
        assert run.message.startswith("nothing was written: all of its 2 rows were rejected")


class TestCounts:
    def test_late_and_future_rows_are_told_of(
        self, world: World, engine: Materializer, project: Object, lake: Path
    ) -> None:
        source = a_source(createdTimestampColumn="created")
        world.apply(project, a_feature_view(source=source))
        rows = {
            "event_timestamp": [NOON - 9 * HOUR, NOON - 8 * HOUR, NOON - HOUR, NOON + HOUR],
            "created": [NOON - 9 * HOUR, NOON - HOUR / 2, NOON - HOUR, NOON],
            "commodity": ["c0", "c1", "c2", "c3"],
            "price": [1.0, 2.0, 3.0, 4.0],
        }
        pd.DataFrame(rows).to_parquet(lake / "prices.parquet")
        (run,) = engine.run([Task("commodity_prices", NOON - 2 * HOUR, NOON, "hourly", since=NOON - HOUR)])
        assert (run.rows_written, run.rows_late) == (1, 1)
        assert run.message == (
            "1 rows came later than the window reaches back; run with a longer --window to copy them; "
            "1 rows lie in the future and wait for their time"
        )


class TestExpiry:
    def test_a_ttl_that_goes_takes_the_expiry_of_its_rows_with_it(
        self, world: World, engine: Materializer, project: Object, lake: Path
    ) -> None:
        now = datetime.now(UTC)
        write(lake, [1.0], now - HOUR)
        world.apply(project, a_feature_view(ttl="1d"))
        engine.run([task(end=now)])
        (key,) = world.redis.scan_iter()
        expires = world.redis.pttl(key) > 0
        fields_expire = world.redis.info("server")["redis_version"] >= "7.4"
        assert expires is not fields_expire
        world.apply(project, a_feature_view())
        engine.run([task(end=now)])
        assert world.redis.pttl(key) == -1


class TestKeys:
    def test_a_row_without_a_whole_number_for_its_key_is_no_other_entitys(
        self, world: World, project: Object, lake: Path, engine: Materializer
    ) -> None:
        """pandas makes doubles of whole numbers where some are missing."""
        entity = {"name": "shop", "joinKey": "shop_id", "type": "Int64"}
        source = a_source(file={"path": "shops.parquet"})
        world.apply(project, a_feature_view("shops", entities=[entity], source=source))
        rows = {
            "event_timestamp": [NOON - HOUR, NOON - HOUR / 2, NOON - HOUR / 2],
            "shop_id": [0.0, float("nan"), 1.5],
            "price": [42.0, -1.0, -2.0],
        }
        pd.DataFrame(rows).to_parquet(lake / "shops.parquet")
        (run,) = engine.run([task("shops")])
        assert (run.result, run.rows_written, run.rows_rejected) == (SUCCEEDED, 1, 1)
        (key,) = world.redis.scan_iter()
        assert b"\x00" * 8 in key


class TestExtendedView:
    def test_a_run_that_began_before_does_not_cover_what_was_added(
        self, world: World, engine: Materializer, project: Object, lake: Path
    ) -> None:
        """Whatever the clocks say: its window and its features are those of before."""
        now = datetime.now(UTC)
        write(lake, [1.0], now - 30 * HOUR, volume=[10])
        engine.run([task(end=now)])
        with begin(world.engine, world.stores.postgres) as connection:
            seen = feast_rows.last_change(connection, PROJECT)
        world.apply(project, a_feature_view(features=[a_feature(), a_feature("volume", "Int64")]))
        hourly = Task("commodity_prices", now - 2 * HOUR, now, "hourly")
        (run,) = engine.run([hourly], seen_change=seen)
        assert run.result == SUCCEEDED
        assert watermarks(world) == {}
        engine.run([task(end=now)])
        assert watermarks(world) == {"commodity_prices": now}

    def test_of_a_run_that_says_nothing_of_what_it_knew_the_times_decide(self, world: World) -> None:
        """As a release before wrote it."""
        now = datetime.now(UTC)
        note(world, a_run("commodity_prices", now - HOUR))
        assert watermarks(world) == {}
        note(world, a_run("commodity_prices", now + HOUR, seconds=1))
        assert watermarks(world) == {"commodity_prices": now + HOUR}


def watermarks(world: World) -> dict[str, datetime]:
    with begin(world.engine, world.stores.postgres) as connection:
        return history.last_successes(connection, PROJECT)


class TestRaisedTtl:
    def test_rows_are_copied_once_more_and_live_as_long(
        self, world: World, engine: Materializer, project: Object, lake: Path
    ) -> None:
        now = datetime.now(UTC)
        write(lake, [1.0], now - 30 * HOUR)
        world.apply(project, a_feature_view(ttl="2d"))
        engine.run([task(end=now)])
        assert watermarks(world) == {"commodity_prices": now}
        world.apply(project, a_feature_view(ttl="1d"))
        assert watermarks(world) == {"commodity_prices": now}
        world.apply(project, a_feature_view(ttl="10d"))
        assert watermarks(world) == {}
        engine.run([task(end=now)])
        (key,) = world.redis.scan_iter()
        if world.redis.pttl(key) > 0:  # a server whose fields do not expire
            assert world.redis.pttl(key) > timedelta(days=8).total_seconds() * 1000


def test_a_first_run_that_finds_nothing_says_where_it_looked(engine: Materializer, lake: Path) -> None:
    write(lake, [1.0], NOON - 50 * HOUR)
    (run,) = engine.run([Task("commodity_prices", NOON - 2 * HOUR, NOON, "initial")])
    assert (run.result, run.rows_read) == (SUCCEEDED, 0)
    assert run.message == "the source has no rows from 2026-01-10 10:00Z to 2026-01-10 12:00Z"
