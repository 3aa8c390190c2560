"""One run on a view at a time; what is interrupted is noted."""

import threading
from pathlib import Path
from typing import Any

import pytest
from runs_of_tests import prices, task, write
from world import PROJECT, World

from factories import Object, a_feature_view
from featureplane.materialization import lock
from featureplane.materialization.history import FAILED, SUCCEEDED, Run
from featureplane.materialization.run import Materializer, Progress, materializer


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
        assert said[0] == "another run copies commodity_prices; waiting up to 0 s"
        assert "it is left to that run" in said[1]
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

    def test_all_that_are_busy_are_waited_for_at_once(
        self, world: World, engine: Materializer, project: Object, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("featureplane.materialization.run._WAIT_FOR_OTHERS", 1.0)
        waited: list[float] = []
        hold = lock.hold

        def noting(*arguments: Any) -> Any:
            waited.append(arguments[-1])
            return hold(*arguments)

        world.apply(project, a_feature_view(), *(a_feature_view(name) for name in "abc"))
        with lock.hold_free(world.engine, world.stores.postgres, PROJECT, ["a", "b", "c"]):
            monkeypatch.setattr(lock, "hold", noting)
            assert engine.run([task(name) for name in "abc"]) == []
        assert waited[:3] == [0.0] * 3
        assert 0.9 < sum(waited[3:]) < 1.5

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

    def test_a_view_that_another_run_has_is_not(
        self, world: World, engine: Materializer, project: Object, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.apply(project, a_feature_view(), a_feature_view("mine"), a_feature_view("its"))
        self.stop(monkeypatch, "copy_together")
        with (
            lock.hold(world.engine, world.stores.postgres, PROJECT, "its"),
            pytest.raises(SystemExit),
        ):
            engine.run([task(), task("mine"), task("its")])
        assert world.query("SELECT view FROM featureplane.runs ORDER BY view") == [("commodity_prices",), ("mine",)]

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
