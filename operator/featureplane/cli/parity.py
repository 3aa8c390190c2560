"""`featureplane parity`: whether what is served is what the sources say."""

import secrets
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer
from rich.text import Text

from featureplane.cli.console import complain, print_json, printable, progress, say, show_table, table
from featureplane.cli.runs import asking, places_of
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
from featureplane.parity import outcomes
from featureplane.parity.check import Options, check
from featureplane.parity.kinds import EXCUSED, WRONG, Kind
from featureplane.parity.outcomes import Outcome, percent
from featureplane.registry.state import Registered
from featureplane.rendering.definitions import Definition
from featureplane.settings import Stores

_LONGEST = 60
# What is worth a word below the table.
_MEANING = {
    Kind.MISSING: "the source has a row that a run copied, and nothing is online",
    Kind.EXTRA: "a row is online that the source does not have",
    Kind.DIFFERENT: "rows of one event time have different values",
    Kind.STALE: "a run has read a newer row than is online, or it came after the run",
    Kind.LATE: "the source's row came after the runs whose windows it lies in",
    Kind.AHEAD: "the row online is newer than the source's: it was pushed, or a run goes on",
    Kind.PENDING: "the source's row came after the last run; the next one copies it",
}


def parity(
    paths: Paths,
    from_registry: FromRegistry = False,
    view: Annotated[
        list[str] | None,
        typer.Option("--view", metavar="NAME", help="Only this view, by its Feast name; may be repeated."),
    ] = None,
    sample: Annotated[int, typer.Option("--sample", min=1, max=100_000, help="Entities of each view at most.")] = 1000,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, max=2**32 - 1, help="Choose the entities that this seed chose before."),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(
            "--window",
            metavar="DURATION",
            help="Only entities with a row in the last DURATION, like 90m or 2d, that runs have copied.",
        ),
    ] = None,
    minimum_rate: Annotated[
        float | None,
        typer.Option("--minimum-rate", min=0, max=1, help="Exit with 1 where a smaller share of entities is equal."),
    ] = None,
    differences: Annotated[
        int, typer.Option("--differences", min=0, max=1000, help="Show so many of each view's worst differences.")
    ] = 10,
    record: Annotated[
        bool, typer.Option("--record", help="Note what was found, without any value, beside the registry.")
    ] = False,
    project: ProjectName = None,
    data_root: DataRootPath = None,
    as_json: AsJson = False,
) -> None:
    """Compare what is served with what the sources say.

    Of each view some entities are chosen: those with the newest rows, some that are online, and others by chance. What
    is served of each is compared, value by value, with the newest row of its source that is within the ttl and that a
    run should have copied. What came after the last run, or was pushed, is told apart and counts in no rate.

    Exit status: 0 compared, 1 less than --minimum-rate is equal or a view could not be compared, 2 an error.
    """
    workspace = open_workspace(paths, project, data_root, look_at_sources=False)
    span, names = span_of(window), view or []
    chosen_seed = secrets.randbelow(2**32) if seed is None else seed
    with open_stores(workspace.settings) as stores:
        known = registered(stores, workspace.feast_project)
        views = _chosen(workspace, known, names, from_registry=from_registry)
        if views and record and workspace.settings.job:
            views = _left(workspace, stores, views)
        found: list[Outcome] = []
        for outcome in _compared(workspace, stores, known, views, Options(sample, chosen_seed, span, differences)):
            found.append(outcome)
            if record:
                _record(workspace, stores, outcome)
    if as_json:
        print_json({"seed": chosen_seed, "views": [_as_json(outcome) for outcome in found]})
    else:
        _show(found, chosen_seed)
    if any(each.failed or (minimum_rate is not None and each.is_below(minimum_rate)) for each in found):
        raise typer.Exit(1)


