"""`featureplane get-online-features`: rows of the online store as a table."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.text import Text

from featureplane.cli.asking import ask, described
from featureplane.cli.console import print_json, printable, say, show_table, table
from featureplane.cli.serve import running_server
from featureplane.cli.workspace import (
    AsJson,
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
from featureplane.model.auth import Auth
from featureplane.model.feast_project import FeastProject
from featureplane.registry.state import Registered
from featureplane.serving.app import serving
from featureplane.settings import Settings, Stores

_WHOLE = re.compile("-?(0|[1-9][0-9]*)", re.ASCII)
_EPOCH = "1970-01-01T00:00:00Z"
# Statuses that are worth a word below the table.
_MEANING = {
    "NOT_FOUND": "nothing is stored for this entity and feature",
    "OUTSIDE_MAX_AGE": "the row is older than the ttl of its view",
}


def get_online_features(
    entity: Annotated[
        list[str],
        typer.Option(
            "--entity", "-e", metavar="KEY=VALUE[,VALUE...]", help="Join key and its values; once for each join key."
        ),
    ],
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH", help="YAML files, folders of them, or - for standard input; none with --server."
        ),
    ] = None,
    feature: FeatureNames = None,
    service: Annotated[
        str | None, typer.Option("--service", "-s", metavar="NAME", help="The features of a feature service instead.")
    ] = None,
    server: ServerUrl = None,
    project: ProjectName = None,
    data_root: DataRootPath = None,
    as_json: AsJson = False,
) -> None:
    """Ask for the online features of some entities.

    For example: featureplane get-online-features examples/commodity -f commodity_price_features:current_price
    -e commodity_code=crude_oil_wti,gold
    """
    if bool(feature) == bool(service):
        raise FeatureplaneError("name features with --feature, or a feature service with --service")
    check_server(server, paths or [], project, data_root)
    if server:
        question, answer = _asked_of_server(server, entity, feature or [], service)
    else:
        workspace = open_workspace(paths or [], project, data_root, look_at_sources=False)
        question, answer = _asked_here(workspace, entity, feature or [], service)
    rows = rows_of(answer, question.columns)
    if as_json:
        print_json(rows)
    else:
        show(rows, [key for key in question.entities if not rows or key in rows[0]])


@dataclass(frozen=True)
class _Question:
    """Entities by join key, and `view:feature`s: those of the service, where one is asked for."""

    entities: Mapping[str, Sequence[str | int]]
    references: Sequence[str]
    service: str | None

    @property
    def _names(self) -> list[str]:
        return [reference.partition(":")[2] for reference in self.references]

    @property
    def _full_names(self) -> bool:
        return len(set(self._names)) < len(self._names)

    @property
    def request(self) -> dict[str, Any]:
        """In Feast's form."""
        return {
            **({"feature_service": self.service} if self.service else {"features": self.references}),
            "entities": self.entities,
            "full_feature_names": self._full_names,
        }

    @property
    def columns(self) -> list[str]:
        """The names of the answer's columns, in their order."""
        full = (reference.replace(":", "__") for reference in self.references)
        return [*self.entities, *(full if self._full_names else self._names)]


def _asked_of_server(
    url: str, entity: Sequence[str], features: Sequence[str], service: str | None
) -> tuple[_Question, Mapping[str, Any]]:
    """Nothing but the server is needed; what is wrong with the question is for it to say."""
    token = Settings.from_env().token
    said = described(url, features, service, token)
    question = _Question(entity_values(entity, said.key_types), said.references, service)
    return question, ask(url, question.request, token)


def _asked_here(
    workspace: Workspace, entity: Sequence[str], features: Sequence[str], service: str | None
) -> tuple[_Question, Mapping[str, Any]]:
    """Of the folder's server, or of one for the moment; what is wrong with the question is said before."""
    with open_stores(workspace.settings) as stores:
        known = registered(stores, workspace.feast_project)
        references = _service_features(service, known) if service else _view_features(features, known)
        entities = entities_of(entity, references, known)
        question = _Question(entities, references, service)
        with asking_here(workspace, stores) as asked:
            return question, asked(question.request)


@contextmanager
def asking_here(workspace: Workspace, stores: Stores) -> Iterator[Callable[[Mapping[str, Any]], Mapping[str, Any]]]:
    """Requests to this folder's server, or to one for the moment."""
    if url := running_server(workspace.settings, workspace.feast_project):
        yield lambda request: ask(url, request, workspace.settings.token)
        return
    unguarded = open_to_all(workspace.declarations.project)
    with serving(unguarded, stores, workspace.repo_path) as temporary:
        temporary.wait_until_ready()
        yield lambda request: ask(temporary.url, request)


def _service_features(service: str, known: Registered) -> list[str]:
    """What a feature service holds, as `view:feature`."""
    definition = known.definitions.get(("feature_service", service))
    if definition is None:
        services = ", ".join(sorted(name for kind, name in known.definitions if kind == "feature_service")) or "none"
        raise FeatureplaneError(f"the feature service {service!r} is not registered; registered are {services}")
    return [f"{view['name']}:{name}" for view in definition.spec["views"] for name in view["features"]]


def check_view(view: str, known: Registered) -> None:
    """Raises FeatureplaneError where it is not registered."""
    if view not in known.features:
        registered_views = ", ".join(known.features) or "none"
        raise FeatureplaneError(f"the feature view {view!r} is not registered; registered are {registered_views}")


