"""Runs whose stores go away, and runs that are killed: nothing is lost, and the next run does the rest."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from runs_of_tests import NOON, prices, task, write
from world import World

from factories import Object, a_feature_view
from featureplane.errors import ServerReplaced, StoreUnavailable
from featureplane.materialization import run as running
from featureplane.materialization.history import FAILED, SUCCEEDED, insert_run
from featureplane.materialization.run import Materializer, materializer
from featureplane.materialization.writing.writer import Writer
from featureplane.settings import child_environment
from patience import PATIENCE


class TestAnEmptiedOrSilentRedis:
    def test_another_store_that_is_away_does_not_shorten_the_patience_with_redis(
        self, world: World, project: Object, engine: Materializer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.apply(project, a_feature_view(), a_feature_view("other", push={"enabled": True}))
        waited: list[float] = []
        copy = running.copy

        def source_is_away(view: Any, source: Any, online: Any, options: Any, watch: Any) -> Any:
            waited.append(options.patience)
            if len(waited) == 1:
                raise StoreUnavailable("the source's database does not answer")
            return copy(view, source, online, options, watch)

        monkeypatch.setattr(running, "copy", source_is_away)
        runs = engine.run([task(), task("other")])
        assert [run.result for run in runs] == [FAILED, SUCCEEDED]
        assert waited == [60.0, 60.0]

    def test_a_copy_begins_anew_when_the_server_lost_what_it_confirmed(
        self, world: World, engine: Materializer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
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

        def impatient(view: Any, source: Any, online: Any, options: Any, watch: Any) -> Any:
            waited.append(options.patience)
            return copy(view, source, online, replace(options, patience=min(options.patience, 0.3)), watch)

        copy = running.copy
        monkeypatch.setattr(running, "copy", impatient)
        with materializer(world.declarations(project, a_feature_view()).project, nobody, lake) as made:
            runs = made.run([task(), task("other")])
        assert [run.result for run in runs] == [FAILED, FAILED]
        assert waited == [60.0, 0.1]


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
        env=child_environment(world.stores), check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert result.returncode == -signal.SIGKILL
    assert world.query("SELECT count(*) FROM featureplane.runs") == [(0,)]
    (run,) = engine.run([task()])
    assert (run.result, run.rows_written, world.redis.dbsize()) == (SUCCEEDED, count, count)


def test_the_registry_may_be_away_for_a_moment_when_a_run_ends(
    world: World, engine: Materializer, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([StoreUnavailable("away"), StoreUnavailable("away")])

    def note_later(*args: Any) -> None:
        for failure in failures:
            raise failure
        insert_run(*args)

    monkeypatch.setattr("featureplane.materialization.run.insert_run", note_later)
    engine.run([task()])
    assert world.query("SELECT result FROM featureplane.runs") == [(SUCCEEDED,)]
