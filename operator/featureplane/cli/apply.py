"""`featureplane apply`: make the registry what the files say."""

from contextlib import ExitStack
from dataclasses import dataclass

from featureplane.cli.console import complain, print_json, progress, say
from featureplane.cli.plan import Prune, as_data, show
from featureplane.cli.runs import has_untold_runs
from featureplane.cli.workspace import (
    AsJson,
    DataRootPath,
    Paths,
    Workspace,
    definitions,
    must_answer,
    open_stores,
    open_workspaces,
    registered,
)
from featureplane.errors import FeatureplaneError, PlanRefused
from featureplane.registry.actor import local_user
from featureplane.registry.plan import Plan, compare
from featureplane.registry.writer import Writer
from featureplane.settings import Settings, Stores


def apply(paths: Paths, data_root: DataRootPath = None, prune: Prune = False, as_json: AsJson = False) -> None:
    """Register what the files declare.

    The plan is shown as it is carried out. Nothing is removed without --prune.

    Exit status: 0 done or nothing to do, 2 an error: then what was written is whole
    objects, and plan shows the rest.
    """
    workspaces = open_workspaces(paths, data_root)
    with open_stores(Settings.from_env()) as stores, ExitStack() as stack:
        must_answer(stores)
        steps = [_step(item, stores, stack, prune=prune) for item in workspaces]
        refused = [refusal for step in steps for refusal in step.plan.refused]
        if refused:
            raise PlanRefused(refused)
        for step in steps:
            _carry_out(step, quiet=as_json)
    if as_json:
        print_json([as_data(step.plan) for step in steps])


@dataclass(frozen=True)
class _Step:
    plan: Plan
    writer: Writer
    # Feast was not told of some runs.
    has_untold: bool


def _step(item: Workspace, stores: Stores, stack: ExitStack, *, prune: bool) -> _Step:
    """The plan of one project, made after its epoch was taken: whoever writes in between fences us."""
    writer = stack.enter_context(Writer(item.declarations.project, stores, local_user("featureplane apply")))
    writer.open()
    known = registered(stores, item.feast_project)
    plan = compare(item.feast_project, definitions(item), known, prune=prune)
    return _Step(plan, writer, has_untold_runs(item, stores))


def _carry_out(step: _Step, *, quiet: bool) -> None:
    plan = step.plan
    if not quiet:
        show(plan)
    if plan.changes or plan.adopted:
        with progress(f"registering {plan.project}") as advance:
            step.writer.apply(plan, advance)
        if not quiet:
            say(f"{plan.project}: registered", "green")
    elif not step.has_untold:
        return
    try:
        step.writer.fold()
    except FeatureplaneError as error:
        complain(f"Feast was not told of the last runs; the next apply does it: {error}", "yellow")