def _chosen(workspace: Workspace, known: Registered, names: Sequence[str], *, from_registry: bool) -> list[Definition]:
    """The registered views that are meant and are online."""
    there = {item.name: item for item in views_of(ours(known)) if item.spec["online"]}
    if unknown := sorted(set(names) - there.keys()):
        held = ", ".join(there) or "none"
        raise FeatureplaneError(f"--view {unknown[0]!r} is not registered and online; registered and online are {held}")
    if names:
        return [there[name] for name in dict.fromkeys(names)]
    if from_registry:
        return list(there.values())
    declared = [item for item in views_of(definitions(workspace)) if item.spec["online"]]
    return [there[item.name] for item in all_registered(declared, known) if item.name in there]


def _left(workspace: Workspace, stores: Stores, views: Sequence[Definition]) -> list[Definition]:
    """Those that this pod's Job has not looked at yet."""
    with asking(stores, migrating=True) as connection:
        done = outcomes.checked_in(connection, workspace.feast_project, workspace.settings.job)
    return [item for item in views if item.name not in done]


def _compared(
    workspace: Workspace, stores: Stores, known: Registered, views: Sequence[Definition], options: Options
) -> Iterator[Outcome]:
    """What comes of each view, with a bar or lines on standard error."""
    if not views:  # there may be no database yet
        return
    with places_of(workspace, stores) as places, progress("comparing") as advance:
        advance(0, len(views), "")
        compared = check(workspace.declarations.project, stores, places, known, views, options)
        for number, outcome in enumerate(compared, 1):
            advance(number, len(views), outcome.view)
            yield outcome


def _record(workspace: Workspace, stores: Stores, outcome: Outcome) -> None:
    """At once, for a pod may have to go before it has looked at all views."""
    with asking(stores, migrating=True) as connection:
        outcomes.record(connection, workspace.feast_project, outcome, workspace.settings.job)


def _as_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "view": outcome.view,
        "rate": outcome.rate,
        "value_rate": outcome.value_rate,
        "compared": outcome.compared,
        **{kind.value: outcome.counts.get(kind, 0) for kind in Kind},
        "values_compared": outcome.values_compared,
        "values_equal": outcome.values_equal,
        "checked_at": outcome.checked_at,
        "copied_until": outcome.copied_until,
        "failed": outcome.failed,
        "message": outcome.message,
        "cause": outcome.cause,
        "differences": [vars(each) for each in outcome.differences],
    }


def _show(found: Sequence[Outcome], seed: int) -> None:
    if not found:
        say("no view is registered and online")
        return
    kinds = [kind for kind in (*WRONG, *EXCUSED) if any(each.counts.get(kind) for each in found)]
    made = table("VIEW", "right:COMPARED", "right:EQUAL", "right:VALUES", *(f"right:{kind.upper()}" for kind in kinds))
    for each in found:
        style = "red" if each.failed or (each.rate is not None and each.rate < 1) else "green"
        counts = [str(each.counts.get(kind, 0)) for kind in kinds]
        rate = Text(percent(each.rate), style=style)
        made.add_row(printable(each.view), str(each.compared), rate, percent(each.value_rate), *counts)
    show_table(made)
    _show_differences(found)
    for kind in kinds:
        complain(f"{kind}: {_MEANING[kind]}", "")
    for each in found:
        if each.message:
            words = f"{each.message}: {each.cause}" if each.cause else each.message
            complain(f"{each.view}: {printable(words, 1000)}", "red" if each.failed else "")
    complain(f"--seed {seed} chooses the same entities again", "")


def _show_differences(found: Sequence[Outcome]) -> None:
    differing = [(outcome.view, each) for outcome in found for each in outcome.differences]
    if not differing:
        return
    made = table("VIEW", "ENTITY", "KIND", "FEATURE", "ONLINE", "OFFLINE", "ONLINE TIME", "OFFLINE TIME")
    for view, each in differing:
        entity = ", ".join(f"{name}={printable(value, _LONGEST)}" for name, value in each.entity.items())
        values = [printable(value, _LONGEST) for value in (each.online, each.offline)]
        times = [time.isoformat() if time else "-" for time in (each.online_time, each.offline_time)]
        made.add_row(printable(view), entity, each.kind.value, printable(each.feature), *values, *times)
    show_table(made)
