"""`featureplane up`: all of it on this machine, until Ctrl-C."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from featureplane.cli.console import complain, report, say
from featureplane.cli.inputs import files_at
from featureplane.cli.plan import show
from featureplane.cli.runs import last_successes, newest_change, run_tasks, show_runs
from featureplane.cli.serve import DEFAULT_HOST, DEFAULT_PORT, Host, PortNumber, announced, say_served
from featureplane.cli.workspace import (
    DataRootPath,
    Paths,
    ProjectName,
    Workspace,
    definitions,
    must_answer,
    must_stay,
    open_stores,
    open_workspace,
    registered,
    views_of,
)
from featureplane.errors import FeatureplaneError, Fenced, InputError, PlanRefused
from featureplane.local import loop
from featureplane.local.files import write_folder
from featureplane.materialization.windows import due, view_plans
from featureplane.model.feast_project import Schedule
from featureplane.registry.actor import local_user
from featureplane.registry.plan import compare
from featureplane.registry.writer import Writer
from featureplane.rendering import repo
from featureplane.rendering.definitions import Key
from featureplane.serving.listening import Where
from featureplane.settings import Stores


def up(
    paths: Paths,
    host: Host = DEFAULT_HOST,
    port: PortNumber = DEFAULT_PORT,
    project: ProjectName = None,
    data_root: DataRootPath = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Also remove what was registered before and the files do not declare.")
    ] = False,
    schedules: Annotated[
        bool, typer.Option("--schedules/--no-schedules", help="Run the project's schedules when they are due.")
    ] = True,
) -> None:
    """Bring everything up and keep it so, until Ctrl-C.

    That is: stores, registry, first runs, server, schedules. Watches the files: a change is planned, applied and, where
    a view is new, materialized; a file with a problem is reported and what was registered stays. A view that leaves the
    files while this runs leaves the registry; what was there before stays, unless --prune says otherwise.
    """
    _refuse_what_is_read_once(paths)
    files = loop.WatchedFiles(lambda: [file for path in paths for file in files_at(path, [])])
    workspace = open_workspace(paths, project, data_root)
    with ExitStack() as stack:
        stores = stack.enter_context(open_stores(workspace.settings))
        must_answer(stores)
        keeper = Keeper(workspace, stores, _writer(workspace, stores), prune)
        stack.callback(lambda: keeper.writer.close())  # noqa: PLW0108 - the writer it has then
        # The server loads Feast while the registry is written; opening the writer makes the database it looks at.
        keeper.writer.open()
        server = stack.enter_context(announced(workspace, stores, Where(host, port)))
        try:
            keeper.reconcile()
            server.wait_until_ready()
            say_served(workspace, server)
            state = workspace.settings.state_dir
            say(f"for Feast's own CLI and SDK: . {state / 'env'} && cd {state / 'feature_repo'}")
            schedules_now = keeper.schedules if schedules else dict
            stay = partial(must_stay, workspace.settings, stores)
            for event in loop.events(files, schedules_now, server, stay):
                _handle(event, keeper, files, lambda: open_workspace(paths, project, data_root))
        except KeyboardInterrupt:
            say("stopping")


def _refuse_what_is_read_once(paths: Paths) -> None:
    """Read a second time it would be empty, and every view of it leave the registry."""
    for path in paths:
        place = Path(path)
        if path == "-" or (place.exists() and not place.is_dir() and not place.is_file()):
            raise FeatureplaneError(f"{path} can be read only once, and up reads again; name a file or a folder")


@dataclass
class Keeper:
    """What is kept as the files say: the project as it was last read, and the registry's writer."""

    workspace: Workspace
    stores: Stores
    writer: Writer
    prune: bool = False
    # What this process has seen declared: it may remove that again.
    seen: set[Key] = field(default_factory=set)

    def schedules(self) -> dict[str, Schedule]:
        return dict(self.workspace.declarations.project.spec.schedules)

    def reread(self, workspace: Workspace) -> None:
        """Go on with the files as they are now. Raises FeatureplaneError where they have become another project."""
        before, after = self.workspace.declarations.project, workspace.declarations.project
        if before.spec.project != after.spec.project:
            raise FeatureplaneError(
                f"the files are of the project {after.spec.project!r} now and not of {before.spec.project!r}; "
                "what was registered stays. Bring the FeastProject back, or start featureplane up again"
            )
        self.workspace = workspace
        if before != after:
            self._renew_writer()
        if (repo.feature_store(before), before.spec.server) != (repo.feature_store(after), after.spec.server):
            say("the server goes on as it was started; start featureplane up again for its new settings")

    def reconcile(self) -> None:
        """Make the registry what the files say, removals included, and give new views their first run."""
        try:
            self._reconcile()
        except Fenced:
            say("another command has written to the registry since; taking over again")
            self._renew_writer()
            self._reconcile()

    def _reconcile(self) -> None:
        workspace, project = self.workspace, self.workspace.feast_project
        self.writer.open()
        known = registered(self.stores, project)
        declared = definitions(workspace)
        plan = compare(project, declared, known, prune=self.prune or self.seen)
        if plan.refused:
            raise PlanRefused(plan.refused)
        show(plan)
        self.writer.apply(plan)
        self.seen |= {item.key for item in declared}
        self._write_repo()
        self.run_due(only_first=True)

    def run_due(self, schedule: str | None = None, *, only_first: bool = False) -> None:
        """Run what is due; nothing is said where nothing is."""
        seen = newest_change(self.workspace, self.stores)
        watermarks = last_successes(self.workspace, self.stores)
        plans = view_plans(views_of(definitions(self.workspace)), self.schedules())
        tasks = due(plans, loop.now(), watermarks, schedule=schedule, only_first=only_first)
        if tasks:
            show_runs(run_tasks(self.workspace, self.stores, tasks, seen))
            self._fold()

    def _fold(self) -> None:
        try:
            self.writer.fold()
        except Fenced:
            self._renew_writer()
            self.writer.fold()

    def _renew_writer(self) -> None:
        self.writer.close()
        self.writer = _writer(self.workspace, self.stores)

    def _write_repo(self) -> None:
        """A Feast repo and the environment for it, so that Feast's own CLI and SDK work beside us."""
        state = self.workspace.settings.state_dir
        files = repo.render(self.workspace.declarations.project, definitions(self.workspace))
        write_folder(state / "feature_repo", files)
        loop.write_environment(state / "env", self.stores)


def _writer(workspace: Workspace, stores: Stores) -> Writer:
    return Writer(workspace.declarations.project, stores, local_user("featureplane up"))


def _handle(event: loop.Event, keeper: Keeper, files: loop.WatchedFiles, read: Callable[[], Workspace]) -> None:
    """One event of the loop. An error is reported, and the loop goes on with what was right before.

    A change that met a passing fault is not lost: the files are read again.
    """
    before = keeper.workspace
    time = loop.now().astimezone().strftime("%H:%M:%S")
    try:
        if event.schedule is None:
            say(f"{time} {'trying again' if files.is_again else 'the files changed'}", "bold")
            keeper.reread(read())
            keeper.reconcile()
        else:
            say(f"{time} the schedule {event.schedule} is due", "bold")
            keeper.run_due(event.schedule)
    except FeatureplaneError as error:
        if event.schedule is None and error.retriable:
            files.read_again()
        else:
            keeper.workspace = before
        report(error)
        if isinstance(error, InputError | PlanRefused):
            complain("what was registered stays")
