"""All objects of a set of files (or of a cluster) together: which project each belongs to, and where they disagree.

Disagreement inside one object is `parsing`'s; this is what only shows when objects stand beside each other. Every
problem is given to each of the objects it concerns; which of them wins is for the caller to say.
"""

import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any

from featureplane import names
from featureplane.errors import Problem
from featureplane.model.base import Kind, shown
from featureplane.model.documents import Document, Path, field_path
from featureplane.model.feast_project import DataRoot, FeastProject, default_project
from featureplane.model.feature_service import FeatureService
from featureplane.model.feature_view import FeatureView
from featureplane.model.parsing import KINDS, parse
from featureplane.model.together import Declared, Together


@dataclass(frozen=True)
class ProjectDeclarations:
    """One FeastProject with everything that belongs to it. Views and services are in the order of their Feast names."""

    project: FeastProject
    views: tuple[FeatureView, ...] = ()
    services: tuple[FeatureService, ...] = ()
    # Where each view stands, by namespace and name, for what is found wrong with it later.
    origins: Mapping[tuple[str, str], Document] = field(default_factory=dict, repr=False, compare=False)

    def declared(self, view: FeatureView) -> Declared[FeatureView]:
        """The view with the place it stands in."""
        return Declared(view, self.origins.get((view.metadata.namespace, view.metadata.name)))


@dataclass
class _Found:
    projects: list[Declared[FeastProject]] = field(default_factory=list)
    views: list[Declared[FeatureView]] = field(default_factory=list)
    services: list[Declared[FeatureService]] = field(default_factory=list)
    # Objects that are here but wrong: another one that refers to them is not wrong for that.
    wrong_projects: set[tuple[str, str]] = field(default_factory=set)
    wrong_views: set[str] = field(default_factory=set)

    def add(self, found: Kind, document: Document) -> None:
        if isinstance(found, FeastProject):
            self.projects.append(Declared(found, document))
        elif isinstance(found, FeatureView):
            self.views.append(Declared(found, document))
        else:
            assert isinstance(found, FeatureService)  # the third and last kind
            self.services.append(Declared(found, document))

    def add_unread(self, value: Any) -> None:
        """Note what a document of which a part could not be read may be."""
        items = value.get("items") if isinstance(value, dict) and value.get("kind") == "List" else [value]
        for item in items if isinstance(items, list) else [items]:
            name = item.get("kind") if isinstance(item, dict) else None
            kinds = [KINDS[name]] if isinstance(name, str) and name in KINDS else list(KINDS.values())
            for kind in kinds:
                self.add_wrong(kind, item if isinstance(item, dict) else {})

    def add_wrong(self, kind: type[Kind], value: Mapping[str, Any]) -> None:
        """Note what an object that is wrong calls itself, as far as that can be read; else it may be any."""
        metadata, spec = (part if isinstance(part := value.get(key), dict) else {} for key in ("metadata", "spec"))
        name, namespace = metadata.get("name"), metadata.get("namespace", names.DEFAULT_NAMESPACE)
        if kind is FeastProject:
            known = isinstance(name, str) and isinstance(namespace, str)
            self.wrong_projects.add((str(namespace), str(name)) if known else _ANY_PROJECT)
        if kind is FeatureView:
            own = spec.get("name", name.replace("-", "_").replace(".", "_") if isinstance(name, str) else None)
            self.wrong_views.add(own if isinstance(own, str) else _ANY_VIEW)

    def everything(self) -> Iterator[Declared[Any]]:
        yield from self.projects
        yield from self.views
        yield from self.services


_ANY_PROJECT = ("", "")
_ANY_VIEW = ""


def declare(documents: Iterable[Document]) -> tuple[list[ProjectDeclarations], list[Problem]]:
    """Documents to projects. With any problem, or a document that could not be read, the list of projects is empty:
    nothing is applied in part.
    """
    found = _Found()
    problems: list[Problem] = []
    documents = list(documents)
    for document in documents:
        if document.wrong:
            found.add_unread(document.value)
            continue
        for item in _objects(document):
            kind, problem = _kind_of(item)
            if problem:
                problems.append(problem)
            if kind:
                model, more = parse(kind, item.value, item)
                problems += more
                if model:
                    found.add(model, item)
                else:
                    found.add_wrong(kind, item.value)
    problems += _twice_the_same(found)
    groups, more = _assign(found)
    problems += more
    for group in groups:
        problems += _disagreements(group, found.wrong_views)
    if problems or any(document.wrong for document in documents):
        return [], sorted(set(problems))
    return [_declarations(group.project, group) for group in groups if group.project], []


def _declarations(project: Declared[FeastProject], group: "_Group") -> ProjectDeclarations:
    views, services = group.views, group.services
    return ProjectDeclarations(
        project.object,
        tuple(sorted((view.object for view in views), key=lambda view: view.feast_name)),
        tuple(sorted((service.object for service in services), key=lambda service: service.feast_name)),
        {(item.object.metadata.namespace, item.object.metadata.name): item.document for item in views if item.document},
    )


def _objects(document: Document) -> Iterator[Document]:
    """The document itself, or the items of a `kind: List` as kubectl prints it."""
    value = document.value
    if isinstance(value, dict) and value.get("kind") == "List" and isinstance(value.get("items"), list):
        lines: dict[Any, dict[Path, int]] = defaultdict(dict)
        for path, line in document.lines.items():
            if len(path) > 1 and path[0] == "items":
                lines[path[1]][path[2:]] = line
        for index, item in enumerate(value["items"]):
            yield Document(document.file, item, lines[index])
    else:
        yield document


