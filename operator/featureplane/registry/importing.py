"""An existing Feast registry or repo folder as custom resources, and a list of what cannot be one."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featureplane.model.declarations import declare
from featureplane.model.documents import Document
from featureplane.registry import protos
from featureplane.registry.channel import Child
from featureplane.registry.from_protos import convert, settle
from featureplane.registry.state import FEASTS_OWN, NO_FORM, Foreign, Registered
from featureplane.rendering import objects
from featureplane.rendering.definitions import Definition, Key
from featureplane.rendering.repo import OUR_OFFLINE_STORES
from featureplane.settings import child_environment

_MESSAGES = {
    "project": protos.Project,
    "entity": protos.Entity,
    "data_source": protos.DataSource,
    "feature_view": protos.FeatureView,
    "feature_service": protos.FeatureService,
}
# A repo that was rendered names classes of ours.
_STORES = {path: name for name, path in OUR_OFFLINE_STORES.items()}


@dataclass(frozen=True)
class Imported:
    """`objects` by the name of the file they belong in; `left_out` stays as it is in Feast."""

    objects: Mapping[str, dict[str, Any]]
    left_out: tuple[Foreign, ...]


def read_repo(folder: Path) -> tuple[str, str, Registered]:
    """Project, offline store and objects of a Feast repo. Runs the repo's Python, as Feast does, in a child process."""
    child = Child("featureplane.registry.repo_process", {**child_environment(), "PYTHONWARNINGS": "ignore"})
    try:
        answer = child.ask({"path": str(folder.resolve())})
    finally:
        child.close()
    messages = [convert(kind, _MESSAGES[kind].FromString(base64.b64decode(text))) for kind, text in answer["messages"]]
    converted = [item for item in messages if (item.kind, item.name) not in FEASTS_OWN]
    foreign = [Foreign(kind, name, NO_FORM) for kind, name in answer["others"]]
    foreign += [item for item in converted if isinstance(item, Foreign)]
    definitions, more = settle(_with_nested_sources([item for item in converted if isinstance(item, Definition)]))
    foreign += more
    registered = Registered({item.key: item for item in definitions}, frozenset(), tuple(foreign))
    offline_store = str(answer["offline_store"])
    return answer["project"], _STORES.get(offline_store, offline_store), registered


def _with_nested_sources(definitions: list[Definition]) -> list[Definition]:
    """A repo may hold a source only inside a view; in the registry it has a row of its own."""
    known = {item.key for item in definitions}
    found = list(definitions)
    for item in definitions:
        for copy in ("source_copy", "push_copy"):
            spec = item.spec.get(copy) if item.kind == "feature_view" else None
            if spec and ("data_source", spec["name"]) not in known:
                known.add(("data_source", spec["name"]))
                found.append(Definition("data_source", spec["name"], spec))
    return found


def to_objects(project: str, registered: Registered, offline_store: str | None = None) -> Imported:
    """Custom resources whose definitions are the registered ones; each is proven by declaring it again.

    The registry does not say which offline store the project has; without `offline_store` its sources do.
    """
    offline_store = offline_store or _store_of(registered)
    known = registered.definitions
    left_out = list(registered.foreign)
    root = objects.data_root(item.spec["path"] for item in known.values() if item.spec.get("type") == "file")
    project_object = objects.project_object(project, known.get(("project", project)), root, offline_store)
    reference = project_object["metadata"]["name"]
    made: dict[str, tuple[Definition | None, dict[str, Any]]] = {"project.yaml": (None, project_object)}
    for kind in ("feature_view", "feature_service"):
        for item in (definition for definition in known.values() if definition.kind == kind):
            try:
                found = _object(item, known, root, reference)
            except KeyError as error:
                used, name = error.args[0]
                left_out.append(
                    Foreign(kind, item.name, f"uses the {used.replace('_', ' ')} {name}, which cannot be one")
                )
                continue
            except ValueError as error:
                left_out.append(Foreign(kind, item.name, str(error)))
                continue
            file = f"{'views' if kind == 'feature_view' else 'services'}/{found['metadata']['name']}.yaml"
            if file in made:
                left_out.append(Foreign(kind, item.name, "its name is another's but for case and punctuation"))
            else:
                made[file] = (item, found)
    while problems := _problems({file: manifest for file, (_, manifest) in made.items()}):
        for file, why in problems.items():
            culprit, _ = made.pop(file)
            left_out.append(Foreign(culprit.kind, culprit.name, why) if culprit else Foreign("project", project, why))
    accepted = {file: manifest for file, (_, manifest) in made.items()}
    return Imported(accepted, tuple(left_out) + tuple(_unused(known, accepted)))


def _store_of(registered: Registered) -> str:
    """`postgres` or `spark` where most sources are their tables, else `file`."""
    types = [item.spec["type"] for item in registered.definitions.values() if item.kind == "data_source"]
    return max(("file", "postgres", "spark"), key=types.count)


def _object(item: Definition, known: Mapping[Key, Definition], root: str, project: str) -> dict[str, Any]:
    if item.kind == "feature_view":
        return objects.view_object(item, known, root, project)
    return objects.service_object(item, known, project)


def _problems(manifests: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The first problem of each file that cannot stand as it is; declared together, as the user will."""
    _, problems = declare([Document(file, manifest, {}) for file, manifest in manifests.items()])
    return {problem.file: f"{problem.path}: {problem.message}" for problem in reversed(problems)}


def _unused(known: Mapping[Key, Definition], accepted: Mapping[str, Mapping[str, Any]]) -> Iterable[Foreign]:
    """Entities and sources that no imported view uses: they have no custom resource of their own."""
    specs = [manifest["spec"] for manifest in accepted.values() if manifest["kind"] == "FeatureView"]
    entities = {entity["name"] for spec in specs for entity in spec["entities"]}
    views = {
        spec.get("name") or manifest["metadata"]["name"].replace("-", "_")
        for manifest in accepted.values()
        for spec in [manifest["spec"]]
    }
    sources = {
        source for name in views if ("feature_view", name) in known for source in _sources(known["feature_view", name])
    }
    for kind, name in known:
        if (kind == "entity" and name not in entities) or (kind == "data_source" and name not in sources):
            yield Foreign(kind, name, "is used by no imported view")


def _sources(view: Definition) -> set[str]:
    return {view.spec["source"], view.spec["push_source"]} - {None}
