"""`featureplane get-online-features`: rows of the online store as a table."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import httpx
import typer
from rich.text import Text

from featureplane.cli.console import print_json, printable, say, show_table, table
from featureplane.cli.serve import on_this_machine, running_server
from featureplane.cli.workspace import AsJson, DataRootPath, Paths, ProjectName, open_stores, open_workspace, registered
from featureplane.errors import FeatureplaneError, StoreUnavailable
from featureplane.model.auth import Auth
from featureplane.model.feast_project import FeastProject
from featureplane.registry.state import Registered
from featureplane.serving.app import serving

_SECONDS = 30.0
_EPOCH = "1970-01-01T00:00:00Z"
# Statuses that are worth a word below the table.
_MEANING = {
    "NOT_FOUND": "nothing is stored for this entity and feature",
    "OUTSIDE_MAX_AGE": "the row is older than the ttl of its view",
}


def get_online_features(
    paths: Paths,
    entity: Annotated[
        list[str],
        typer.Option(
            "--entity", "-e", metavar="KEY=VALUE[,VALUE...]", help="Join key and its values; once for each join key."
        ),
    ],
    feature: Annotated[
        list[str] | None,
        typer.Option(
            "--feature", "-f", metavar="VIEW[:FEATURE]", help="A feature, or all of a view's; may be repeated."
        ),
    ] = None,
    service: Annotated[
        str | None, typer.Option("--service", "-s", metavar="NAME", help="The features of a feature service instead.")
    ] = None,
    server: Annotated[
        str | None,
        typer.Option("--server", metavar="URL", help="Ask this server; default: this folder's, or one for the moment."),
    ] = None,
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
    workspace = open_workspace(paths, project, data_root, look_at_sources=False)
    with open_stores(workspace.settings) as stores:
        known = registered(stores, workspace.feast_project)
        entities = _entities(entity, known)
        references = _service_features(service, known) if service else _view_features(feature or [], known)
        _check_join_keys(entities, references, known)
        names = [reference.partition(":")[2] for reference in references]
        full_names = len(set(names)) < len(names)
        request = {
            **({"feature_service": service} if service else {"features": references}),
            "entities": entities,
            "full_feature_names": full_names,
        }
        url = server or running_server(workspace.settings, workspace.feast_project)
        if url:
            answer = ask(url, request, workspace.settings.token)
        else:
            unguarded = open_to_all(workspace.declarations.project)
            with serving(unguarded, stores, workspace.repo_path) as temporary:
                temporary.wait_until_ready()
                answer = ask(temporary.url, request)
    rows = rows_of(answer, [*entities, *([item.replace(":", "__") for item in references] if full_names else names)])
    if as_json:
        print_json(rows)
    else:
        show(rows, list(entities))


def _service_features(service: str, known: Registered) -> list[str]:
    """What a feature service holds, as `view:feature`."""
    definition = known.definitions.get(("feature_service", service))
    if definition is None:
        services = ", ".join(sorted(name for kind, name in known.definitions if kind == "feature_service")) or "none"
        raise FeatureplaneError(f"the feature service {service!r} is not registered; registered are {services}")
    return [f"{view['name']}:{name}" for view in definition.spec["views"] for name in view["features"]]


def _view_features(features: Sequence[str], known: Registered) -> list[str]:
    """References as `view:feature`, a view's name alone standing for all of its features."""
    references: list[str] = []
    for reference in features:
        view, _, name = reference.partition(":")
        if view not in known.features:
            registered_views = ", ".join(known.features) or "none"
            raise FeatureplaneError(f"the feature view {view!r} is not registered; registered are {registered_views}")
        if name and name not in known.features[view]:
            its = ", ".join(known.features[view])
            raise FeatureplaneError(f"the feature view {view!r} has no feature {name!r}; it has {its}")
        references += [reference] if name else [f"{view}:{each}" for each in known.features[view]]
    return list(dict.fromkeys(references))


def _entities(texts: Sequence[str], known: Registered) -> dict[str, list[str | int]]:
    """`commodity_code=gold,silver` by join key, with integers where the entity's type is one."""
    types = {item.spec["join_key"]: item.spec["type"] for item in known.definitions.values() if item.kind == "entity"}
    entities: dict[str, list[str | int]] = {}
    for text in texts:
        key, separator, values = text.partition("=")
        if not separator or not key:
            raise FeatureplaneError(f"--entity {text!r} is not KEY=VALUE; write for example commodity_code=gold,silver")
        if key not in types:
            raise FeatureplaneError(
                f"{key!r} is no join key of a registered entity; they are {', '.join(sorted(types)) or 'none'}"
            )
        try:
            converted = [int(value) if types[key] in {"Int32", "Int64"} else value for value in values.split(",")]
        except ValueError:
            raise FeatureplaneError(
                f"--entity {text!r}: {key} is {types[key]}, so its values are whole numbers"
            ) from None
        entities[key] = entities.get(key, []) + converted
    if len({len(values) for values in entities.values()}) > 1:
        raise FeatureplaneError("every --entity needs as many values as the others: they are read side by side")
    return entities


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


def ask(url: str, request: Mapping[str, Any], token: str = "") -> Mapping[str, Any]:
    """POST a request in Feast's form. Raises StoreUnavailable without a server, FeatureplaneError when it refuses."""
    if not url.startswith(("http://", "https://")):
        raise FeatureplaneError(f"{url!r} is no URL of a server; write it like http://127.0.0.1:8080")
    try:
        # A proxy of the environment is for other machines than this one.
        with httpx.Client(trust_env=not on_this_machine(url), timeout=_SECONDS) as client:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            response = client.post(f"{url.rstrip('/')}/get-online-features", json=dict(request), headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise StoreUnavailable(f"no server answers at {url}: {error}") from error
    if not response.is_success:
        said = f"the server at {url} answered {response.status_code}: {_reason(response.text)}"
        if response.status_code == httpx.codes.UNAUTHORIZED:
            said += "; FEATUREPLANE_TOKEN is the token that is shown"
        raise FeatureplaneError(said)
    try:
        return dict(response.json())
    except (ValueError, TypeError) as error:
        raise FeatureplaneError(f"what answers at {url} is no feature server") from error


def _reason(text: str) -> str:
    """What a server's error says: the `message` of an object, which for errors of Feast's kinds is a text once more."""
    try:
        said = json.loads(text)
        said = json.loads(said) if isinstance(said, str) else said
    except ValueError:
        said = None
    words = (said.get("message") or said.get("detail")) if isinstance(said, dict) else None
    if not isinstance(words, str):
        return printable(text, 500)
    request = said.get("request_id")
    return printable(words, 500) + (f" (request {printable(request, 60)})" if isinstance(request, str) else "")


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
