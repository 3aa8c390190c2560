"""What most commands begin with: the files, the project they speak of, the stores, and what is registered."""

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from featureplane.cli.console import printable
from featureplane.cli.inputs import read_inputs
from featureplane.errors import FeatureplaneError, InputError, Problem
from featureplane.local.stores import embedded_stores, must_run
from featureplane.manifests.environment import object_store
from featureplane.materialization import sources
from featureplane.model.declarations import ProjectDeclarations, only_project, with_data_root
from featureplane.model.durations import parse_duration
from featureplane.registry import catalogue
from featureplane.registry.database import begin_once, database_exists
from featureplane.registry.plan import closure
from featureplane.registry.state import Registered
from featureplane.rendering.definitions import Definition, Key, define
from featureplane.settings import Settings, Stores

Paths = Annotated[
    list[str], typer.Argument(metavar="PATH", help="YAML files, folders of them, or - for standard input.")
]
ProjectName = Annotated[
    str | None, typer.Option("--project", metavar="NAME", help="The project to work on, where the files hold several.")
]
DataRootPath = Annotated[
    Path | None,
    typer.Option(
        "--data-root",
        metavar="DIR",
        help="Local folder that file sources are relative to, in place of the project's dataRoot.",
    ),
]
FromRegistry = Annotated[
    bool,
    typer.Option(
        "--registered",
        help="Take the views that Featureplane registered from the registry, as a pod does; of the files only the "
        "FeastProject counts.",
    ),
]
FeatureNames = Annotated[
    list[str] | None,
    typer.Option("--feature", "-f", metavar="VIEW[:FEATURE]", help="A feature, or all of a view's; may be repeated."),
]
ServerUrl = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        help="Ask this server, and look neither at files nor at stores; default: this folder's, or one for the moment.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]

# The database that embedded PostgreSQL holds the registry in; in a cluster the Secret names it.
_LOCAL_DATABASE = "feast"


@dataclass(frozen=True)
class Workspace:
    """One project of the files, and where its file sources lie on this machine (None: not on this machine)."""

    settings: Settings
    declarations: ProjectDeclarations
    local_root: Path | None

    @property
    def feast_project(self) -> str:
        return self.declarations.project.spec.project

    @property
    def repo_path(self) -> Path:
        """What Feast takes relative paths to be relative to."""
        return self.local_root or Path.cwd()

    @property
    def has_objects(self) -> bool:
        """Whether its file sources lie in an S3 store, which is looked into from here as from a pod."""
        root = self.declarations.project.spec.offline_store.data_root
        return root is not None and root.is_s3

    def source_problems(self, views: Collection[str] | None = None) -> list[Problem]:
        """What is wrong with the sources of these views (None: of all) that lie on this machine."""
        if self.local_root is None:
            return []
        declared = self.declarations
        if views is not None:
            declared = replace(declared, views=tuple(view for view in declared.views if view.feast_name in views))
        return sources.inspect(declared, self.local_root)


def check_server(server: str | None, paths: Sequence[str], project: str | None, data_root: Path | None) -> None:
    """Refuse to be told of no place to ask, or of two: a server knows its project, and nobody would look at files."""
    if not paths and not server:
        raise FeatureplaneError("name the files of a project, or a server with --server")
    options = {"--project": project, "--data-root": data_root}
    beside = [*paths, *(name for name, value in options.items() if value is not None)]
    if server and beside:
        raise FeatureplaneError(f"--server asks that server alone; leave out {', '.join(beside)}, or --server")


def open_workspace(
    paths: Sequence[str], project: str | None, data_root: Path | None, *, look_at_sources: bool = True
) -> Workspace:
    """Read the files and choose the project. Raises InputError with every problem, its local sources' included."""
    workspaces = open_workspaces(paths, data_root, look_at_sources=False)
    chosen = only_project([item.declarations for item in workspaces], project)
    if chosen is None:
        known = ", ".join(
            sorted(f"{item.declarations.project.metadata.name} ({item.feast_project})" for item in workspaces)
        )
        if project is not None:
            raise FeatureplaneError(f"--project {project!r} is not one of the files' projects; they hold {known}")
        raise FeatureplaneError(f"the files hold the projects {known}; choose one with --project")
    workspace = next(item for item in workspaces if item.declarations is chosen)
    reach_objects(workspace)
    if look_at_sources:
        _refuse_wrong_sources([workspace])
    return workspace


def open_workspaces(paths: Sequence[str], data_root: Path | None, *, look_at_sources: bool = True) -> list[Workspace]:
    """Every project of the files."""
    settings = Settings.from_env()
    root = data_root or settings.data_root
    if root is not None and not root.is_dir():
        raise FeatureplaneError(f"the data root {root} is not a folder; name one that is there with --data-root")
    workspaces = [_localized(settings, item, root) for item in read_inputs(paths)]
    if look_at_sources:
        _refuse_wrong_sources(workspaces)
    return workspaces


