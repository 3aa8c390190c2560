"""What a run promises beyond its rows: one at a time, nothing twice, nothing lost, and a history that says so."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from world import PROJECT, World

from factories import Object, a_feature, a_feature_view, a_project, a_source
from featureplane.materialization import history, lock
from featureplane.materialization.history import FAILED, MANUAL, SUCCEEDED, Run, insert_run, prune, succeeded_in
from featureplane.materialization.run import Materializer, Progress, materializer
from featureplane.materialization.shards import views_of_shard
from featureplane.materialization.windows import BEGINNING, Task
from featureplane.registry.database import begin
from featureplane.settings import child_environment

NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def write(lake: Path, prices: list[float | None], when: datetime = NOON - HOUR, **more: list[Any]) -> None:
    """A row for each price, of the commodities c0, c1, ..."""
    names = [f"c{number}" for number in range(len(prices))]
    rows = {"event_timestamp": [when] * len(prices), "commodity": names, "price": prices, **more}
    pd.DataFrame(rows).to_parquet(lake / "new.parquet")
    (lake / "new.parquet").replace(lake / "prices.parquet")


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    write(tmp_path, [1.0, 2.0, 3.0])
    return tmp_path


@pytest.fixture
def project(lake: Path) -> Object:
    return a_project(offlineStore={"type": "file", "dataRoot": {"uri": str(lake)}})


@pytest.fixture
def world(world: World, project: Object) -> World:
    world.apply(project, a_feature_view())
    return world


@pytest.fixture
def engine(world: World, project: Object, lake: Path) -> Iterator[Materializer]:
    with materializer(world.declarations(project, a_feature_view()).project, world.stores, lake) as made:
        yield made


def task(view: str = "commodity_prices", end: datetime = NOON, job: str = "hourly", **more: Any) -> Task:
    return Task(view, BEGINNING, end, job, **more)


def prices(world: World) -> list[float | None]:
    """What is stored of each commodity, as the field's bytes say."""
    import struct

    from featureplane.materialization.redis_layout import field

    found = {}
    for key in world.redis.scan_iter():
        value = world.redis.hget(key, field("commodity_prices", "price"))
        found[key[-len(PROJECT) - 2 : -len(PROJECT)]] = struct.unpack("<d", value[1:])[0] if value else None
    return [found[name] for name in sorted(found)]


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
    def test_late_and_future_rows_are_told_of(self, world: World, engine: Materializer, lake: Path) -> None:
        source = a_source(createdTimestampColumn="created")
        world.apply(world_project(lake), a_feature_view(source=source))
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


def world_project(lake: Path) -> Object:
    return a_project(offlineStore={"type": "file", "dataRoot": {"uri": str(lake)}})