def _kind_of(document: Document) -> tuple[type[Kind] | None, Problem | None]:  # noqa: PLR0911 - a list of refusals
    """The class of an object; objects of other groups (a Secret in the same file, say) are passed over."""
    value = document.value

    def problem(path: Path, message: str, remedy: str) -> Problem:
        return Problem(document.file, document.line(path), field_path(path), message, remedy)

    if not isinstance(value, dict):
        return None, problem((), "is not an object", "start with apiVersion, kind, metadata and spec")
    version, kind = value.get("apiVersion"), value.get("kind")
    file = PurePath(document.file)
    if version is None and file.name == names.FEATURE_STORE_FILE:
        folder = shlex.quote(str(file.parent))
        remedy = (
            f"featureplane serve --feast-repo {folder} serves it, featureplane import {folder} --out NEW converts it"
        )
        return None, problem((), "is the configuration of a Feast repo and no object", remedy)
    if not isinstance(version, str) or not isinstance(kind, str):
        return None, problem(
            (), "has no apiVersion or no kind", f"start with apiVersion: {names.API_VERSION} and kind: FeatureView"
        )
    if (version, kind) == ("v1", "List"):
        return None, problem(("items",), "is not a list of objects", "start each object with a dash")
    if version.split("/")[0] != names.GROUP and kind not in KINDS:
        return None, None
    if version != names.API_VERSION:
        return None, problem(("apiVersion",), f"{shown(version)} is not known", f"write {names.API_VERSION}")
    if kind not in KINDS:
        return None, problem(("kind",), f"{shown(kind)} is not known", "write one of " + ", ".join(KINDS))
    return KINDS[kind], None


def _twice_the_same(found: _Found) -> Iterator[Problem]:
    groups: dict[tuple[type, str, str], list[Declared[Any]]] = defaultdict(list)
    for item in found.everything():
        groups[type(item.object), item.object.metadata.namespace, item.object.metadata.name].append(item)
    for (kind, _, name), items in groups.items():
        for item in items[1:]:
            yield item.problem(
                ("metadata", "name"),
                f"{name!r} is the name of another {kind.__name__}, {items[0]}",
                "rename one of them",
                "DuplicateName",
            )


@dataclass
class _Group:
    """What refers to one FeastProject; without one where that is here but wrong."""

    project: Declared[FeastProject] | None
    views: list[Declared[FeatureView]] = field(default_factory=list)
    services: list[Declared[FeatureService]] = field(default_factory=list)


def _assign(found: _Found) -> tuple[list[_Group], list[Problem]]:
    """Give every view and service to its project; without any FeastProject in the files a default one is assumed."""
    problems = list(_project_conflicts(found.projects))
    groups = {item.object.key: _Group(item) for item in found.projects}
    assumed = not found.projects and not found.wrong_projects

    def group_of(member: Declared[FeatureView] | Declared[FeatureService]) -> _Group:
        key = member.object.project_key
        if key in groups:
            return groups[key]
        if assumed and key[1] == names.DEFAULT_PROJECT:
            return groups.setdefault(key, _Group(Declared(default_project(key[0]))))
        if not {key, _ANY_PROJECT} & found.wrong_projects:
            message = f"refers to the FeastProject {key[0]}/{key[1]}, which is not here"
            remedy = "add it to the files, or correct projectRef"
            problems.append(member.problem(("spec", "projectRef"), message, remedy, "ProjectNotFound"))
        return groups.setdefault(key, _Group(None))

    for view in found.views:
        group_of(view).views.append(view)
    for service in found.services:
        group_of(service).services.append(service)
    return list(groups.values()), problems


def _project_conflicts(projects: Iterable[Declared[FeastProject]]) -> Iterator[Problem]:
    first: dict[str, Declared[FeastProject]] = {}
    for item in projects:
        name = item.object.spec.project
        other = first.setdefault(name, item)
        if other is not item and not other.is_same_object(item):
            path: Path = ("spec", "project")
            yield item.problem(path, f"{name!r} is the project of {other}", "choose another name", "ProjectConflict")


def _disagreements(group: _Group, wrong_views: set[str]) -> Iterator[Problem]:
    together = Together(group.project)
    for view in group.views:
        yield from together.view(view)
    # A view that is here but wrong has features that are not known.
    features: dict[str, Sequence[str] | None] = {
        **dict.fromkeys(wrong_views),
        **{view.object.feast_name: [feature.name for feature in view.object.spec.features] for view in group.views},
    }
    for service in group.services:
        yield from together.service(service, features, any_view=_ANY_VIEW in features)


def only_project(declarations: Sequence[ProjectDeclarations], name: str | None) -> ProjectDeclarations | None:
    """The project called `name` (of the object or in Feast), or the only one there is."""
    chosen = [
        item for item in declarations if name is None or name in {item.project.metadata.name, item.project.spec.project}
    ]
    return chosen[0] if len(chosen) == 1 else None


def with_data_root(declarations: ProjectDeclarations, root: str) -> ProjectDeclarations:
    """The same project with every file source below `root`, a laptop's copy of the lake; its path may hold anything."""
    spec = declarations.project.spec
    data_root = DataRoot.model_construct(uri=root, persistent_volume_claim=None, mount_path=None)
    store = spec.offline_store.model_copy(update={"data_root": data_root})
    project = declarations.project.model_copy(update={"spec": spec.model_copy(update={"offline_store": store})})
    return replace(declarations, project=project)
