"""What the commands that copy rows share: the watermarks, the runs themselves and how they are shown."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rich.text import Text
from sqlalchemy import Connection

from featureplane.cli.console import complain, printable, progress, say, show_table, table
from featureplane.cli.workspace import Workspace
from featureplane.materialization import history, outlook
from featureplane.materialization.readers.opening import Places
from featureplane.materialization.readers.spark import spark_of
from featureplane.materialization.run import Progress, materializer
from featureplane.materialization.shards import views_of_shard
from featureplane.materialization.windows import BEGINNING, Task
from featureplane.model.durations import format_duration
from featureplane.registry import feast_rows, schema
from featureplane.registry.database import begin, database_exists, engine_for
from featureplane.settings import PostgresAddress, Stores

_HOUR = timedelta(hours=1)
_SECOND = timedelta(seconds=1)


@contextmanager
def asking(stores: Stores, *, migrating: bool = False) -> Iterator[Connection]:
    """A transaction in the registry's database."""
    engine = engine_for(stores.postgres)
    try:
        if migrating:
            schema.migrate(engine, stores.postgres)
        with begin(engine, stores.postgres) as connection:
            yield connection
    finally:
        engine.dispose()


def last_successes(workspace: Workspace, stores: Stores) -> dict[str, datetime]:
    """Each view's watermark, from the run history."""
    with asking(stores) as connection:
        return history.last_successes(connection, workspace.feast_project)


def newest_change(workspace: Workspace, stores: Stores) -> int:
    """The number of the registry's newest change, to be asked for before anything is read of it; brings our tables up
    to date where there is a database.
    """
    if not database_exists(stores.postgres):
        return 0
    with asking(stores, migrating=True) as connection:
        return feast_rows.last_change(connection, workspace.feast_project)


def has_untold_runs(workspace: Workspace, stores: Stores) -> bool:
    """Whether there are runs that Feast was not told of. Our tables must be there."""
    with asking(stores) as connection:
        return outlook.has_unfolded(connection, workspace.feast_project)


def what_is_left(
    workspace: Workspace, stores: Stores, job: str, views: Sequence[str], shard: int, of: int
) -> frozenset[str]:
    """The views of a pod's part that its Job has not copied yet: a pod that is tried again does not begin anew."""
    with asking(stores) as connection:
        done = history.succeeded_in(connection, workspace.feast_project, job)
        if of == 1:
            return frozenset(views) - done
        return views_of_shard(connection, workspace.feast_project, job, views, shard, of) - done


def offline_of(workspace: Workspace, stores: Stores) -> PostgresAddress:
    """The PostgreSQL with source tables."""
    return workspace.settings.offline if workspace.settings.stores == "environment" else stores.postgres


@contextmanager
def places_of(workspace: Workspace, stores: Stores) -> Iterator[Places]:
    """Where the project's sources are, for a command that reads them by itself."""
    places = Places(workspace.repo_path, offline_of(workspace, stores))
    with spark_of(workspace.declarations.project) or nullcontext() as spark:
        yield replace(places, spark=spark)


def run_tasks(
    workspace: Workspace, stores: Stores, tasks: Sequence[Task], seen_change: int, *, overwrite: bool = False
) -> list[history.Run]:
    """Run the tasks, made when `seen_change` was the newest, with a bar or lines on standard error."""
    if not tasks:
        return []
    done = 0
    with (
        materializer(
            workspace.declarations.project, stores, workspace.repo_path, offline_of(workspace, stores)
        ) as engine,
        progress("materializing") as advance,
    ):

        def ended(_: history.Run) -> None:
            nonlocal done
            done += 1
            advance(done, len(tasks), "")

        def copied(view: str, rows: int) -> None:
            advance(done, len(tasks), f"{view}: {rows:,} rows")

        advance(0, len(tasks), "")
        progress_ = Progress(ended, copied, lambda why: complain(why, ""))
        return engine.run(tasks, progress_, overwrite=overwrite, seen_change=seen_change)


def show_runs(runs: Sequence[history.Run]) -> None:
    """A row a view: what was copied, and what went wrong."""
    if not runs:
        say("nothing is due")
        return
    rows = table(
        "VIEW", "RUN", "right:READ", "right:WRITTEN", "right:SKIPPED", "right:REJECTED", "NEWEST EVENT", "right:TIME",
        "RESULT",
    )  # fmt: skip
    for run in runs:
        counts = ["-" if count is None else str(count) for count in _counts(run)]
        newest = run.max_event_time.astimezone(UTC).strftime("%Y-%m-%d %H:%MZ") if run.max_event_time else "-"
        style = "red" if run.result == history.FAILED else "green"
        rows.add_row(
            run.view, f"{run.job} {_length(run)}", *counts, newest, f"{run.seconds:.1f}s",
            Text(run.result, style=style),
        )  # fmt: skip
    show_table(rows)
    for run in runs:
        if run.message:
            complain(f"{run.view}: {printable(run.message, 1000)}")


def _counts(run: history.Run) -> tuple[int | None, ...]:
    return run.rows_read, run.rows_written, run.rows_skipped, run.rows_rejected


def _length(run: history.Run) -> str:
    """How far back a run looked, the longer the coarser: `90m`, `2d`, or `all` there is."""
    if run.window_start == BEGINNING:
        return "all"
    span = run.window_end - run.window_start
    unit = _HOUR if span > timedelta(days=1) else timedelta(minutes=1) if span > _HOUR else _SECOND
    return format_duration(round(span / unit) * unit)
