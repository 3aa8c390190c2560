"""`featureplane materialize`: copy rows to the online store."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Annotated

import typer

from featureplane.cli.console import complain, print_json, printable, say
from featureplane.cli.runs import last_successes, newest_change, run_tasks, show_runs, what_is_left
from featureplane.cli.workspace import (
    AsJson,
    DataRootPath,
    FromRegistry,
    Paths,
    ProjectName,
    Workspace,
    all_registered,
    definitions,
    open_stores,
    open_workspace,
    ours,
    registered,
    span_of,
    views_of,
)
from featureplane.errors import FeatureplaneError
from featureplane.materialization import history
from featureplane.materialization.windows import Task, due, first_runs, view_plans
from featureplane.model.feature_view import NEVER
from featureplane.rendering.definitions import Definition
from featureplane.settings import Settings, Stores, in_part


def materialize(
    paths: Paths,
    from_registry: FromRegistry = False,
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
    initial: Annotated[
        bool, typer.Option("--initial", help="Copy all rows within the ttl, whatever was copied before.")
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Write rows even where something newer is stored: for backfills."),
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option("--shard", metavar="I/N", help="Only part I (from 0) of the views, spread over N runs."),
    ] = None,
    project: ProjectName = None,
    data_root: DataRootPath = None,
    as_json: AsJson = False,
) -> None:
    """Copy rows of registered views to the online store.

    A view that was never copied, or has gained features since, gets all rows within its ttl; later runs look back over
    the view's window, or to the last success where that is longer ago. A row whose event time is older than what is
    stored is skipped. Views are independent: one that fails stops no other. A Job that is tried again copies only what
    it has not copied yet; a run by hand copies every chosen view that has a schedule and is not suspended, and those
    that --view names together with --initial or --window.

    Exit status: 0 all succeeded, 1 some failed, 2 an error.
    """
    if initial and window is not None:
        raise FeatureplaneError("--initial copies all rows within the ttl; leave --window out, or --initial")
    # A source that is missing fails its own view and no other.
    workspace = open_workspace(paths, project, data_root, look_at_sources=False)
    shards = _shards(shard, workspace.settings)
    _refuse_schedule(workspace, schedule)
    span, names = span_of(window), view or []
    declared = None if from_registry else _declared(workspace, names)
    with open_stores(workspace.settings) as stores:
        seen = newest_change(workspace, stores)
        known = registered(stores, workspace.feast_project)
        candidates = _still_there(views_of(ours(known)), names) if declared is None else all_registered(declared, known)
        chosen = [item for item in candidates if schedule in {None, item.extras["schedule"]}]
        # A window that somebody asks for is copied, whatever the Job has copied before.
        job = workspace.settings.job if span is None else ""
        chosen = _mine(workspace, stores, shards, job, chosen)
        by_hand = [item for item in chosen if names or _runs_by_itself(item)]
        now = datetime.now(UTC)
        if span is not None:
            tasks = [Task(item.name, now - span, now, history.MANUAL) for item in by_hand]
        elif initial:
            tasks = first_runs(by_hand, now)
        else:
            tasks = _due(workspace, stores, chosen, now, schedule)
        named = [_named(task, workspace.settings.job) for task in tasks]
        runs = run_tasks(workspace, stores, named, seen, overwrite=overwrite)
    _tell(tasks, runs, as_json=as_json)
    if not tasks and not from_registry:
        complain("no chosen view has a schedule and is not suspended; --view with --window copies one all the same", "")
    if failed := {run.view for run in runs if run.result == history.FAILED}:
        if not from_registry:
            _say_what_is_wrong_with_the_sources(workspace, failed)
        raise typer.Exit(1)


def _tell(tasks: Sequence[Task], runs: Sequence[history.Run], *, as_json: bool) -> None:
    if as_json:
        print_json([asdict(run) for run in runs])
    elif tasks and not runs:
        say("nothing was copied: another run has these views")
    else:
        show_runs(runs)


def _shards(shard: str | None, settings: Settings) -> tuple[int, int]:
    """Which part of the views this run has, and of how many: the option's, else that of an Indexed Job's pod."""
    if shard is None:
        return settings.shard, settings.shards
    part, _, parts = shard.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and int(part) < int(parts)):
        raise FeatureplaneError(f"--shard {shard!r} is not allowed; write I/N with I from 0 to N-1, like 0/4")
    return int(part), int(parts)


def _mine(
    workspace: Workspace, stores: Stores, shards: tuple[int, int], job: str, views: Sequence[Definition]
) -> list[Definition]:
    """The views of this run's part, without those that its Job, where it has one, has copied already."""
    part, of = shards
    if not views or not job:
        return [item for item in views if in_part(item.name, part, of)]
    left = what_is_left(workspace, stores, job, [item.name for item in views], part, of)
    return [item for item in views if item.name in left]


def _refuse_schedule(workspace: Workspace, schedule: str | None) -> None:
    schedules = workspace.declarations.project.spec.schedules
    if schedule is not None and schedule not in schedules:
        known = ", ".join(schedules)
        raise FeatureplaneError(f"--schedule {schedule!r} is not one of the project's; its schedules are {known}")


def _declared(workspace: Workspace, names: Sequence[str]) -> list[Definition]:
    """The views of the files that are meant and can be online at all."""
    views = views_of(definitions(workspace))
    unknown = sorted(set(names) - {item.name for item in views})
    if unknown:
        held = ", ".join(item.name for item in views)
        raise FeatureplaneError(f"--view {unknown[0]!r} is not one of the files' views; they hold {held}")
    offline = [item.name for item in views if item.name in names and not item.spec["online"]]
    if offline:
        raise FeatureplaneError(f"--view {offline[0]!r} has online: false, so none of its rows go online")
    return [item for item in views if item.spec["online"] and (not names or item.name in names)]


def _still_there(views: Iterable[Definition], names: Sequence[str]) -> list[Definition]:
    """The registered views that are meant. One that went away since it was asked for must not stop the others."""
    found = [item for item in views if item.spec["online"] and (not names or item.name in names)]
    for name in sorted(set(names) - {item.name for item in found}):
        complain(f"{printable(name)} is passed over: no view of that name is registered and online", "")
    return found


def _runs_by_itself(view: Definition) -> bool:
    return view.extras["schedule"] != NEVER and not view.extras["suspend"]


def _due(
    workspace: Workspace, stores: Stores, views: Sequence[Definition], now: datetime, schedule: str | None
) -> list[Task]:
    if not views:  # there may be no database yet
        return []
    plans = view_plans(views, workspace.declarations.project.spec.schedules)
    return due(plans, now, last_successes(workspace, stores), schedule=schedule)


def _named(task: Task, job: str) -> Task:
    """The task under the name of the Job that runs it; the word for what moves no watermark means that and no Job."""
    return task if history.MANUAL in {task.job, job} or not job else replace(task, job=job)


def _say_what_is_wrong_with_the_sources(workspace: Workspace, views: Collection[str]) -> None:
    for problem in workspace.source_problems(views):
        complain(printable(str(problem), 1000))
    if workspace.local_root is None and not workspace.has_objects:
        complain("the sources are not on this machine; for a copy that is, apply and materialize with --data-root")
