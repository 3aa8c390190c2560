"""What the commands that copy rows share: the watermarks, the runs themselves and how they are shown."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from rich.text import Text

from featureplane.cli.console import complain, printable, progress, say, show_table, table
from featureplane.cli.workspace import Workspace
from featureplane.materialization import history
from featureplane.materialization.run import materializer
from featureplane.materialization.windows import BEGINNING, Task
from featureplane.model.durations import format_duration
from featureplane.registry import schema
from featureplane.registry.database import begin, engine_for
from featureplane.settings import Stores

_HOUR = timedelta(hours=1)
_SECOND = timedelta(seconds=1)


def last_successes(workspace: Workspace, stores: Stores) -> dict[str, datetime]:
    """Each view's watermark, from the run history."""
    engine = engine_for(stores.postgres)
    try:
        schema.migrate(engine, stores.postgres)
        with begin(engine, stores.postgres) as connection:
            return history.last_successes(connection, workspace.feast_project)
    finally:
        engine.dispose()


def run_tasks(workspace: Workspace, stores: Stores, tasks: Sequence[Task]) -> list[history.Run]:
    """Run the tasks with a bar or lines on standard error."""
    if not tasks:
        return []
    done = 0
    with (
        materializer(workspace.declarations.project, stores, workspace.repo_path) as engine,
        progress("materializing") as advance,
    ):

        def note(_: history.Run) -> None:
            nonlocal done
            done += 1
            advance(done, len(tasks))

        advance(0, len(tasks))
        return engine.run(tasks, note)


def show_runs(runs: Sequence[history.Run]) -> None:
    """A row a view: what was copied, and what went wrong."""
    if not runs:
        say("nothing is due")
        return
    rows = table("VIEW", "RUN", "right:ROWS", "NEWEST EVENT", "right:TIME", "RESULT")
    for run in runs:
        written = "-" if run.rows_written is None else str(run.rows_written)
        newest = run.max_event_time.astimezone(UTC).strftime("%Y-%m-%d %H:%MZ") if run.max_event_time else "-"
        style = "red" if run.result == history.FAILED else "green"
        rows.add_row(
            run.view, f"{run.job} {_length(run)}", written, newest, f"{run.seconds:.1f}s", Text(run.result, style=style)
        )
    show_table(rows)
    for run in runs:
        if run.message:
            complain(f"{run.view}: {printable(run.message, 1000)}")


def _length(run: history.Run) -> str:
    """How far back a run looked, the longer the coarser: `90m`, `2d`, or `all` there is."""
    if run.window_start == BEGINNING:
        return "all"
    span = run.window_end - run.window_start
    unit = _HOUR if span > timedelta(days=1) else timedelta(minutes=1) if span > _HOUR else _SECOND
    return format_duration(round(span / unit) * unit)