def _view_features(features: Sequence[str], known: Registered) -> list[str]:
    """References as `view:feature`, a view's name alone standing for all of its features."""
    references: list[str] = []
    for reference in features:
        view, _, name = reference.partition(":")
        check_view(view, known)
        if name and name not in known.features[view]:
            its = ", ".join(known.features[view])
            raise FeatureplaneError(f"the feature view {view!r} has no feature {name!r}; it has {its}")
        references += [reference] if name else [f"{view}:{each}" for each in known.features[view]]
    return list(dict.fromkeys(references))


def entities_of(texts: Sequence[str], references: Sequence[str], known: Registered) -> dict[str, list[str | int]]:
    """What `--entity` names, by join key, for features as `view:feature`. Raises FeatureplaneError."""
    types = {item.spec["join_key"]: item.spec["type"] for item in known.definitions.values() if item.kind == "entity"}
    entities = entity_values(texts, types)
    for key in entities:
        if key not in types:
            raise FeatureplaneError(
                f"{key!r} is no join key of a registered entity; they are {', '.join(sorted(types)) or 'none'}"
            )
    _check_join_keys(entities, references, known)
    return entities


def entity_values(texts: Sequence[str], types: Mapping[str, str]) -> dict[str, list[str | int]]:
    """`commodity_code=gold,silver` by join key, with integers where its type is one, or looks so and is not known."""
    entities: dict[str, list[str | int]] = {}
    for text in texts:
        key, separator, values = text.partition("=")
        if not separator or not key:
            raise FeatureplaneError(f"--entity {text!r} is not KEY=VALUE; write for example commodity_code=gold,silver")
        try:
            converted = [_entity_value(value, types.get(key)) for value in values.split(",")]
        except ValueError:
            raise FeatureplaneError(
                f"--entity {text!r}: {key} is {types[key]}, so its values are whole numbers"
            ) from None
        entities[key] = entities.get(key, []) + converted
    if len({len(values) for values in entities.values()}) > 1:
        raise FeatureplaneError("every --entity needs as many values as the others: they are read side by side")
    return entities


def _entity_value(text: str, kind: str | None) -> str | int:
    if kind in {"Int32", "Int64"} or (kind is None and _WHOLE.fullmatch(text)):
        return int(text)
    return text


def _check_join_keys(entities: Mapping[str, object], references: Sequence[str], known: Registered) -> None:
    """Say by name what is missing, before a server is started for the answer."""
    needed: dict[str, str] = {}
    for reference in references:
        view = reference.partition(":")[0]
        for entity in known.definitions["feature_view", view].spec["entities"]:
            needed.setdefault(entity["join_key"], view)
    for key, view in needed.items():
        if key not in entities:
            raise FeatureplaneError(f"the feature view {view!r} needs the join key {key!r}: --entity {key}=VALUE")
    for key in entities:
        if key not in needed:
            wanted = ", ".join(needed)
            raise FeatureplaneError(f"--entity {key!r} belongs to none of the features asked for; they need {wanted}")


def open_to_all(project: FeastProject) -> FeastProject:
    """The project without authentication, for a server of one answer: who starts it can read the stores themselves."""
    server = project.spec.server.model_copy(update={"auth": Auth()})
    return project.model_copy(update={"spec": project.spec.model_copy(update={"server": server})})


def rows_of(answer: Mapping[str, Any], order: Sequence[str]) -> list[dict[str, dict[str, Any]]]:
    """Feast's columns as rows: for each entity, name to value, status and event time.

    Names come in `order`, then what else there is; Feast answers in an order of its own. Raises FeatureplaneError for
    an answer that has not Feast's form.
    """
    try:
        columns = dict(zip(answer["metadata"]["feature_names"], answer["results"], strict=True))
        names = [name for name in dict.fromkeys([*order, *columns]) if name in columns]
        count = max((len(column["values"]) for column in columns.values()), default=0)
        return [{name: _cell(columns[name], row) for name in names} for row in range(count)]
    except (LookupError, TypeError, ValueError) as error:
        raise FeatureplaneError("the server's answer has not the form of Feast's; is it a feature server?") from error


def _cell(column: Mapping[str, Any], row: int) -> dict[str, Any]:
    time = column["event_timestamps"][row] if column.get("event_timestamps") else None
    return {
        "value": column["values"][row],
        "status": column["statuses"][row] if column.get("statuses") else None,
        "event_time": None if time in {None, _EPOCH} else time,
    }


def show(rows: Sequence[Mapping[str, Mapping[str, Any]]], keys: Sequence[str]) -> None:
    """One line for each entity and feature: many features do not fit beside each other."""
    made = table(*keys, "FEATURE", "VALUE", "EVENT TIME", "STATUS")
    statuses: dict[str, None] = {}
    for cells, name, cell in _lines(rows, keys):
        status = printable(cell["status"] or "-")
        shown = Text(status, style="yellow" if status in _MEANING else "")
        made.add_row(*cells, printable(name), _value(cell), cell["event_time"] or "-", shown)
        statuses[status] = None
    show_table(made)
    for status in statuses:
        if status in _MEANING:
            say(f"{status}: {_MEANING[status]}")


def _value(cell: Mapping[str, Any]) -> str:
    """A null that is stored is told from what is not there."""
    if cell["value"] is None:
        return "null" if cell["status"] == "PRESENT" else "-"
    return printable(cell["value"], 60)


def _lines(
    rows: Sequence[Mapping[str, Mapping[str, Any]]], keys: Sequence[str]
) -> Iterator[tuple[list[str], str, Mapping[str, Any]]]:
    for row in rows:
        cells = [printable(row[key]["value"]) for key in keys]
        for name, cell in row.items():
            if name not in keys:
                yield cells, name, cell
                cells = [""] * len(keys)
