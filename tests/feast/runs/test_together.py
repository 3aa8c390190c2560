"""Small views of one entity in one run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from runs_of_tests import HOUR, NOON, task
from world import PROJECT, World

from factories import Object, a_feature, a_feature_view, a_source
from featureplane.materialization import lock
from featureplane.materialization.history import FAILED, SUCCEEDED, Run
from featureplane.materialization.run import Materializer, materializer


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
        """A missing file is no part of the group; a broken one is found when the group is read."""
        (lake / "many_0.parquet").unlink()
        (lake / "many_1.parquet").write_bytes(b"PAR1 and nothing more PAR1")
        runs = engine.run([task(view) for view in [*many, "commodity_prices"]])
        assert {run.view: run.result for run in runs} == {
            "many_0": FAILED, "many_1": FAILED, "many_2": SUCCEEDED, "commodity_prices": SUCCEEDED,
        }  # fmt: skip

    def test_the_others_stay_together(self, world: World, engine: Materializer, many: list[str], lake: Path) -> None:
        (lake / "many_1.parquet").write_bytes(b"PAR1 and nothing more PAR1")
        before = self.commands(world, "hset")
        engine.run([task(view) for view in many])
        assert self.commands(world, "hset") - before == 4

    def test_keys_that_cannot_be_are_rejected_as_in_a_view_alone(
        self, world: World, engine: Materializer, project: Object, lake: Path
    ) -> None:
        entity = {"name": "shop", "joinKey": "shop_id", "type": "Int64"}
        for name, ids in (("good", [1.0, 2.5]), ("bad", [0.5, 1.5])):
            rows = {"event_timestamp": [NOON - HOUR] * 2, "shop_id": ids, "price": [1.0, 2.0]}
            pd.DataFrame(rows).to_parquet(lake / f"{name}.parquet")
        views = [
            a_feature_view(name, entities=[entity], source=a_source(file={"path": f"{name}.parquet"}))
            for name in ("good", "bad")
        ]
        world.apply(project, a_feature_view(), *views)
        together = engine.run([task("good"), task("bad")])
        alone = [*engine.run([task("good")]), *engine.run([task("bad")])]
        assert [told(run) for run in together] == [told(run) for run in alone]
        assert [(run.result, run.rows_rejected) for run in together] == [(SUCCEEDED, 1), (FAILED, None)]

    def test_a_redis_that_is_away_is_waited_for_once(
        self, world: World, many: list[str], project: Object, lake: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from featureplane.materialization import run as running

        copy_together = running.copy_together

        def impatient(views: Any, source: Any, online: Any, options: Any, watch: Any) -> Any:
            return copy_together(views, source, online, replace(options, patience=0.2), watch)

        monkeypatch.setattr(running, "copy_together", impatient)
        nobody = replace(world.stores, redis=replace(world.stores.redis, port=1))
        with materializer(world.declarations(project, a_feature_view()).project, nobody, lake) as made:
            runs = made.run([task(view) for view in many])
        assert {(run.result, "does not answer" in run.message) for run in runs} == {(FAILED, True)}
        assert len(runs) == len(many)

    def test_a_full_redis_fails_all_of_them(self, world: World, engine: Materializer, many: list[str]) -> None:
        world.redis.config_set("maxmemory", "1")
        try:
            runs = engine.run([task(view) for view in many])
        finally:
            world.redis.config_set("maxmemory", "0")
        assert {(run.result, "refuses rows: OOM" in run.message) for run in runs} == {(FAILED, True)}

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


def told(run: Run) -> tuple[Any, ...]:
    return run.view, run.result, run.message, run.rows_read, run.rows_written, run.rows_rejected
