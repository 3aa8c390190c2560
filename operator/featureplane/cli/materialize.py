"""`featureplane materialize`: copy rows to the online store."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.text import Text

from featureplane.cli.console import complain, print_json, printable, progress, say, show_table, table
from featureplane.cli.workspace import (
    AsJson,
    DataRootPath,
    Paths,
    ProjectName,
    Workspace,
    open_stores,
    open_workspace,
    registered,
)
from featureplane.errors import FeatureplaneError
from featureplane.materialization import history
from featureplane.materialization.run import materializer
from featureplane.materialization.windows import BEGINNING, Task, ViewPlan, due
from featureplane.model.durations import format_duration, parse_duration
from featureplane.model.feature_view import NEVER, FeatureView
from featureplane.registry import schema
from featureplane.registry.database import begin, engine_for
from featureplane.settings import Stores

_HOUR = timedelta(hours=1)
_SECOND = timedelta(seconds=1)


def materialize(
    paths: Paths,
    schedule: Annotated[
        str | None, typer.Option("--schedule", metavar="NAME", help="Only views with this schedule.")
    ] = None,
    view: Annotated[
        list[str] | None,
        typer.Option("--view", metavar="NAME", help="Only this view, by its Feast name; may be repeated."),
    ] = None,
    window: Annotated[
        str | None, typer.Option("--window", metavar="DURATION", help="Look back this far, like 90m or 2d.")
    ] = None,
    project: ProjectName = None,
    data_root: DataRootPath = None,
    as_json: AsJson = False,
) -> None:
    """Copy rows of registered views to the online store.

    A view that was never copied gets all rows within its ttl; later runs look back over the view's window, or to the
    last success where that is longer ago. Views are independent: one that fails stops no other.

    Exit status: 0 all succeeded, 1 some failed, 2 an error.
    """
    # A source that is missing fails its own view and no other.
    workspace = open_workspace(paths, project, data_root, look_at_sources=False)
    span = _span(window)
    views = _chosen(workspace, schedule, view or [])
    with open_stores(workspace.settings) as stores:
        known = registered(stores, workspace.feast_project).features
        missing = [item.feast_name for item in views if item.feast_name not in known]
        if missing:
            raise FeatureplaneError(f"not registered yet: {', '.join(missing)}; run featureplane apply first")
        now = datetime.now(UTC)
        if span is not None:
            tasks = [
                Task(item.feast_name, now - span, now, history.MANUAL)
                for item in views
                if view or _runs_by_itself(item)
            ]
        else:
            names = {item.feast_name for item in views}
            plans = [plan for plan in view_plans(workspace) if plan.name in names]
            tasks = due(plans, now, last_successes(workspace, stores), schedule=schedule)
        runs = run_tasks(workspace, stores, tasks)
    if as_json:
        print_json([asdict(run) for run in runs])
    else:
        show_runs(runs)
    if not runs:
        complain("no chosen view has a schedule and is not suspended; --view with --window copies one all the same", "")
    if any(run.result == history.FAILED for run in runs):
        for problem in workspace.source_problems():
            complain(printable(str(problem), 1000))
        if workspace.local_root is None:
            complain("the sources are not on this machine; for a copy that is, apply and materialize with --data-root")
        raise typer.Exit(1)


def _span(window: str | None) -> timedelta | None:
    if window is None:
        return None
    try:
        return parse_duration(window)
    except ValueError as error:
        raise FeatureplaneError(f"--window {window!r} {error}") from error


def _chosen(workspace: Workspace, schedule: str | None, names: Sequence[str]) -> list[FeatureView]:
    """The views that are meant and can be online at all."""
    spec, views = workspace.declarations.project.spec, workspace.declarations.views
    if schedule is not None and schedule not in spec.schedules:
        known = ", ".join(spec.schedules)
        raise FeatureplaneError(f"--schedule {schedule!r} is not one of the project's; its schedules are {known}")
    unknown = sorted(set(names) - {view.feast_name for view in views})
    if unknown:
        held = ", ".join(view.feast_name for view in views)
        raise FeatureplaneError(f"--view {unknown[0]!r} is not one of the files' views; they hold {held}")
    offline = [view.feast_name for view in views if view.feast_name in names and not view.spec.online]
    if offline:
        raise FeatureplaneError(f"--view {offline[0]!r} has online: false, so none of its rows go online")
    return [
        view
        for view in views
        if view.spec.online
        and (not names or view.feast_name in names)
        and schedule in {None, view.spec.materialization.schedule}
    ]


def _runs_by_itself(view: FeatureView) -> bool:
    return view.spec.materialization.schedule != NEVER and not view.spec.suspend


def view_plans(workspace: Workspace) -> list[ViewPlan]:
    """What decides each view's windows: its own word, else its schedule's."""
    schedules = workspace.declarations.project.spec.schedules
    plans = []
    for view in workspace.declarations.views:
        own = view.spec.materialization
        schedule = own.schedule if view.spec.online else NEVER
        window = own.window or (schedules[schedule].window if schedule != NEVER else None)
        if window is not None:
            plans.append(ViewPlan(view.feast_name, schedule, window, view.spec.ttl, own.initial, view.spec.suspend))
    return plans


def last_successes(workspace: Workspace, stores: Stores) -> dict[str, datetime]:
    """Each view's watermark, from the run history."""
    engine = engine_for(stores.postgres)
    schema.migrate(engine, stores.postgres)
    with begin(engine, stores.postgres) as connection:
        return history.last_successes(connection, workspace.feast_project)


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
