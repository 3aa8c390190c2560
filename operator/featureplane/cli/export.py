"""`featureplane export`: what is online of a file's entities, as a file."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer

from featureplane.cli.asking import ask, described
from featureplane.cli.console import complain, counted, progress, say
from featureplane.cli.online import asking_here
from featureplane.cli.training_set import EntityFilePath, FullNames, OutPath
from featureplane.cli.workspace import (
    DataRootPath,
    FeatureNames,
    ProjectName,
    ServerUrl,
    Workspace,
    check_server,
    open_stores,
    open_workspace,
    registered,
)
from featureplane.errors import FeatureplaneError
from featureplane.registry.state import Registered
from featureplane.settings import Settings
from featureplane.training.asking import Asked, asked_by_name, asked_for
from featureplane.training.entity_files import entities_at
from featureplane.training.online import Ask, Export, export
from featureplane.training.output import check_output, refuse_lists_in_csv, table_appearing


def export_online(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[VIEW|SERVICE] PATH",
            help="A feature service, else a view (none with --feature), then YAML files, folders of them, or - for "
            "standard input (none with --server).",
        ),
    ] = None,
    *,
    entities: EntityFilePath,
    out: OutPath,
    feature: FeatureNames = None,
    statuses: Annotated[
        bool, typer.Option("--with-status", help="A column NAME__status beside each feature's.")
    ] = False,
    event_times: Annotated[
        bool, typer.Option("--with-event-time", help="A column NAME__event_timestamp beside each feature's.")
    ] = False,
    full_feature_names: FullNames = False,
    server: ServerUrl = None,
    project: ProjectName = None,
    data_root: DataRootPath = None,
) -> None:
    """Write what is online of a file's entities.

    Each row of the file gets the features that a model would get now.

    OUT appears whole or not at all. For example:
    featureplane export driver_stats features/ --entities drivers.csv --out online.parquet --with-status
    """
    name, *paths = ["", *(names or [])] if feature else (names or [""])
    if not feature and not (name and (paths or server)):
        raise FeatureplaneError(
            "name a feature view or service, or features with --feature, and then the files of the project, or a "
            "server with --server"
        )
    check_server(server, paths, project, data_root)
    workspace = None if server else open_workspace(paths, project, data_root, look_at_sources=False)
    form = check_output(out, entities)
    options = {"statuses": statuses, "event_times": event_times}
    wanted = (name, feature or [])
    where = _here(workspace, *wanted) if workspace else _of_server(server or "", *wanted)
    with entities_at(entities) as file, where as (asked, types, keys, asking):
        columns = asked.columns(full_names=full_feature_names)
        refuse_lists_in_csv(out, form, {column: types[reference] for column, reference in columns.items()})
        order = Export(columns, types, keys, asked.service, file, **options)
        with table_appearing(out, form) as writer, progress("exported") as told:
            made = export(order, asking, writer, told)
    say(f"{counted(made.rows, 'row')} in {out}")
    for column, count in made.missing.items():
        if count:
            complain(f"{column} has no value in {count} of them", "")


# Features, their types by `view:feature`, the types of the join keys, and how to ask for them.
_Where = tuple[Asked, dict[str, str], dict[str, str], Ask]


@contextmanager
def _of_server(url: str, name: str, features: Sequence[str]) -> Iterator[_Where]:
    token = Settings.from_env().token
    said = described(url, features, name or None, token)
    service = name
    if name and not said.references:
        said, service = described(url, [name], None, token), ""
    untyped = [reference for reference in said.references if reference not in said.types]
    if untyped or not said.references:
        what = untyped[0] if untyped else name
        raise FeatureplaneError(
            f"the server at {url} knows no {what!r}, or does not say its type; `featureplane serve` says it of "
            "registered views"
        )
    asked = Asked(tuple(said.references), service)
    yield asked, dict(said.types), dict(said.key_types), lambda request: ask(url, request, token)


@contextmanager
def _here(workspace: Workspace, name: str, features: Sequence[str]) -> Iterator[_Where]:
    with open_stores(workspace.settings) as stores:
        known = registered(stores, workspace.feast_project)
        asked = asked_by_name(known, name) if name else asked_for(known, "", features)
        types, keys = _types(known, asked)
        with asking_here(workspace, stores) as asking:
            yield asked, types, keys, asking


def _types(known: Registered, asked: Asked) -> tuple[dict[str, str], dict[str, str]]:
    types: dict[str, str] = {}
    keys: dict[str, str] = {}
    for view in dict.fromkeys(reference.partition(":")[0] for reference in asked.references):
        spec = known.definitions["feature_view", view].spec
        types |= {f"{view}:{feature['name']}": feature["type"] for feature in spec["features"]}
        keys |= {entity["join_key"]: entity["type"] for entity in spec["entities"]}
    return types, keys
