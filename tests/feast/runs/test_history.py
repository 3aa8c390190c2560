"""What is remembered of runs, and how views are spread by it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from runs_of_tests import HOUR, a_run, note
from world import PROJECT, World

from featureplane.materialization import history
from featureplane.materialization.history import FAILED, MANUAL, prune, succeeded_in
from featureplane.materialization.shards import views_of_shard
from featureplane.registry.database import begin


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