class TestOneAtATime:
    def test_a_view_that_another_run_copies_comes_last(
        self, world: World, engine: Materializer, project: Object
    ) -> None:
        world.apply(project, a_feature_view(), a_feature_view("other"))
        released = threading.Event()

        def copy_slowly() -> None:
            with lock.hold(world.engine, world.stores.postgres, PROJECT, "commodity_prices"):
                taken.set()
                released.wait(30)

        taken = threading.Event()
        thread = threading.Thread(target=copy_slowly)
        thread.start()
        taken.wait(30)
        ended: list[str] = []

        def note(run: Run) -> None:
            ended.append(run.view)
            released.set()

        runs = engine.run([task(), task("other")], Progress(note))
        thread.join()
        assert ended == ["other", "commodity_prices"]
        assert {run.result for run in runs} == {SUCCEEDED}

    def test_a_view_that_stays_busy_is_left_to_the_other_run(
        self, world: World, engine: Materializer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("featureplane.materialization.run._WAIT_FOR_OTHERS", 0.5)
        said: list[str] = []
        with lock.hold(world.engine, world.stores.postgres, PROJECT, "commodity_prices"):
            assert engine.run([task()], Progress(on_busy=said.append)) == []
        assert "another run copies commodity_prices" in said[0]
        assert (prices(world), world.query("SELECT 1 FROM featureplane.runs")) == ([], [])

    def test_whatever_a_library_raises_about_one_view_is_its_failure(
        self, engine: Materializer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: Any) -> Any:
            raise MemoryError("a column is too large\nand more")

        monkeypatch.setattr("featureplane.materialization.run.copy", broken)
        (run,) = engine.run([task()])
        assert (run.result, run.message) == (FAILED, "MemoryError: a column is too large")

    def test_hourly_and_daily_at_once_copy_one_after_the_other(
        self, world: World, project: Object, lake: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(lake, [float(number) for number in range(20_000)])
        declarations = world.declarations(project, a_feature_view())
        under_way, most = 0, 0
        count = threading.Lock()
        from featureplane.materialization import run as running

        copy = running.copy

        def counted(*arguments: Any) -> Any:
            nonlocal under_way, most
            with count:
                under_way += 1
                most = max(most, under_way)
            try:
                return copy(*arguments)
            finally:
                with count:
                    under_way -= 1

        monkeypatch.setattr(running, "copy", counted)
        runs: list[Run] = []

        def run(job: str) -> None:
            with materializer(declarations.project, world.stores, lake) as engine:
                runs.extend(engine.run([task(job=job)]))

        threads = [threading.Thread(target=run, args=(job,)) for job in ("hourly", "daily", "weekly")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted((run.job, run.result) for run in runs) == [
            ("daily", SUCCEEDED), ("hourly", SUCCEEDED), ("weekly", SUCCEEDED),
        ]  # fmt: skip
        assert most == 1
        assert world.redis.dbsize() == 20_000

    def test_two_projects_do_not_wait_for_each_other(self, world: World) -> None:
        with (
            lock.hold(world.engine, world.stores.postgres, "a", "v"),
            lock.hold(world.engine, world.stores.postgres, "b", "v"),
        ):
            pass

    def test_a_run_that_lost_its_lock_ends(
        self, world: World, engine: Materializer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As when PostgreSQL restarts in the middle: another run may have begun."""
        monkeypatch.setattr(lock, "_ASK_EVERY", 0.0)
        check = lock.Held.check

        def lose(held: lock.Held) -> None:
            world.query(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
            )
            check(held)

        monkeypatch.setattr(lock.Held, "check", lose)
        (run,) = engine.run([task()])
        assert run.result == FAILED
        assert "does not answer" in run.message
        assert [row[0] for row in world.query("SELECT result FROM featureplane.runs")] == [FAILED]


def note(world: World, *runs: Run) -> None:
    with begin(world.engine, world.stores.postgres) as connection:
        for run in runs:
            insert_run(connection, PROJECT, run)


def a_run(view: str, ended: datetime, result: Any = SUCCEEDED, job: str = "job-1", seconds: float = 60) -> Run:
    return Run(view, job, ended - HOUR, ended, ended - timedelta(seconds=seconds), ended, result)


class TestInterruption:
    def stop(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        def interrupted(*_: Any) -> Any:
            raise SystemExit(143)

        monkeypatch.setattr(f"featureplane.materialization.run.{name}", interrupted)

    def test_a_view_that_was_under_way_is_noted(
        self, world: World, engine: Materializer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.stop(monkeypatch, "copy")
        with pytest.raises(SystemExit):
            engine.run([task()])
        assert world.query("SELECT result, message FROM featureplane.runs") == [(FAILED, "interrupted")]

    def test_so_is_each_of_a_group(
        self, world: World, engine: Materializer, project: Object, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.apply(project, a_feature_view(), a_feature_view("other"))
        self.stop(monkeypatch, "copy_together")
        with pytest.raises(SystemExit):
            engine.run([task(), task("other")])
        assert world.query("SELECT view, message FROM featureplane.runs ORDER BY view") == [
            ("commodity_prices", "interrupted"), ("other", "interrupted"),
        ]  # fmt: skip


class TestAnEmptiedOrSilentRedis:
    def test_a_copy_begins_anew_when_the_server_lost_what_it_confirmed(
        self, world: World, engine: Materializer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from featureplane.errors import ServerReplaced
        from featureplane.materialization.writing.writer import Writer

        flush = Writer.flush
        failures = iter([ServerReplaced("another"), ServerReplaced("another")])

        def fail(writer: Writer) -> None:
            flush(writer)
            for failure in failures:
                world.redis.flushdb()
                raise failure

        monkeypatch.setattr(Writer, "flush", fail)
        (run,) = engine.run([task()])
        assert (run.result, run.rows_written, prices(world)) == (SUCCEEDED, 3, [1.0, 2.0, 3.0])

    def test_views_after_the_first_do_not_wait_as_long(
        self, world: World, project: Object, lake: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("featureplane.materialization.run._AFTER_AN_OUTAGE", 0.1)
        other = a_feature_view("other", push={"enabled": True})
        world.apply(project, a_feature_view(), other)
        nobody = replace(world.stores, redis=replace(world.stores.redis, port=1))
        waited: list[float] = []
        from featureplane.materialization import run as running

        def impatient(view: Any, source: Any, online: Any, options: Any, watch: Any) -> Any:
            waited.append(options.patience)
            return copy(view, source, online, replace(options, patience=min(options.patience, 0.3)), watch)

        copy = running.copy
        monkeypatch.setattr(running, "copy", impatient)
        with materializer(world.declarations(project, a_feature_view()).project, nobody, lake) as made:
            runs = made.run([task(), task("other")])
        assert [run.result for run in runs] == [FAILED, FAILED]
        assert waited == [60.0, 0.1]


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


class TestHistory:
    def test_a_run_is_noted_once_however_often_it_is_told(self, world: World) -> None:
        run = a_run("a", datetime.now(UTC))
        note(world, run, run)
        note(world, replace(run, message="a \0 and \ud800"))
        assert world.query("SELECT count(*) FROM featureplane.runs") == [(1,)]

    def test_old_runs_go_but_for_the_watermarks_and_what_feast_was_not_told(self, world: World) -> None:
        long_ago = datetime.now(UTC) - history.KEPT - timedelta(days=9)
        day = timedelta(days=1)
        note(
            world,
            a_run("a", long_ago), a_run("a", long_ago + day), a_run("a", long_ago + 2 * day, FAILED),
            a_run("a", long_ago + 3 * day, job=MANUAL), a_run("b", long_ago), a_run("b", datetime.now(UTC)),
            a_run("c", long_ago), a_run("c", long_ago + day),
        )  # fmt: skip
        world.query("UPDATE featureplane.runs SET folded = true WHERE view <> 'c' RETURNING 1")
        with begin(world.engine, world.stores.postgres) as connection:
            prune(connection, PROJECT)
        kept = world.query("SELECT view, finished_at FROM featureplane.runs ORDER BY id")
        assert [(view, ended > long_ago + HOUR) for view, ended in kept] == [
            ("a", True), ("b", True), ("c", False), ("c", True),
        ]  # fmt: skip

    def test_another_project_is_left_alone(self, world: World) -> None:
        long_ago = datetime.now(UTC) - 2 * history.KEPT
        note(world, a_run("a", long_ago, FAILED))
        with begin(world.engine, world.stores.postgres) as connection:
            prune(connection, "another")
        assert len(world.query("SELECT 1 FROM featureplane.runs")) == 1

    def test_a_job_that_is_tried_again_has_left_what_it_did_not_copy(self, world: World) -> None:
        now = datetime.now(UTC)
        note(world, a_run("a", now), a_run("b", now, FAILED), a_run("c", now, job="job-2"))
        with begin(world.engine, world.stores.postgres) as connection:
            assert succeeded_in(connection, PROJECT, "job-1") == {"a"}


class TestShares:
    def shares(self, world: World, job: str, views: list[str], of: int = 2) -> list[set[str]]:
        with begin(world.engine, world.stores.postgres) as connection:
            return [set(views_of_shard(connection, PROJECT, job, views, share, of)) for share in range(of)]

    def test_views_are_spread_by_how_long_their_last_run_took(self, world: World) -> None:
        now = datetime.now(UTC)
        note(world, a_run("long", now, seconds=100), *(a_run(f"s{n}", now, seconds=30) for n in range(3)))
        assert self.shares(world, "job", ["long", "s0", "s1", "s2"]) == [{"long"}, {"s0", "s1", "s2"}]

    def test_all_pods_of_a_job_agree_whatever_ran_meanwhile(self, world: World) -> None:
        views = [f"v{number}" for number in range(9)]
        before = self.shares(world, "job", views, 3)
        note(world, *(a_run(view, datetime.now(UTC), seconds=number**3) for number, view in enumerate(views)))
        assert self.shares(world, "job", views, 3) == before
        assert self.shares(world, "another-job", views, 3) != before

    def test_a_view_that_came_since_is_somebodys(self, world: World) -> None:
        self.shares(world, "job", ["a", "b"])
        first, second = self.shares(world, "job", ["a", "b", "c"])
        assert first | second == {"a", "b", "c"}
        assert not first & second


KILLED = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from featureplane.cli.inputs import read_inputs
from featureplane.materialization import run as running
from featureplane.materialization.windows import BEGINNING, Task
from featureplane.materialization.writing import writer
from featureplane.settings import Settings, Stores

settings = Settings.from_env()
(declarations,) = read_inputs([sys.argv[1]])
left = int(sys.argv[2])
write = writer.Writer.write

def dying(self, rows):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    write(self, rows)

writer.Writer.write = dying
if left == 99:
    running.Materializer._note = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
with running.materializer(declarations.project, Stores(settings.postgres, settings.redis), Path.cwd()) as engine:
    engine.run([Task("commodity_prices", BEGINNING, datetime.fromisoformat(sys.argv[3]), "hourly")])
"""


@pytest.mark.parametrize("after", [0, 1, 2, 99])
def test_a_run_that_was_killed_is_done_by_the_next(
    world: World, engine: Materializer, project: Object, lake: Path, tmp_path: Path, after: int
) -> None:
    """Killed before the first batch, between batches, and after the last but before the history has it."""
    count = 12_000
    write(lake, [float(number) for number in range(count)])
    (tmp_path / "project.yaml").write_text(__import__("json").dumps(project))
    result = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "project.yaml"), str(after), NOON.isoformat()],
        env=child_environment(world.stores), check=False, timeout=60,
    )  # fmt: skip
    assert result.returncode == -signal.SIGKILL
    assert world.query("SELECT count(*) FROM featureplane.runs") == [(0,)]
    (run,) = engine.run([task()])
    assert (run.result, run.rows_written, world.redis.dbsize()) == (SUCCEEDED, count, count)


def test_the_registry_may_be_away_for_a_moment_when_a_run_ends(
    world: World, engine: Materializer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from featureplane.errors import StoreUnavailable

    failures = iter([StoreUnavailable("away"), StoreUnavailable("away")])

    def note_later(*args: Any) -> None:
        for failure in failures:
            raise failure
        insert_run(*args)

    monkeypatch.setattr("featureplane.materialization.run.insert_run", note_later)
    engine.run([task()])
    assert world.query("SELECT result FROM featureplane.runs") == [(SUCCEEDED,)]


class TestTogether:
    """Small views of one entity in one run."""

    @pytest.fixture
    def many(self, world: World, project: Object, lake: Path) -> list[str]:
        for number in range(3):
            rows = {
                "event_timestamp": [NOON - HOUR] * (4 - number),
                "commodity": [f"c{index}" for index in range(number, 4)],
                "price": [float(10 * number + index) for index in range(number, 4)],
            }
            pd.DataFrame(rows).to_parquet(lake / f"many_{number}.parquet")
        names = [f"many-{number}" for number in range(3)]
        sources = [a_source(file={"path": f"many_{number}.parquet"}) for number in range(3)]
        views = [a_feature_view(name, source=source) for name, source in zip(names, sources, strict=True)]
        world.apply(project, a_feature_view(), *views)
        return [name.replace("-", "_") for name in names]

    def commands(self, world: World, *names: str) -> int:
        stats = world.redis.info("commandstats")
        return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in names)

    def test_each_key_is_written_once(self, world: World, engine: Materializer, many: list[str]) -> None:
        before = self.commands(world, "hset")
        runs = engine.run([task(view) for view in many])
        assert self.commands(world, "hset") - before == 4
        assert [(run.view, run.result, run.rows_written) for run in runs] == [
            ("many_0", SUCCEEDED, 4), ("many_1", SUCCEEDED, 3), ("many_2", SUCCEEDED, 2),
        ]  # fmt: skip
        assert {len(world.redis.hgetall(key)) for key in world.redis.scan_iter()} == {2, 4, 6}

    def test_what_is_written_is_what_each_alone_writes(
        self, world: World, engine: Materializer, many: list[str]
    ) -> None:
        engine.run([task(view) for view in many])
        together = {key: world.redis.hgetall(key) for key in world.redis.scan_iter()}
        world.redis.flushdb()
        for view in many:
            engine.run([task(view)])
        assert {key: world.redis.hgetall(key) for key in world.redis.scan_iter()} == together

    def test_one_that_cannot_be_read_holds_up_no_other(self, engine: Materializer, many: list[str], lake: Path) -> None:
        (lake / "many_1.parquet").unlink()
        runs = engine.run([task(view) for view in many])
        assert {run.view: run.result for run in runs} == {"many_0": SUCCEEDED, "many_1": FAILED, "many_2": SUCCEEDED}

    def test_one_that_another_run_has_is_waited_for_alone(
        self, world: World, engine: Materializer, many: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("featureplane.materialization.run._WAIT_FOR_OTHERS", 0.2)
        with lock.hold(world.engine, world.stores.postgres, PROJECT, "many_1"):
            runs = engine.run([task(view) for view in many])
        assert {run.view: run.result for run in runs} == {"many_0": SUCCEEDED, "many_2": SUCCEEDED}

    def test_rows_that_a_check_refuses_are_left_out_of_their_view_alone(
        self, world: World, engine: Materializer, many: list[str], project: Object
    ) -> None:
        views = [
            a_feature_view(
                view.replace("_", "-"),
                source=a_source(file={"path": f"{view}.parquet"}),
                features=[a_feature(checks={"maximum": 1, "notNull": True})] if view == "many_0" else [a_feature()],
            )
            for view in many
        ]
        world.apply(project, a_feature_view(), *views)
        runs = engine.run([task(view) for view in many])
        assert [(run.rows_written, run.rows_rejected) for run in runs] == [(2, 2), (3, 0), (2, 0)]


class TestRaisedTtl:
    def test_rows_are_copied_once_more_and_live_as_long(
        self, world: World, engine: Materializer, project: Object, lake: Path
    ) -> None:
        now = datetime.now(UTC)
        write(lake, [1.0], now - 30 * HOUR)
        world.apply(project, a_feature_view(ttl="2d"))
        engine.run([task(end=now)])
        assert self.watermarks(world) == {"commodity_prices": now}
        world.apply(project, a_feature_view(ttl="1d"))
        assert self.watermarks(world) == {"commodity_prices": now}
        world.apply(project, a_feature_view(ttl="10d"))
        assert self.watermarks(world) == {}
        engine.run([task(end=now)])
        (key,) = world.redis.scan_iter()
        if world.redis.pttl(key) > 0:  # a server whose fields do not expire
            assert world.redis.pttl(key) > timedelta(days=8).total_seconds() * 1000

    def watermarks(self, world: World) -> dict[str, datetime]:
        with begin(world.engine, world.stores.postgres) as connection:
            return history.last_successes(connection, PROJECT)


def test_a_first_run_that_finds_nothing_says_where_it_looked(engine: Materializer, lake: Path) -> None:
    write(lake, [1.0], NOON - 50 * HOUR)
    (run,) = engine.run([Task("commodity_prices", NOON - 2 * HOUR, NOON, "initial")])
    assert (run.result, run.rows_read) == (SUCCEEDED, 0)
    assert run.message == "the source has no rows from 2026-01-10 10:00Z to 2026-01-10 12:00Z"