@contextmanager
def objects_reached(workspace: Workspace) -> Iterator[None]:
    """`reach_objects` for as long as the block lasts, for who looks at one project after another."""
    before = dict(os.environ)
    reach_objects(workspace)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def reach_objects(workspace: Workspace) -> None:
    """Let this process and its children find the S3 store that the project names, as a pod's environment does."""
    os.environ.update(object_store(workspace.declarations.project).environment())


def _refuse_wrong_sources(workspaces: Sequence[Workspace]) -> None:
    if problems := [problem for item in workspaces for problem in item.source_problems()]:
        raise InputError(sorted(problems))


def _localized(settings: Settings, declarations: ProjectDeclarations, root: Path | None) -> Workspace:
    """Where sources lie: the folder that was asked for, else the project's own root, else `data` here."""
    declared = declarations.project.spec.offline_store.data_root
    uri = (declared.uri or declared.mount_path) if declared else None
    if uri == ".":
        return Workspace(settings, declarations, (root or Path.cwd()).resolve())
    if root is None and uri is not None and "://" in uri:
        return Workspace(settings, declarations, None)
    if root is None and uri is not None and settings.stores == "environment":
        return Workspace(settings, declarations, Path(uri) if Path(uri).is_dir() else None)
    is_volume = declared is not None and declared.mount_path is not None
    folder = root.resolve() if root else Path(uri) if uri and not is_volume else Path("data").resolve()
    return Workspace(settings, with_data_root(declarations, str(folder)), folder)


@contextmanager
def open_stores(settings: Settings) -> Iterator[Stores]:
    """The stores of the environment, or embedded ones whose data stay in the state folder."""
    if settings.stores == "environment":
        yield Stores(settings.postgres, settings.redis)
        return
    make_state_dir(settings)
    with embedded_stores(_stores_folder(settings), search_path=settings.search_path) as stores:
        yield Stores(stores.postgres.with_database(_LOCAL_DATABASE), stores.redis)


def must_stay(settings: Settings, stores: Stores) -> None:
    """Raise LocalStoreError where the stores are embedded ones that have ended. Others come back by themselves."""
    if settings.stores != "environment":
        must_run(_stores_folder(settings), stores)


def _stores_folder(settings: Settings) -> Path:
    return settings.state_dir / "stores"


def make_state_dir(settings: Settings) -> None:
    """Make the state folder. Raises FeatureplaneError where that, or writing in it, is not possible."""
    folder = settings.state_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        why = "" if os.access(folder, os.W_OK | os.X_OK) else "it may not be written to"
    except OSError as error:
        why = error.strerror or str(error)
    if why:
        raise FeatureplaneError(
            f"the state folder {folder} cannot be used: {why}; set FEATUREPLANE_STATE_DIR to a folder of yours"
        )


def registered(stores: Stores, project: str) -> Registered:
    """What the registry holds of a project: nothing, where there is no database yet. Only looks."""
    if not database_exists(stores.postgres):
        return Registered()
    with begin_once(stores.postgres) as connection:
        return catalogue.read(connection, project)


def must_answer(stores: Stores) -> None:
    """Raise StoreUnavailable at once where the registry does not answer; the writer would try for many seconds."""
    database_exists(stores.postgres)


def definitions(workspace: Workspace) -> list[Definition]:
    return define(workspace.declarations)


def ours(known: Registered) -> list[Definition]:
    """What Featureplane registered and what that refers to, in the order of registration.

    An object that refers to something that somebody removed from Feast's registry is left out: the next apply mends it.
    """
    found: dict[Key, Definition] = {}
    for key in known.definitions:
        if key in known.owned:
            with suppress(KeyError):
                found |= {item.key: item for item in closure(known.definitions, [known.definitions[key]])}
    return list(found.values())


def all_registered(declared: list[Definition], known: Registered) -> list[Definition]:
    """The views. Raises FeatureplaneError unless every one of them is registered."""
    missing = [item.name for item in declared if item.name not in known.features]
    if missing:
        raise FeatureplaneError(f"not registered yet: {', '.join(missing)}; run featureplane apply first")
    return declared


def span_of(window: str | None) -> timedelta | None:
    """The length of time that `--window` names."""
    if window is None:
        return None
    try:
        return parse_duration(window)
    except ValueError as error:
        raise FeatureplaneError(f"--window {window!r} {error}") from error


def moment_of(option: str, text: str, now: datetime) -> datetime:
    """The moment that an option names: so long ago, or a time, which is UTC where it has no zone."""
    try:
        return now - parse_duration(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise FeatureplaneError(
            f"{option} {printable(text)} is neither a duration nor a time; write 2d, 2026-03-31 or 2026-03-31T08:00Z"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def views_of(items: Iterable[Definition]) -> list[Definition]:
    return [item for item in items if item.kind == "feature_view"]
